"""What is drawn without rich is what rich draws, byte by byte."""

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any

import pytest
from docker_nsenter import overview
from docker_nsenter.formatting import tables
from hypothesis import given, settings
from hypothesis import strategies as st

Row = dict[str, Any]
KINDS = st.sampled_from(("own", "host", "unknown", "shared"))
SPACE = st.fixed_dictionaries({"of": KINDS, "joined": st.sampled_from(("", "web")), "with": st.just(["db", "proxy"])})
SETS = st.sampled_from(([], ["NET_ADMIN"], ["CHOWN", "KILL"], [f"C{number}" for number in range(13)]))
CONTAINER = st.fixed_dictionaries(
    {
        "name": st.sampled_from(("a", "web", "container", "shop-database-1", "x" * 40)),
        "privileged": st.booleans(),
        "status": st.sampled_from(("running", "paused")),
        "namespaces": st.dictionaries(st.sampled_from(overview.ORDER), SPACE),
        "mapping": st.sampled_from((None, [], [[0, 100000, 65536]])),
        "bounding": SETS,
        "beyond_default": SETS,
        "below_default": SETS,
        "seccomp_filters": st.integers(0, 2),
        "no_new_privs": st.booleans(),
        "label": st.sampled_from(("", "", "docker-default (enforce)", "\x1b[2Jlabel", "etikett-ä", "標籤")),
    }
)
NOTES = st.lists(st.sampled_from(("short", "two  spaces here", "as long as it takes " * 6, "y" * 79, "y" * 81)))
FOUND = st.fixed_dictionaries({"containers": st.lists(CONTAINER, max_size=4), "notes": NOTES})


def shown(show: Callable[[], object], columns: int, *, terminal: bool) -> bytes:
    """Run a function in a child whose standard descriptors are a terminal of so many columns, or pipes."""
    master, slave = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    child = os.fork()
    if not child:
        for number in (0, 1, 2):
            os.dup2(slave, number)
        os.environ.update({"TERM": "xterm-256color"} if terminal else {"COLUMNS": str(columns)})
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the child's for good
        show()
        sys.stdout.flush()
        os._exit(0)
    os.close(slave)
    data = b""
    try:
        while chunk := os.read(master, 65536):
            data += chunk
    except OSError:  # EIO: nobody has the terminal open any more
        pass
    os.close(master)
    assert os.waitpid(child, 0)[1] == 0
    return data


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "COLORTERM", "TERM", *overview.PECULIAR):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("terminal", [True, False], ids=["a terminal", "a pipe"])
def test_a_list_is_drawn_as_rich_draws_it(terminal: bool) -> None:
    @settings(max_examples=60, deadline=None)
    @given(FOUND, st.sampled_from((40, 60, 80, 100, 200)))
    def agree(found: Row, columns: int) -> None:
        def ours() -> None:
            text = overview.drawn(found)
            sys.stdout.write("rich" if text is None else text)

        drawn = shown(ours, columns, terminal=terminal)
        if drawn != b"rich":
            assert drawn == shown(lambda: tables.show_listing(found), columns, terminal=terminal)

    agree()


def listed(name: str, **more: Any) -> Row:
    """Make what is found of one ordinary container."""
    spaces = {kind: {"of": "own", "joined": "", "with": []} for kind in overview.ORDER}
    row = {"name": name, "privileged": False, "status": "running", "namespaces": spaces, "mapping": None, "label": ""}
    row |= {"bounding": ["CHOWN"], "beyond_default": [], "below_default": [], "seccomp_filters": 1}
    return {"containers": [row | {"no_new_privs": False} | more], "notes": []}


@pytest.mark.parametrize(
    ("name", "environment", "more", "alone"),
    [
        ("web", {}, {}, True),
        ("web", {"COLUMNS": "40"}, {}, False),
        ("w" * 60, {}, {}, False),
        ("w" * 60, {"COLUMNS": "200"}, {}, True),
        ("web", {"NO_COLOR": "1"}, {}, False),
        ("web", {"FORCE_COLOR": "1"}, {}, False),
        ("web", {}, {"label": "標籤"}, False),
    ],
)
def test_only_what_has_to_be_folded_or_coloured_otherwise_is_richs(
    monkeypatch: pytest.MonkeyPatch, name: str, environment: dict[str, str], more: Row, alone: bool
) -> None:
    for key, value in {"COLUMNS": "80", **environment}.items():
        monkeypatch.setenv(key, value)
    assert (overview.drawn(listed(name, **more)) is not None) == alone


def test_nothing_of_an_image_reaches_the_terminal_as_a_control(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = overview.drawn(listed("web", label="\x1b[2J"))
    assert text is not None
    assert "\x1b" not in text
