"""Many entries leave nothing behind: no zombie, no stopped process, no mount, cgroup, file or descriptor."""

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ..conftest import Call, Run, hosts_mounts

EPOLL = r"""
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
int main(void) {
    struct epoll_event event;
    int fd = epoll_create1(0);
    int result = epoll_wait(fd, &event, 1, -1);
    printf("epoll_wait returned %d, errno %d\n", result, errno);
    return 1;
}
"""


def processes() -> set[str]:
    """List the processes of this machine."""
    return {directory.name for directory in Path("/proc").glob("[0-9]*")}


def settled(pid: int, old: set[str], before: dict[str, object]) -> dict[str, object]:
    """Take the second picture, when orphans have been reaped by whoever has to."""
    for _ in range(50):
        if traces(pid, old) == before:
            break
        time.sleep(0.1)
    return traces(pid, old)


def traces(pid: int, old: set[str]) -> dict[str, object]:
    """Take a picture of what an entry could leave behind; `old` are the processes that were there before."""
    states = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            stat = (directory / "stat").read_text()
        except OSError:
            continue
        name, state = stat[stat.index("(") : stat.rindex(")") + 1], stat.rpartition(")")[2].split()[0]
        # not those of the engine, which its own parent reaps in its own time
        if state in "ZTt" and name not in ("(containerd-shim)", "(runc)") and directory.name not in old:
            states[directory.name] = (name, state)
    cgroups = sorted(line.split(":")[2] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    return {
        "stopped and zombies": states,
        "mounts": hosts_mounts(),
        "mounts inside": Path(f"/proc/{pid}/mountinfo").read_text(),
        "descriptors of init": sorted(os.listdir(f"/proc/{pid}/fd")),
        "cgroups": cgroups,
        "temporary files": sorted(os.listdir("/tmp")),
        "processes inside": Path(f"/proc/{pid}/task/{pid}/children").read_text(),
        "tracer": [
            line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("TracerPid")
        ],
    }


@pytest.mark.timeout(200)
def test_200_entries_in_a_row_leave_nothing(run: Run, nsenter: Call, pid_of: Callable[[str], int]) -> None:
    name = run()
    pid = pid_of(name)
    nsenter(name, "true")
    old = processes()
    before = traces(pid, old)
    for number in range(200):
        assert nsenter(name, "sh", "-c", f"exit {number}").returncode == number
    assert settled(pid, old, before) == before


@pytest.mark.timeout(200)
def test_16_entries_at_once_leave_nothing(run: Run, nsenter: Call, pid_of: Callable[[str], int]) -> None:
    name = run()
    pid = pid_of(name)
    old = processes()
    before = traces(pid, old)
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda number: nsenter(name, "sh", "-c", f"exit {number}"), range(64)))
    assert [done.returncode for done in results] == list(range(64)), [done.stderr for done in results if done.stderr]
    assert settled(pid, old, before) == before


@pytest.fixture
def epoll_container(run: Run, docker: Call, tmp_path: Path, engine: dict[str, str]) -> str:
    """A container whose first process waits in epoll_wait and ends when that returns for whatever reason."""
    (tmp_path / "epoll.c").write_text(EPOLL)
    (tmp_path / "root").mkdir()
    subprocess.run(["gcc", "-static", "-o", tmp_path / "root/epoll", tmp_path / "epoll.c"], check=True)
    for program in ("cat", "true"):
        (tmp_path / "root" / program).write_bytes(Path("/bin/busybox").read_bytes())
        (tmp_path / "root" / program).chmod(0o755)
    tar = subprocess.Popen(["tar", "-C", tmp_path / "root", "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(
        ["docker", "import", "-c", "ENV PATH=/", "-", "nsenter-test-epoll"], stdin=tar.stdout, env=engine, check=True
    )
    tar.wait()
    return run(image="nsenter-test-epoll", command=("/epoll",))


def test_an_init_in_epoll_wait_is_not_disturbed(epoll_container: str, nsenter: Call, docker: Call) -> None:
    for _ in range(30):
        assert nsenter(epoll_container, "true").returncode == 0
    assert docker("inspect", "-f", "{{.State.Status}}", epoll_container).stdout.strip() == "running"
    assert docker("logs", epoll_container).stdout == ""


@pytest.mark.parametrize(
    "options", [("--net-only",), ("--pid", "--net"), ("--cap-add", "SYS_PTRACE"), ("-u", "app"), ("-d",)]
)
def test_each_kind_of_entry_leaves_nothing(
    run: Run, nsenter: Call, pid_of: Callable[[str], int], options: tuple[str, ...]
) -> None:
    name = run()
    pid = pid_of(name)
    old = processes()
    before = traces(pid, old)
    for _ in range(5):
        assert nsenter(*options, name, "true").returncode == 0
    assert settled(pid, old, before) == before


def test_a_refused_entry_leaves_nothing(run: Run, nsenter: Call, pid_of: Callable[[str], int]) -> None:
    name = run()
    pid = pid_of(name)
    old = processes()
    before = traces(pid, old)
    for words in (("-u", "nobody-here", name), ("-w", "/not/there", name), (name, "not-there")):
        assert nsenter(*words).returncode in (125, 127)
    assert settled(pid, old, before) == before
