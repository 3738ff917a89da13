"""Whose seccomp filter an entry gets: the runtime's, from whoever in the container has it and can be stopped."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..conftest import Call, Run
from .conftest import build

# A first process that adds a filter of its own making, under which mkdir fails (EIO) or only seems to succeed
OWN = r"""
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifndef __NR_mkdir
#define __NR_mkdir __NR_mkdirat
#endif
int main(int count, char **words) {
    struct sock_filter rows[] = {
        {0x20, 0, 0, 0}, {0x15, 0, 1, __NR_mkdir}, {6, 0, 0, 0x00050000 | atoi(words[1])}, {6, 0, 0, 0x7fff0000}};
    struct sock_fprog program = {4, rows};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 1;
    for (;;) pause();
}
"""
# Waits in vfork: the child, in the same memory, does nothing
VFORK = """
#include <unistd.h>
int main() { if (!vfork()) for (;;) pause(); }
"""
FILTERS = ("grep", "-c", "-x", "Seccomp:.2", "/proc/self/status")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Static programs for the container's first process."""
    directory = tmp_path_factory.mktemp("filters")
    build(directory, "own", OWN)
    build(directory, "vfork", VFORK)
    return directory


@pytest.fixture
def trace() -> Iterator[Callable[[int], None]]:
    """Trace the first thread of a process, as somebody at work does."""
    tracers = []

    def begin(pid: int) -> None:
        tracer = subprocess.Popen(["strace", "-p", str(pid), "-o", "/dev/null"], stderr=subprocess.DEVNULL)
        tracers.append(tracer)
        while f"TracerPid:\t{tracer.pid}\n" not in Path(f"/proc/{pid}/status").read_text():
            assert tracer.poll() is None
            time.sleep(0.01)

    yield begin
    for tracer in tracers:
        tracer.kill()
        tracer.wait()


@pytest.mark.parametrize("errno", ["5", "0"], ids=["refuses", "fakes a success"])
@pytest.mark.parametrize(("option", "filters"), [("unconfined", 0), ("", 1)], ids=["no filter", "the default"])
def test_a_filter_of_the_first_processs_own_is_never_taken_for_the_runtimes(
    run: Run,
    docker: Call,
    nsenter: Call,
    pid_of: Callable[[str], int],
    programs: Path,
    errno: str,
    option: str,
    filters: int,
) -> None:
    """Where the engine's word is missing (pid:N) the runtime's configuration says whether there is one."""
    flags = ("--security-opt", f"seccomp={option}") if option else ()
    name = run(*flags, "-v", f"{programs}:/p:ro", command=("/p/own", errno))
    pid = pid_of(name)
    while f"Seccomp_filters:\t{filters + 1}\n" not in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.01)
    for word in (name, f"pid:{pid}"):
        done = nsenter(word, "sh", "-c", f"grep Seccomp_filters /proc/self/status; mkdir /tmp/{word} && ls /tmp")
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[:2] == ["Seccomp_filters:", str(filters)]
        assert word in done.stdout.split()
    assert docker("exec", name, "grep", "Seccomp_filters", "/proc/self/status").stdout.split()[1] == str(filters)


ROUTES = pytest.mark.parametrize("route", ["local", "helper"])


@ROUTES
def test_where_the_first_process_is_traced_another_gives_the_filter(
    run: Run, nsenter: Call, pid_of: Callable[[str], int], trace: Callable[[int], None], route: str
) -> None:
    name = run(command=("sh", "-c", "sleep 100000 & wait"))
    trace(pid_of(name))
    done = nsenter("--route", route, name, *FILTERS)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@ROUTES
def test_where_the_first_process_sits_in_vfork_its_child_gives_the_filter(
    run: Run, nsenter: Call, programs: Path, route: str
) -> None:
    name = run("-v", f"{programs}:/p:ro", command=("/p/vfork",))
    done = nsenter("--route", route, name, *FILTERS)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@ROUTES
def test_where_nobody_can_give_it_the_hint_is_not_to_go_without(
    run: Run, docker: Call, nsenter: Call, pid_of: Callable[[str], int], trace: Callable[[int], None], route: str
) -> None:
    """What docker exec has started has the runtime's filter, too, but nothing proves it."""
    name = run()
    docker("exec", "-d", name, "sleep", "100000")
    trace(pid_of(name))
    done = nsenter("--route", route, name, *FILTERS)
    assert done.returncode == 125
    assert "another tracer (strace, gdb) holds the container's first process" in done.stderr
    assert f"hint: docker exec -i {name} " in done.stderr
    assert docker("exec", name, *FILTERS).stdout == "1\n"
