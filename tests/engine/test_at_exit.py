"""The container's first process, held at its last breath: it must end as it would have without us."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ..conftest import Call, Run, children, wait_until
from ..patience import PATIENCE
from ..private import Private
from .conftest import build
from .remote import Remote

# What a container runs: it waits for a file, and then ends in some way
PROGRAM = r"""
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#define BREAK "int3"
#define ILLEGAL "ud2"
#else
#define BREAK "brk #0"
#define ILLEGAL "udf #0"
#endif
static void *idle(void *x) { for (;;) pause(); }
static int broken;
static char *how;
static void rest(void) {
    struct timespec t = {0, 10000000};
    while (access("/shared/go", F_OK)) if (nanosleep(&t, 0) && errno == EINTR) broken++;
}
static void noted(int s) {}
static void act(void) {
    if (!strcmp(how, "segfault")) *(volatile int *)16 = 1;
    if (!strcmp(how, "divide")) { volatile int z = 0; z = 7 / z; }
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "illegal")) __asm__ volatile(ILLEGAL);
    if (!strcmp(how, "breakpoint")) __asm__ volatile(BREAK);
    if (!strcmp(how, "trapped")) {
        struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
        struct sock_fprog p = {4, f};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
        syscall(SYS_getppid);
    }
    if (!strcmp(how, "alone")) { pthread_t t; pthread_create(&t, 0, idle, 0); pthread_exit(0); }
    if (!strcmp(how, "undisturbed")) exit(broken);
    if (!strcmp(how, "execs")) execl("/bin/sh", "sh", "-c", "usleep 200000; exit 4", (char *)0);
    exit(atoi(how));
}
static void *other(void *x) { rest(); how = x; act(); return 0; }
int main(int n, char **words) {
    how = words[1];
    signal(SIGUSR1, noted);
    if (!strncmp(how, "thread-", 7)) {
        pthread_t t;
        for (int i = 0; i < 8; i++) pthread_create(&t, 0, idle, 0);
        pthread_create(&t, 0, other, how + 7);
        for (;;) pause();
    }
    rest();
    act();
}
"""
ARM = os.uname().machine == "aarch64"
HELD = re.compile(r"^docker nsenter: (\S+) is held until you leave: (.*)$", re.M)


class Waiting:
    """Hold a docker nsenter --at-exit that runs, and what it has said."""

    def __init__(self, env: dict[str, str], words: "tuple[str, ...]", docker: "tuple[str, ...]") -> None:
        """Start it, by these words for docker."""
        self.process = subprocess.Popen(
            [*docker, "nsenter", "--at-exit", *words], env=env, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def said(self) -> str:
        """Read the next line of standard error."""
        assert self.process.stderr
        return self.process.stderr.readline()

    def end(self) -> tuple[int, str]:
        """End its input, and return the status and the output."""
        output, _ = self.process.communicate(timeout=30)
        return self.process.returncode, output

    def ours(self) -> list[int]:
        """List the processes of ours below docker's."""
        waiting, found = [self.process.pid], []
        while waiting:
            try:
                below = children(waiting.pop())
            except OSError:
                continue
            found += below
            waiting += below
        return found

    def kill(self) -> None:
        """Kill them, one after the other: the first's end may be the next one's."""
        for process in self.ours():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("program"), "ends", PROGRAM, "-static", "-pthread")


@pytest.fixture
def begin(run: Run, program: Path, tmp_path: Path) -> Callable[..., tuple[str, Path]]:
    """Start a container that will end in some way once its file is there."""

    def start(how: str, *flags: str) -> tuple[str, Path]:
        shared = tmp_path / f"shared-{len(list(tmp_path.iterdir()))}"
        shared.mkdir()
        (shared / "ends").write_bytes(program.read_bytes())
        (shared / "ends").chmod(0o755)
        return run("-v", f"{shared}:/shared", *flags, command=("/shared/ends", how)), shared / "go"

    return start


@pytest.fixture
def at_exit(engine: dict[str, str]) -> Iterator[Callable[..., Waiting]]:
    """Start docker nsenter --at-exit."""
    begun: list[Waiting] = []

    def start(*words: str, docker: "tuple[str, ...]" = ("docker",), env: "dict[str, str] | None" = None) -> Waiting:
        begun.append(Waiting(env or engine, words, docker))
        return begun[-1]

    yield start
    for each in begun:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.communicate()


def ending(docker: Call, name: str) -> str:
    """Wait for a container's end, and return its state and exit status."""
    docker("wait", name)
    return docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).stdout.strip()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("0", "exit status 0"),
        ("1", "exit status 1"),
        ("kill", "killed by SIGKILL"),
        ("segfault", "SIGSEGV at address 0x10"),
        ("divide", "exit status 0" if ARM else "SIGFPE at address"),  # for arm64 it is no fault
        # PID 1 ignores its own SIGABRT; the C library goes on to an instruction that nobody may execute
        ("abort", f"{'SIGTRAP' if ARM else 'SIGSEGV'} at address"),
        ("illegal", "SIGILL at address"),
        ("breakpoint", "SIGTRAP at address"),
        ("trapped", "SIGSYS at address"),
        ("thread-3", "exit status 3"),
        ("thread-segfault", "killed by SIGSEGV"),
        ("execs", "exit status 4"),
        ("thread-execs", "exit status 4"),
    ],
)
def test_it_is_held_and_then_ends_as_it_would_have(
    how: str,
    said: str,
    begin: Callable[..., tuple[str, Path]],
    at_exit: Callable[..., Waiting],
    docker: Call,
    pid_of: Callable[[str], int],
) -> None:
    plain, go = begin(how)
    name, ours = begin(how)
    each = at_exit(name, "sh", "-c", "cat /proc/1/cmdline; read x; exit 5")
    assert each.said() == f"docker nsenter: waiting for {name} to end\n"
    for container, place in ((plain, go), (name, ours)):
        os.kill(pid_of(container), signal.SIGKILL) if how == "kill" else place.write_text("")
    line = each.said()
    found = HELD.match(line)
    assert found, line
    assert found[1] == name
    assert found[2].startswith(said)
    time.sleep(0.1)
    assert docker("inspect", "-f", "{{.State.Running}}", name).stdout == "true\n"
    status, output = each.end()
    assert status == 5
    assert output.startswith("sh" if "execs" in how else "/shared/ends")
    assert ending(docker, name) == ending(docker, plain)


def test_waiting_disturbs_nothing_and_a_kill_of_ours_changes_nothing(
    begin: Callable[..., tuple[str, Path]], at_exit: Callable[..., Waiting], docker: Call, pid_of: Callable[[str], int]
) -> None:
    name, go = begin("undisturbed")
    pid = pid_of(name)
    for _ in range(2):
        each = at_exit(name, "true")
        each.said()
        inside = docker("exec", name, "grep", "TracerPid", "/proc/1/status").stdout.split()
        assert inside == ["TracerPid:", "0"]
        each.kill()
        wait_until(lambda: "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text(), "nobody traces it")
        each.end()
    each = at_exit(name, "true")
    each.said()
    os.killpg(each.process.pid, signal.SIGINT)
    assert each.end() == (130, "")
    each = at_exit("-i", name, "sleep", "1000")
    each.said()
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt", "it is stopped")
    go.write_text("")
    time.sleep(0.2)
    assert docker("inspect", "-f", "{{.State.Running}}", name).stdout == "true\n"
    os.kill(pid, signal.SIGCONT)
    each.said()
    each.kill()
    assert ending(docker, name) == "exited 0"  # as often as a call of its was interrupted


def test_what_is_traced_already_is_one_sentence(
    begin: Callable[..., tuple[str, Path]], at_exit: Callable[..., Waiting], nsenter: Call, docker: Call
) -> None:
    name, go = begin("6")
    first = at_exit(name, "sh", "-c", "read x; exit 9")
    first.said()
    second = nsenter("--at-exit", name, "true")
    assert second.returncode == 125
    assert re.fullmatch(
        rf"docker nsenter: {name} is traced by process \d+ already, so it can't be held\n", second.stderr
    )
    go.write_text("")
    first.said()
    assert first.end()[0] == 9
    assert ending(docker, name) == "exited 6"


def test_a_first_thread_that_ends_alone_is_let_go(
    begin: Callable[..., tuple[str, Path]], at_exit: Callable[..., Waiting], docker: Call
) -> None:
    name, go = begin("alone")
    each = at_exit(name, "true")
    each.said()
    go.write_text("")
    said = f"docker nsenter: the first thread of {name} has ended and others go on, so it can't be held\n"
    assert each.said() == said
    assert each.end()[0] == 125
    assert docker("inspect", "-f", "{{.State.Running}}", name).stdout == "true\n"


def test_a_life_too_short_to_be_held_is_said(run: Run, plugin: Callable[..., Call]) -> None:
    late = f"    sleep({1.5 * PATIENCE})\n    _seize(pid, name)\n"  # it has been looked up while it ran
    slow = plugin(("enter/held.py", "    _seize(pid, name)\n", late))
    name = run(command=("sleep", str(0.9 * PATIENCE)))
    done = slow("--at-exit", name, "true")
    assert done.returncode == 125
    assert done.stderr == f"docker nsenter: {name} ended before it could be held\n"


@pytest.mark.parametrize("words", [("stop", "-t", "1"), ("rm", "-f")])
def test_docker_s_own_end_of_it_waits_until_we_leave(
    words: tuple[str, ...],
    begin: Callable[..., tuple[str, Path]],
    at_exit: Callable[..., Waiting],
    engine: dict[str, str],
) -> None:
    name, go = begin("2")
    each = at_exit(name, "sh", "-c", "read x; exit 9")
    each.said()
    go.write_text("")
    each.said()
    ending = subprocess.Popen(["docker", *words, name], env=engine, stdout=subprocess.DEVNULL)
    time.sleep(1)
    assert ending.poll() is None
    assert each.end()[0] == 9
    assert ending.wait(30) == 0


def test_a_restart_loop_is_caught_by_the_engine_s_events(
    run: Run, at_exit: Callable[..., Waiting], docker: Call
) -> None:
    name = run("--restart", "always", command=("sh", "-c", f"usleep {int(100000 * PATIENCE)}; exit 3"))
    # The engine waits for twice as long each time, from 100 ms: until that is enough for us to begin in
    most = next(each for each in range(2, 99) if 0.1 * 2 ** (each - 1) > 1.5 * PATIENCE)

    def between() -> bool:
        state = docker("inspect", "-f", "{{.State.Restarting}} {{.RestartCount}}", name).stdout.split()
        return state[0] == "true" and int(state[1]) >= most

    wait_until(between, "it is between two lives", 20)
    each = at_exit(name, "sh", "-c", "echo inside")
    assert each.said() == f"docker nsenter: waiting for {name} to end\n"
    assert "exit status 3" in each.said()
    assert each.end() == (0, "inside\n")


def test_at_start_enters_as_soon_as_it_runs(docker: Call, engine: dict[str, str]) -> None:
    name = f"nsenter-start-{os.getpid()}"
    docker("create", "--name", name, "--network", "none", "nsenter-test-busybox", "sleep", "1000")
    try:
        words = ["docker", "nsenter", "--at-start", name, "cat", "/proc/1/cmdline"]
        process = subprocess.Popen(words, env=engine, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        assert process.poll() is None
        docker("start", name)
        output, said = process.communicate(timeout=30)
        assert (process.returncode, output, said) == (0, "sleep\0001000\0", "")
    finally:
        docker("rm", "-f", name)


def test_a_helper_holds_it_too(
    begin: Callable[..., tuple[str, Path]], at_exit: Callable[..., Waiting], docker: Call
) -> None:
    name, go = begin("3")
    each = at_exit("--route", "helper", "-i", name, "sh", "-c", "echo inside; exit 5")
    assert "waiting for" in each.said()
    go.write_text("")
    assert "exit status 3" in each.said()
    assert each.end() == (5, "inside\n")
    assert ending(docker, name) == "exited 3"


def test_it_is_held_over_ssh_too(
    begin: Callable[..., tuple[str, Path]],
    at_exit: Callable[..., Waiting],
    docker: Call,
    engine: dict[str, str],
    tmp_path: Path,
) -> None:
    name, go = begin("3")
    with Remote(engine, tmp_path) as remote:
        words, env = remote.ssh()
        line = ("--helper-image", remote.image, "-i", name, "sh", "-c", "echo inside; read x; exit 5")
        each = at_exit(*line, docker=("docker", *words), env=env)
        assert each.said() == f"docker nsenter: waiting for {name} to end\n"
        go.write_text("")
        assert HELD.match(each.said())
        assert docker("inspect", "-f", "{{.State.Running}}", name).stdout == "true\n"
        assert each.end() == (5, "inside\n")
    assert ending(docker, name) == "exited 3"


ONLY_V2 = """umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@" """


@pytest.mark.parametrize("route", ["local", "helper"])
def test_with_cgroup_v2_alone_it_is_held_too(
    engine: dict[str, str], at_exit: Callable[..., Waiting], tmp_path: Path, route: str
) -> None:
    unshared = ("unshare", "--mount", "--propagation", "private", "sh", "-c", ONLY_V2, "sh")
    there_already = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    private = Private(tmp_path, engine, before=() if there_already else unshared)
    try:
        assert private.docker("info", "-f", "{{.CgroupVersion}}").stdout == "2\n"
        private.run("ends", command=("sh", "-c", "while [ ! -e /go ]; do usleep 10000; done; exit 3"))
        there = ("nsenter", f"--mount=/proc/{private.pid()}/ns/mnt", "--wd=/", "docker")
        line = ("--route", route, "-i", "ends", "sh", "-c", "grep -h 0:: /proc/self/cgroup /proc/1/cgroup; read x")
        each = at_exit(*line, docker=there, env=private.environment)
        each.said()
        private.docker("exec", "ends", "touch", "/go")
        assert "exit status 3" in each.said()
        ours, containers = each.end()[1].splitlines()
        assert ours == containers
        assert private.docker("wait", "ends").stdout == "3\n"
    finally:
        private.end()
