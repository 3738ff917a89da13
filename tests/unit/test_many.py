"""Which containers a pattern means, and what stage 2 takes for a document of many Plans."""

from fnmatch import fnmatchcase
from typing import Any

import pytest
from docker_nsenter.commands import many as command
from docker_nsenter.engine import selection
from docker_nsenter.enter import many
from docker_nsenter.enter.errors import EntryError
from docker_nsenter.enter.session import collector
from docker_nsenter.errors import CliError
from hypothesis import given, settings
from hypothesis import strategies as st

from .test_errors import request

HEAD: dict[str, Any] = {
    "many": 1,
    "parallel": 4,
    "fail_fast": False,
    "names": ["a", "b"],
    "failed": [],
    "prefix": True,
    "colors": False,
    "progress": False,
    "json": False,
}


@settings(max_examples=500, deadline=None)
@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_a_pattern_without_a_slash_means_what_it_means_to_a_shell(pattern: str, name: str) -> None:
    assert selection.matches(pattern, name) == fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("shop/*", "shop/web", True),
        ("shop/*", "shop/web/1", False),
        ("*", "shop/web", False),
        ("*/web", "shop/web", True),
        ("shop?web", "shop/web", False),
        ("w[a-c]b", "wbb", True),
        ("w[!a-c]b", "wbb", False),
        ("w[^a]b", "wbb", True),
        ("w[]x]b", "w]b", True),
        ("w[b", "w[b", True),
        ("*" * 50 + "b", "a" * 200, False),
    ],
)
def test_stars_stop_at_a_slash_and_brackets_choose(pattern: str, name: str, fits: bool) -> None:
    assert selection.matches(pattern, name) == fits


def test_an_id_that_several_begin_with_is_none() -> None:
    rows = [{"Id": "abc" + digit * 61, "Names": [f"/{digit}"], "State": "running"} for digit in "12"]
    assert selection._meant("abc1", rows, None, {}) == rows[:1]  # type: ignore[arg-type]
    with pytest.raises(CliError, match="2 containers have IDs that begin with abc"):
        selection._meant("abc", rows, None, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [{"parallel": 0}, {"parallel": 101}, {"parallel": True}, {"names": ["a"]}, {"json": 1}, {"more": 1}],
)
def test_a_head_that_does_not_fit_its_plans_is_refused(change: dict[str, Any]) -> None:
    assert many.validate(HEAD, 2) == HEAD
    with pytest.raises(EntryError, match="the plan for several containers does not fit them"):
        many.validate({**HEAD, **change}, 2)
    with pytest.raises(EntryError):
        many.validate([], 2)


def test_what_stage_1_writes_is_what_stage_2_takes() -> None:
    chosen = selection.Chosen()
    chosen.failed.append(["gone", "it ended"])
    document = command.Many(request("*", "true"), chosen).document()
    from docker_nsenter.enter import __main__ as stage2
    from docker_nsenter.enter.jsonlite import loads

    assert document.startswith(stage2.MANY)
    assert many.validate(loads(document), 0)["failed"] == [["gone", "it ended"]]


def test_both_rooms_mean_the_same_number_and_the_same_words() -> None:
    from docker_nsenter.cli import request as cli
    from docker_nsenter.routes.helper import images

    assert cli.MOST_AT_ONCE == many.MOST_AT_ONCE
    assert images.LABEL == selection.HELPER
    assert all(request(f"a{letter}", "x").several == selection.means_several(f"a{letter}") for letter in ",*?[.")
    assert len(collector.record(b"E", 99, 10_000, 255, 1_000_000)) == collector.RECORD


def test_no_name_has_a_colour_that_white_hides() -> None:
    assert set(collector.COLORS) <= {31, 32, 34, 35, 36}
