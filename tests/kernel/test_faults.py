"""Each system call on the path fails once: the command never starts, and one sentence says why."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

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
        if name == "openat" and re.search(r"\.pyc?\"", rest):
            importing.add(pid)
        elif name == "close":
            importing.discard(pid)
        counted &= pid not in importing
        counted &= not re.search(r'/proc/self/stat", O_RDONLY(\)| <)|, 1024\)|^\d+ <unf', rest)
        if counted and name in CALLS:
            found.setdefault(name, set()).add(counts[pid, name])
    return found


def plan(target: int, marker: Path, call: str) -> Plan:
    """Write a Plan whose path has the call: the private null device is made for detached commands."""
    return plan_for(target, "touch", str(marker), user="0:0", detach=call in DETACHED)


@pytest.fixture(scope="module")
def path(target: int, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[int]]:
    """Which calls an undisturbed entry makes, and the how manieth of its process each is."""
    found: dict[str, set[int]] = {}
    for call in ("fsopen", "any"):
        trace = tmp_path_factory.mktemp("trace") / "trace"
        marker = trace.with_name("marker")
        done = run_plan(plan(target, marker, call), before=("strace", "-f", "-o", str(trace)))
        assert done.returncode == 0, done.stderr
        wait_until(marker.exists, "the command runs")
        found |= occurrences(trace.read_text())
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("call", CALLS)
def test_after_a_failed_call_nothing_has_run(call: str, path: dict[str, set[int]], target: int, tmp_path: Path) -> None:
    assert path.get(call), f"{call} is not on the path any more"
    for number in sorted(path[call])[: MOST.get(call, 6)]:
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
