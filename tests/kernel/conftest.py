"""Root and unshared processes, no engine: a process to enter, and stage 2 fed by hand."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "plugin"
sys.path.insert(0, str(LIBRARY))

from docker_nsenter.commands.install import loader  # noqa: E402
from docker_nsenter.enter.hardening.exeseal import START  # noqa: E402

from ..patience import PATIENCE  # noqa: E402
from ..weaken import roots_own  # noqa: E402

Plan = dict[str, Any]
# A checkout may be somebody's who is not root, and stage 2 takes no code from there
EXECUTABLE = sys.executable if roots_own(LIBRARY) == LIBRARY else os.path.realpath(sys.executable)
# As scripts/install has the launcher start it: by the loader, where that is what can be sealed in place
PYTHON = [word for word in [loader(EXECUTABLE), EXECUTABLE] if word]


@pytest.fixture(scope="session", autouse=True)
def root() -> None:
    """Namespaces are joined for real: without root there is nothing to test."""
    if os.geteuid() != 0:
        pytest.fail("tests/kernel need root")


def children(pid: int) -> list[int]:
    """List the children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition, at most ten seconds."""
    for _ in range(int(1000 * PATIENCE)):
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


@pytest.fixture
def unshared() -> Iterator[Callable[..., int]]:
    """Start a process in namespaces of its own; returns the pid of its init."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*flags: str, command: tuple[str, ...] = ("sleep", "1000")) -> int:
        flags = flags or ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--mount-proc")
        unshare = subprocess.Popen(["unshare", "--fork", "--kill-child", *flags, *command])
        started.append(unshare)
        pid = int(wait_until(lambda: children(unshare.pid), "unshare forks")[0])
        wait_until(lambda: os.readlink(f"/proc/{pid}/exe") != os.readlink(f"/proc/{unshare.pid}/exe"), "it executes")
        return pid

    yield start
    for each in started:
        each.kill()
        each.wait()


@pytest.fixture(scope="module")
def target() -> Iterator[int]:
    """Start a process in namespaces of its own, for all tests of a file."""
    flags = ["--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--pid", "--mount-proc"]
    with subprocess.Popen(["unshare", *flags, "sleep", "1000"]) as process:
        try:
            yield int(wait_until(lambda: children(process.pid), "unshare forks")[0])
        finally:
            process.kill()


def map_ids(pid: int) -> None:
    """Give a process's new user namespace 65536 ids of the host, as userns-remap does."""
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text("0 100000 65536")


def plan_for(pid: int, *command: str, **changes: Any) -> Plan:
    """Write a Plan that enters all namespaces of a process as root with its restrictions."""
    plan: Plan = {
        "version": 1,
        "route": "local",
        "target": {"pid": pid, "container": "", "owner": 0, "name": f"pid:{pid}"},
        "namespaces": ["user", "mnt", "uts", "ipc", "net", "pid", "cgroup", "time"],
        "capabilities": {"base": "container", "add": 0, "drop": 0},
        "seccomp": "container",
        "filters": [],
        "apparmor": None,
        "apparmor_needed": False,
        "selinux": None,
        "no_new_privs": None,
        "cgroups": True,
        "limits": True,
        "user": "",
        "groups": [],
        "environment": {"base": "given", "set": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        "directory": "/",
        "command": list(command),
        "connect": [],
        "hold": False,
        "shell": None,
        "tty": False,
        "stdin": True,
        "detach": False,
        "tools": None,
        "mounts": [],
        "debug": False,
        "why": None,
        "typed": {"words": ["docker", "nsenter", f"pid:{pid}", *command], "options": 2, "container": 2},
        "record": None,
        "journal": {
            **{"entry": "0" * 32, "login_uid": "", "caller_uid": "0", "sudo_user": "", "terminal": ""},
            **{"host": "", "engine": "", "image": ""},
        },
    }
    return {**plan, **changes}


def run_plan(
    plan: object,
    *,
    before: tuple[str, ...] = (),
    library: "Path | None" = None,
    python: "list[str] | None" = None,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run stage 2 with a Plan, perhaps under another program such as strace, or from another copy of the package."""
    options = {"capture_output": True, "text": True, "timeout": 60, "input": "", "env": {}, **options}
    with _stage_2(plan, library, python) as (words, fd):
        return subprocess.run([*before, *words], pass_fds=[fd], check=False, **options)


def start_plan(
    plan: object, *, before: tuple[str, ...] = (), library: "Path | None" = None, **options: Any
) -> "subprocess.Popen[Any]":
    """Start stage 2 as run_plan does, and let it run."""
    with _stage_2(plan, library, None) as (words, fd):
        return subprocess.Popen([*before, *words], pass_fds=[fd], **options)


@contextmanager
def _stage_2(plan: object, library: "Path | None", python: "list[str] | None") -> Iterator[tuple[list[str], int]]:
    """Write a Plan; yield the words that start stage 2 with it, and the descriptor that they name."""
    fd = os.memfd_create("plan", 0)
    try:
        os.write(fd, json.dumps(plan).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        yield [*(python or PYTHON), *START[:-1], str(library or roots_own(LIBRARY)), str(fd), "0", ""], fd
    finally:
        os.close(fd)
