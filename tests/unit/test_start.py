"""Which lines start stage 2 at once: only those that can't but enter, or end in an error."""

import subprocess
import sys

import pytest
from docker_nsenter.__main__ import enters_surely

from ..weaken import PACKAGE


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


def test_a_control_c_that_python_can_raise_to_nobody_ends_it_all_the_same() -> None:
    """As in the callback of a weak reference, which imports use."""
    code = f"""
import sys, weakref
sys.path.insert(0, {str(PACKAGE.parent)!r})
from docker_nsenter import __main__
def pressed(_):
    raise KeyboardInterrupt
def starts(argv):
    thing = type("Thing", (), {{}})()
    pressed_then = weakref.ref(thing, pressed)
    del thing
    print("went on")
__main__.enters_surely = starts
__main__.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
