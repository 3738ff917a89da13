"""Until it executes, the command's process can be the puppet of a tracer in the container: nothing it says is believed.

A copy of the package plays that process: what it does after all is dropped is the attacker's.
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ..weaken import weakened
from .conftest import plan_for, run_plan

Unshared = Callable[..., int]
READY = 'channels.say("R")'
HURRY = ("enter/session/run.py", "START_TIMEOUT = 30.0", "START_TIMEOUT = 1.0")


def puppet(directory: Path, deed: str) -> Path:
    """Copy the package with another deed in the place of `ready`."""
    return weakened(directory, HURRY, ("enter/command.py", READY, deed))


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ('[channels.say("R") for _ in range(1 << 20)]', "sent an invalid report"),
        # In the middle of that flood the installer names its child, or has done so before
        (
            '[posix.write(channels._say, b"x" * 4096) for _ in range(1 << 20)]',
            "did not start within|sent an invalid report",
        ),
        ("[syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0) for _ in iter(int, 1)]", "did not start within"),
        ("posix.kill(posix.getpid(), 19)", "did not start within"),
        ('channels.say("P", 1)', "sent an invalid report"),
        ('channels.say("F", "install", 99, 1, "x")', "sent an invalid report"),
        ('channels.say("F", "nobody", 0, 1, "x")', "sent an invalid report"),
        ('channels.say("F", "command", 3, 1, "\\x1b[2J\\x9b" + "x" * 5000)', "cannot end with the plugin"),
        ('channels.say("W", "command", 0, 0, "\\x1b]0;title\\x07\\u202e" + "x" * 5000)', "title"),
        ('channels.say("W", "command", 0, 1 << 20, "\\x1b[2J")', "2J"),
        ('posix.write(channels._say, b"\\xff\\x00\\x1b[31m\\n")', "sent an invalid report"),
        ('channels.say("F", "command", 0, "9" * 400, "x")', "unknown error"),
        ('channels.say("F", "command", "\\u00b2", 1, "x")', "sent an invalid report"),
        ('channels.say("P", "\\u00b2")', "sent an invalid report"),
        ('channels.say("F", "execve", 0, 1, "x")', "sent an invalid report"),
    ],
)
def test_what_a_puppet_says_ends_in_one_short_sentence(
    unshared: Unshared, tmp_path: Path, deed: str, said: str
) -> None:
    began = time.monotonic()
    marker = tmp_path / "marker"
    done = run_plan(plan_for(unshared(), "touch", str(marker)), library=puppet(tmp_path, deed))
    assert time.monotonic() - began < 15
    assert done.returncode == 125
    assert re.search(said, done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stderr) < 700
    assert done.stderr.rstrip("\n").isprintable()
    assert not marker.exists()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["innocent", "init"])
def test_a_pid_that_a_puppet_names_is_never_touched(unshared: Unshared, tmp_path: Path, name: str) -> None:
    """Before the installer could name its child, the child itself names another process."""
    pid = unshared()
    named = 1 if name == "init" else pid
    lie = ("enter/children.py", '    channels.say("P", pid)\n', f'    channels.say("P", {named})\n')
    done = run_plan(plan_for(pid, "true"), library=weakened(tmp_path, HURRY, lie))
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1
    os.kill(pid, 0)
