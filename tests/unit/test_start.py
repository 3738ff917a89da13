"""Which lines start stage 2 at once: only those that can't but enter, or end in an error."""

import pytest
from docker_nsenter.__main__ import enters_surely


@pytest.mark.parametrize(
    "line",
    [
        "nsenter web",
        "nsenter --net-only web ss -tln",
        "--context x nsenter web",
        "--context=x nsenter web true",
        "-D -H unix:///s nsenter web",
        "--context nsenter nsenter web",
        "nsenter helper",
        "nsenter --route local helper",
    ],
)
def test_stage_2_starts_while_the_engine_is_asked(line: str) -> None:
    assert enters_surely(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nsenter",
        "nsenter --help",
        "--context x nsenter --dry-run web",
        "help nsenter",
        "--help nsenter web",
        "-v nsenter web",
        "--context nsenter",
        "--context nsenter help nsenter",
        "-Dc x nsenter web",
        "__complete nsenter web",
        "install --system",
        "--tls nsenter web",
        "nsenter --route helper web",
        "nsenter --route=helper web",
    ],
)
def test_any_other_line_is_read_first(line: str) -> None:
    assert not enters_surely(line.split())
