"""The guardian: a command without a death signal, as after a change of its label, ends with its supervisor."""

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ..weaken import roots_own, weakened
from .conftest import PYTHON, children, plan_for, run_plan, start_plan, wait_until

# What AppArmor's and SELinux's hooks do when execve changes the label, prctl(PR_SET_PDEATHSIG, 0); and what su does
FORGET = "import ctypes, sys, time; ctypes.CDLL(None).prctl(1, 0); print('ready', flush=True); time.sleep(4711)"
CHANGE = "import os, time; os.setuid(65534); print('ready', flush=True); time.sleep(4711)"
FAILS = (
    "enter/hardening/powerless.py",
    "    confine(files, program({PIDFD",
    "    raise OSError; confine(files, program({PIDFD",
)
ALWAYS = ("enter/told.py", "    if entry.label and not entry.plan", "    if not entry.plan")
KILL, NOTHING = "0000000000000020", "0000000000000000"

Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package as if each entry changed its command's label."""
    return weakened(tmp_path_factory.mktemp("guarded"), ALWAYS)


@pytest.fixture
def begin(target: int) -> Iterator[Begin]:
    """Have a command run that has lost its death signal; leave nothing of it."""
    begun = []

    def start(library: Path, code: str = FORGET) -> "subprocess.Popen[str]":
        plan = plan_for(target, *PYTHON, "-c", code)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = start_plan(plan, library=roots_own(library), text=True, env={}, start_new_session=True, **pipes)
        assert process.stdout
        assert process.stdout.readline() == "ready\n", process.communicate()
        begun.append((process, [int(child) for child in children(process.pid)]))
        return process

    yield start
    for process, ours in begun:
        for each in (process.pid, *ours):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        process.communicate()


def words_of(pid: int) -> str:
    """Read a process's words; none where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def commands(target: int) -> list[int]:
    """List the commands that run in the target's pid namespace."""
    wanted = os.readlink(f"/proc/{target}/ns/pid")
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/pid") == wanted and "4711" in words_of(pid):
                found.append(pid)
    return found


def guardian_of(process: "subprocess.Popen[str]") -> int:
    """Find the guardian among the children of a supervisor."""
    return next(int(child) for child in children(process.pid) if "(guardian)" in words_of(int(child)))


@pytest.mark.parametrize("code", [FORGET, CHANGE])
def test_without_it_such_a_command_outlives_its_supervisor(begin: Begin, target: int, code: str) -> None:
    process = begin(Path(__file__).resolve().parents[2] / "plugin", code)
    (command,) = commands(target)  # one that has changed its user is a limit of ours: docs/limits.md
    assert not [child for child in children(process.pid) if "(guardian)" in words_of(int(child))]
    process.kill()
    process.wait()
    assert commands(target) == [command]
    os.kill(command, signal.SIGKILL)


@pytest.mark.parametrize("code", [FORGET, CHANGE])
@pytest.mark.parametrize("whom", ["the supervisor", "its group"])
def test_kill_9_ends_it(begin: Begin, guarded: Path, target: int, whom: str, code: str) -> None:
    process = begin(guarded, code)
    guardian = guardian_of(process)
    assert commands(target)
    if whom == "its group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    wait_until(lambda: not commands(target), "the command has ended")
    wait_until(lambda: "guardian" not in words_of(guardian), "so has the guardian")


def test_it_holds_nothing_but_kill(begin: Begin, guarded: Path) -> None:
    guardian = guardian_of(begin(guarded))
    text = Path(f"/proc/{guardian}/status").read_text()
    found = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert [found[name] for name in ("CapPrm", "CapEff")] == [KILL, KILL]
    assert [found[name] for name in ("CapBnd", "CapInh", "CapAmb")] == [NOTHING] * 3
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    files = [os.readlink(f"/proc/{guardian}/fd/{name}") for name in os.listdir(f"/proc/{guardian}/fd")]
    assert files == ["anon_inode:[pidfd]"] * 2
    assert os.getsid(guardian) == guardian


def test_it_ends_with_the_command_and_keeps_no_reader_waiting(begin: Begin, guarded: Path, target: int) -> None:
    process = begin(guarded)
    guardian = guardian_of(process)
    os.kill(guardian, signal.SIGSTOP)  # it does nothing at all
    (command,) = commands(target)
    os.kill(command, signal.SIGTERM)
    assert process.stdout
    assert select.select([process.stdout], [], [], 20)[0]
    assert process.stdout.read() == ""
    assert process.wait(20) == 128 + signal.SIGTERM
    os.kill(guardian, signal.SIGCONT)
    wait_until(lambda: "guardian" not in words_of(guardian), "the guardian has ended")


def test_where_it_can_t_begin_nothing_starts(target: int, tmp_path: Path) -> None:
    done = run_plan(plan_for(target, "echo", "4711"), library=roots_own(weakened(tmp_path, ALWAYS, FAILS)))
    assert done.returncode == 125
    assert done.stdout == ""
    assert done.stderr == "docker nsenter: cannot enter: the guardian: Operation not permitted\n"
    assert not commands(target)


def test_where_there_can_be_none_nothing_starts(guarded: Path, target: int) -> None:
    inject = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=pidfd_open:error=EMFILE:when=2+")
    done = run_plan(plan_for(target, "sleep", "4711"), before=inject, library=roots_own(guarded))
    assert done.returncode == 125
    assert done.stderr == "docker nsenter: cannot enter: pidfd_open: Too many open files\n"
    assert not commands(target)
