"""Each system call on the path fails once: the command never starts, and one sentence says why."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..patience import PATIENCE
from .conftest import Plan, plan_for, run_plan, wait_until
from .test_seccomp import DONOR

CALLS = (
    "capset",
    "chdir",
    "clone",
    "close_range",
    "dup2",
    "fchown",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fstatfs",
    "keyctl",
    "openat",
    "openat2",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe2",
    "prctl",
    "prlimit64",
    "ptrace",
    "read",
    "readlink",
    "seccomp",
    "setgroups",
    "setns",
    "setresgid",
    "setresuid",
    "setsid",
)
if os.uname().machine == "aarch64":  # newer architectures have only the newer of two calls
    CALLS = tuple({"dup2": "dup3", "readlink": "readlinkat"}.get(name, name) for name in CALLS)
# EPERM from ptrace means another tracer and is tried again, from chdir that root may not and the user may
ERRORS = {"clone": "EAGAIN", "chdir": "ENOENT", "ptrace": "EIO", "openat": "EIO", "read": "EIO"}
# Of the repetitions of one call (prctl alone comes 80 times); each file is opened and read for a reason of its own
MOST = {"openat": 80, "read": 80}
DETACHED = {"fsconfig", "fsmount", "fsopen"}


@pytest.fixture(scope="module")
def target() -> Iterator[int]:
    """A process in namespaces of its own, under a filter, with fewer capabilities and limits than ours."""
    donor = DONOR.format(count=1, sleep="import time; time.sleep(1000)")
    inner = [
        "setpriv",
        "--bounding-set=-all,+chown,+sys_admin",
        "prlimit",
        "--nofile=77:99",
        sys.executable,
        "-c",
        donor,
    ]
    flags = ["--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--mount-proc"]
    process = subprocess.Popen(["unshare", *flags, *inner], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    yield int(children[0])
    process.kill()
    process.wait()


def occurrences(trace: str) -> dict[str, set[int]]:
    """Count, per call, the highest number of times that one process makes it after it protected itself.

    Not what opens and reads a .pyc file, in whose place Python takes the source.
    """
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[str, set[int]] = {}
    ours: list[str] = []
    importing: set[str] = set()
    for line in trace.splitlines():
        match = re.match(r"(\d+)\s+(\w+)\((.*)", line)
        if not match:
            continue
        pid, name, rest = match.groups()
        counts[pid, name] += 1
        if name == "write" and re.match(r'\d+, "g", 1', rest):
            break  # the command may execute: what comes later can't stop it
        if name == "prctl" and rest.startswith("PR_SET_DUMPABLE") and pid not in ours:
            ours.append(pid)
        # the first of those in MOST are the interpreter's start, in another process
        counted = pid == ours[0] or name not in MOST if ours else False
        # CPython 3.12 and later count their own threads at a fork, and do without where they can't
        # sysconf(_SC_NPROCESSORS_CONF) guesses where it may not read how many there are
        if name == "openat" and re.search(r"\.pyc?\"|/sys/devices/system/cpu", rest):
            importing.add(pid)
        elif name == "close":
            importing.discard(pid)
        counted &= pid not in importing
        # the caller's output, opened once more: where that fails it is written in small pieces
        counted &= not re.search(r'/proc/self/fd/[12]", O_WRONLY', rest)
        # a journal that can't be reached changes nothing, unless it is demanded (test_journal.py)
        counted &= not re.search(r'"(run/systemd/journal/socket|dev/log)"', rest)
        counted &= not re.search(r'/proc/self/stat", O_RDONLY(\)| <)|, 1024\)|^\d+ <unf', rest)
        if counted and name in CALLS:
            found.setdefault(name, set()).add(counts[pid, name])
    return found


def plan(target: int, marker: Path, call: str) -> Plan:
    """Write a Plan whose path has the call: the private null device is made for detached commands.

    Pipes are given away to who is not root.
    """
    user = "1000:1000" if call == "fchown" else "0:0"
    return plan_for(target, "touch", str(marker), user=user, detach=call in DETACHED)


@pytest.fixture(scope="module")
def path(target: int, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[int]]:
    """Which calls an undisturbed entry makes, and the how manieth of its process each is."""
    found: dict[str, set[int]] = {}
    for call in ("fchown", "fsopen", "any"):
        trace = tmp_path_factory.mktemp("trace") / "trace"
        marker = trace.with_name("marker")
        done = run_plan(plan(target, marker, call), before=("strace", "-f", "-o", str(trace)))
        if call != "fchown":  # that user may not write there
            assert done.returncode == 0, done.stderr
            wait_until(marker.exists, "the command runs")
        found |= occurrences(trace.read_text())
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("call", CALLS)
def test_after_a_failed_call_nothing_has_run(call: str, path: dict[str, set[int]], target: int, tmp_path: Path) -> None:
    assert path.get(call), f"{call} is not on the path any more"
    every = int(PATIENCE) if call in MOST else 1  # where the processor is emulated they would take half an hour
    for number in sorted(path[call])[: MOST.get(call, 6) : every]:
        marker = tmp_path / f"{call}-{number}"
        error = ERRORS.get(call, "EPERM")
        inject = ("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}")
        inject += ("-e", f"inject={call}:error={error}:when={number}")
        done = run_plan(plan(target, marker, call), before=inject)
        assert done.returncode == 125, f"{call} number {number}: {done}"
        assert not marker.exists()
        assert done.stderr.startswith("docker nsenter: "), done.stderr
        assert len(done.stderr.splitlines()) <= 2
        assert "unexpected" not in done.stderr
    status = Path(f"/proc/{target}/status")
    wait_until(lambda: re.search(r"^State:\s+S", status.read_text(), re.M), "the target sleeps on")
    assert "TracerPid:\t0" in status.read_text()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("call", ["unshare", "open_tree", "move_mount", "mount", "setns"])
def test_a_failed_private_mount_lets_nothing_run(call: str, target: int, tmp_path: Path) -> None:
    """A command that would see the host's processes or interfaces as the container's must not start."""
    outside = {"namespaces": ["net", "pid"], "mounts": ["proc", "sys"], "user": None, "directory": None}
    control = run_plan(plan_for(target, "touch", str(tmp_path / "control"), **outside))
    assert control.returncode == 0, control.stderr
    marker = tmp_path / "marker"
    inject = ("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error=EPERM:when=1")
    done = run_plan(plan_for(target, "touch", str(marker), **outside), before=inject)
    assert done.returncode == 125, done
    assert not marker.exists()
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("number", [1, 2], ids=["before the copy of its filter", "after its namespaces were joined"])
def test_a_container_that_ends_meanwhile_is_not_entered(target: int, tmp_path: Path, number: int) -> None:
    marker = tmp_path / "marker"
    inject = ("strace", "-f", "-o", "/dev/null", "-e", f"inject=pidfd_send_signal:error=ESRCH:when={number}")
    done = run_plan(plan(target, marker, ""), before=inject)
    assert (done.returncode, done.stderr) == (
        125,
        "docker nsenter: the container stopped before the command could start\n",
    )
    assert not marker.exists()


def test_a_container_that_is_killed_before_the_copy_is_said_to_have_ended(
    unshared: Callable[..., int], tmp_path: Path
) -> None:
    donor = DONOR.format(count=1, sleep="import time; time.sleep(1000)")
    pid = unshared(command=(sys.executable, "-c", donor))
    wait_until(lambda: "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text(), "it is under a filter")
    trace = tmp_path / "trace"

    def kill() -> None:
        wait_until(lambda: trace.exists() and "ptrace(" in trace.read_text(), "the copy begins")
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    wait = ("strace", "-f", "-o", str(trace), "-e", "inject=ptrace:delay_enter=2000000:when=1")
    done = run_plan(plan(pid, tmp_path / "marker", ""), before=wait)
    killer.join()
    said = [line for line in done.stderr.splitlines() if not line.startswith("strace: ")]  # of who ends in its delay
    assert (done.returncode, said) == (125, ["docker nsenter: the container stopped before the command could start"])


def test_a_process_that_ends_before_it_is_known_is_not_entered(
    unshared: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parent stands for a runtime's monitor: it works in a bundle."""
    marker = tmp_path / "marker"
    bundle = tmp_path / ("a" * 64)
    bundle.mkdir()
    (bundle / "config.json").touch()
    monkeypatch.chdir(bundle)
    target = unshared()
    named = {**plan(target, marker, ""), "target": {"pid": target, "container": "a" * 64, "owner": 0, "name": "web"}}
    inject = ("strace", "-f", "-o", "/dev/null", "-P", f"/proc/{target}", "-e", "inject=readlinkat:error=ESRCH:when=1")
    done = run_plan(named, before=inject)
    words = f"docker nsenter: process {target} ended before the command could start\n"
    assert (done.returncode, done.stderr) == (125, words)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("error=ENOSYS", "this container could write to the host's files through the plugin's process"),
        ("retval=0", "cannot enter: "),  # the second start is no more sealed than the first
    ],
    ids=["before Linux 5.12", "a kernel that lies"],
)
def test_without_a_shelter_a_container_that_needs_one_is_refused(
    fault: str, sentence: str, unshared: Callable[..., int], tmp_path: Path
) -> None:
    """Who holds SYS_PTRACE and SYS_ADMIN there could open what the command's process has mapped of the host."""
    pid = unshared(command=("setpriv", "--bounding-set=-sys_module", "sleep", "1000"))
    marker = tmp_path / "marker"
    inject = ("strace", "-f", "-o", "/dev/null", "-e", "trace=mount_setattr", "-e", f"inject=mount_setattr:{fault}")
    done = run_plan(plan_for(pid, "touch", str(marker)), before=inject)
    assert (done.returncode, done.stderr.startswith(f"docker nsenter: {sentence}")) == (125, True), done.stderr
    assert not marker.exists()
