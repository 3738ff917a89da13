"""Which containers a pattern means, and what stage 2 takes for a document of many Plans."""

import os
import socket
import threading
from fnmatch import fnmatchcase
from typing import Any

import pytest
from docker_nsenter.commands import many as command
from docker_nsenter.engine import selection
from docker_nsenter.enter import document, many
from docker_nsenter.enter.errors import EntryError
from docker_nsenter.enter.jsonlite import loads
from docker_nsenter.enter.session import collector
from docker_nsenter.enter.session.frames import several
from docker_nsenter.enter.start import SEVERAL
from docker_nsenter.errors import CliError
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st

from .test_errors import request

HEAD: dict[str, Any] = {"parallel": 4, "fail_fast": False, "json": False}
SHOWN: dict[str, Any] = {"names": ["a", "b"], "failed": [], "prefix": True, "colors": False, "progress": False}


@settings(max_examples=500, deadline=None)
@given_by(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
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


@pytest.mark.parametrize("change", [{"parallel": 0}, {"parallel": 101}, {"parallel": True}, {"json": 1}, {"more": 1}])
def test_a_head_that_is_none_is_refused(change: dict[str, Any]) -> None:
    assert many.validate(HEAD) == HEAD
    for head in ({**HEAD, **change}, []):
        with pytest.raises(EntryError, match="the plan for several containers does not fit them"):
            many.validate(head)


@pytest.mark.parametrize("change", [{"names": ["a"]}, {"failed": {}}, {"progress": None}, {"more": 1}])
def test_names_that_do_not_fit_the_plans_are_refused(change: dict[str, Any]) -> None:
    assert collector.validate(SHOWN, 2) == SHOWN
    for shown in ({**SHOWN, **change}, []):
        with pytest.raises(EntryError, match="the plan for several containers does not fit them"):
            collector.validate(shown, 2)


def given(data: bytes) -> int:
    """Open a memfd with these bytes."""
    memory = os.memfd_create("test")
    os.write(memory, data)
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def send(fd: int, data: bytes) -> None:
    """Write all of it, and close."""
    with open(fd, "wb") as file:
        file.write(data)


@pytest.mark.parametrize("through", ["memfd", "pipe", "socket"])
@pytest.mark.parametrize("size", [1, 100, 70_000, 300_000])
def test_each_part_of_a_document_is_found(through: str, size: int) -> None:
    parts = [b"head", b"shown", b"", os.urandom(size), b"last"]
    text = several(parts)
    assert text.startswith(SEVERAL)
    source, sender = given(text), -1
    if through != "memfd":
        source, sender = os.pipe() if through == "pipe" else (each.detach() for each in socket.socketpair())
        threading.Thread(target=send, args=(sender, text)).start()
    os.read(source, 1)
    found = document.Document(source)
    assert [found.head(), found.shown(), *map(found.plan, range(found.plans))] == parts
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(source)


def test_no_more_is_taken_than_was_said() -> None:
    """Behind what a helper's client sends first comes its input."""
    reader, writer = os.pipe()
    os.write(writer, b"plans and input")
    memory = document.spool(reader, 5)
    assert (os.pread(memory, 100, 0), os.read(reader, 100)) == (b"plans", b" and input")


@pytest.mark.parametrize("cut", [1, 4, 5, 9, 11])
def test_a_document_that_is_cut_off_is_refused(cut: int) -> None:
    """Whoever plans may be killed while it writes."""
    text = several([b"head", b"shown", b"plan"])[1:]
    with pytest.raises(EntryError, match="the plan for several containers is not whole"):
        document.Document(given(text[:-cut]))


def test_what_stage_1_writes_is_what_stage_2_takes() -> None:
    chosen = selection.Chosen()
    chosen.failed.append(["gone", "it ended"])
    found = document.Document(given(command.Many(request("*", "true"), chosen).document()[1:]))
    assert many.validate(loads(found.head()))["parallel"] > 0
    assert collector.validate(loads(found.shown()), found.plans)["failed"] == [["gone", "it ended"]]


def test_both_rooms_mean_the_same_number_and_the_same_words() -> None:
    from docker_nsenter.cli import request as cli
    from docker_nsenter.routes.helper import images

    assert cli.MOST_AT_ONCE == many.MOST_AT_ONCE
    assert images.LABEL == selection.HELPER
    assert all(request(f"a{letter}", "x").several == selection.means_several(f"a{letter}") for letter in ",*?[.")
    assert len(collector.record(b"E", 99, 10_000, 255, 1_000_000)) == collector.RECORD


def test_no_name_has_a_colour_that_white_hides() -> None:
    assert set(collector.COLORS) <= {31, 32, 34, 35, 36}
