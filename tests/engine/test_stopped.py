"""A container that stops everything it sees stops neither the client's end nor its own removal."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest
from docker_nsenter.enter.linux import syscalls

from ..conftest import Call, Run, children, wait_until
from ..patience import PATIENCE
from .conftest import build, stop_and_continue

Engine = dict[str, str]
PROMPT = r"[#$] (\x1b\[6n)?(\^Z)?$"  # the kernel echoes ^Z when it has sent the signal, maybe behind the prompt
STOPPER = """
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int runs(int pid) {
    char path[64], words[64] = "";
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    fread(words, 1, sizeof words - 1, file);
    fclose(file);
    return !strcmp(words, "sleep");
}
int main(int count, char **words) {
    for (;;) {
        DIR *all = opendir("/proc");
        struct dirent *each;
        while ((each = readdir(all))) {
            int pid = atoi(each->d_name);
            if (pid > 1 && (count == 1 || runs(pid))) kill(pid, SIGSTOP);
        }
        closedir(all);
        usleep(1000);
    }
}
"""
ROUTES = [(), ("--route=helper",)]


@pytest.fixture
def stopper(run: Run, tmp_path: Path) -> Callable[..., str]:
    """Start a container whose first process stops every other, or every one that is already the command."""
    build(tmp_path, "stopper", STOPPER)
    return lambda *words: run("-v", f"{tmp_path}/stopper:/stopper:ro", command=("/stopper", *words))


@pytest.fixture
def hostile(stopper: Callable[..., str]) -> str:
    """Start a container that stops every command."""
    return stopper("commands")


def state(docker: Call, name: str, word: str) -> str:
    """Read the state of the container's process with this argument."""
    rows = docker("top", name, "-eo", "pid,stat,args", check=False).stdout.splitlines()
    return next((row.split()[1][0] for row in rows if word in row), "")


@pytest.mark.parametrize("route", ROUTES, ids=["local", "helper"])
@pytest.mark.parametrize("mode", ["-t", "-T"])
def test_the_container_can_be_removed_at_once(
    hostile: str, docker: Call, nsenter: Call, engine: Engine, route: tuple[str, ...], mode: str
) -> None:
    client = pexpect.spawn("docker", ["nsenter", *route, mode, hostile, "sleep", "8642"], env=engine, timeout=60)
    wait_until(lambda: state(docker, hostile, "8642") == "T", "it is stopped", 60)
    time.sleep(0.3)
    assert nsenter("--list").returncode == 0
    begin = time.monotonic()
    docker("rm", "-f", hostile)
    assert time.monotonic() - begin < 2 * PATIENCE
    client.expect(pexpect.EOF)
    client.close()
    assert client.exitstatus == 137


@pytest.mark.parametrize("route", ROUTES, ids=["local", "helper"])
@pytest.mark.parametrize("end", ["^C", "^C raw", "TERM"])  # the last to us: docker itself waits for us on a terminal
def test_who_wants_to_leave_can(hostile: str, docker: Call, engine: Engine, route: tuple[str, ...], end: str) -> None:
    mode = "-t" if end == "^C raw" else "-T"
    client = pexpect.spawn("docker", ["nsenter", *route, mode, hostile, "sleep", "8643"], env=engine, timeout=5)
    wait_until(lambda: state(docker, hostile, "8643") == "T", "it is stopped", 60)
    time.sleep(0.3)
    if end == "TERM":
        os.kill(children(client.pid)[0], signal.SIGTERM)
    else:
        client.sendintr()
    client.expect(pexpect.EOF)
    client.close()
    wait_until(lambda: state(docker, hostile, "8643") == "", "the command is gone", 8)


@pytest.mark.parametrize("route", ROUTES, ids=["local", "helper"])
def test_docker_without_a_terminal_hears_sigterm(
    hostile: str, docker: Call, engine: Engine, route: tuple[str, ...]
) -> None:
    words = ["docker", "nsenter", *route, hostile, "sleep", "8648"]
    client = subprocess.Popen(words, env=engine, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    wait_until(lambda: state(docker, hostile, "8648") == "T", "it is stopped", 60)
    time.sleep(0.3)
    client.terminate()
    assert client.wait(3) == 143


def test_a_killed_docker_leaves_nothing_in_the_way(hostile: str, docker: Call, engine: Engine) -> None:
    client = subprocess.Popen(["docker", "nsenter", hostile, "sleep", "8644"], env=engine, stdin=subprocess.DEVNULL)
    wait_until(lambda: state(docker, hostile, "8644") == "T", "it is stopped")
    client.kill()
    client.wait()
    begin = time.monotonic()
    docker("rm", "-f", hostile)
    assert time.monotonic() - begin < 2 * PATIENCE


@pytest.mark.parametrize("shell", ["bash --norc --noprofile -i", "dash -i"])
@pytest.mark.parametrize("mode", ["-T", "-t"])
def test_a_suspended_job_is_reaped_while_it_sleeps(
    run: Run, docker: Call, engine: Engine, shell: str, mode: str
) -> None:
    name = run()
    program, *words = shell.split()
    outer = pexpect.spawn(program, words, env={**engine, "PS1": "# "}, timeout=20, encoding="utf-8")
    outer.expect(PROMPT)
    command = "sleep 8645" if mode == "-T" else "sh -c 'sleep 0.5; kill -STOP $$; sleep 8645'"
    outer.sendline(f"docker nsenter {mode} {name} {command}")
    wait_until(lambda: state(docker, name, "8645") in (("S", "T") if mode == "-T" else ("T",)), "it runs")
    time.sleep(0.3)
    outer.send("\x1a")
    outer.expect("Stopped")
    outer.expect(PROMPT)
    begin = time.monotonic()
    docker("rm", "-f", name)
    assert time.monotonic() - begin < 2 * PATIENCE
    outer.sendline("fg; echo status=$?")
    outer.expect(r"status=137")
    outer.close(force=True)


def cross(pid: int) -> None:
    """Send SIGCONT when the kernel has taken SIGTSTP out, and before its handler has begun."""
    syscalls.ptrace(syscalls.PTRACE_SEIZE, pid, 0, 0)
    os.kill(pid, signal.SIGTSTP)
    for number, then, request in (
        (signal.SIGTSTP, signal.SIGCONT, syscalls.PTRACE_CONT),
        (signal.SIGCONT, 0, syscalls.PTRACE_DETACH),
    ):
        while (status := os.waitpid(pid, 0)[1]) >> 8 != number:
            syscalls.ptrace(syscalls.PTRACE_CONT, pid, 0, os.WSTOPSIG(status))
        if then:
            os.kill(pid, then)
        syscalls.ptrace(request, pid, 0, number)


@pytest.mark.parametrize("whose", ["ours", "the helper's", "the helper's client"])
def test_a_stop_that_is_taken_back_at_once_is_over(run: Run, docker: Call, engine: Engine, whose: str) -> None:
    name = run()
    words = ["docker", "nsenter", *ROUTES[whose != "ours"], name, "sh", "-c", "echo in; sleep 2.125; exit 3"]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    client = subprocess.Popen(words, env=engine, **streams, preexec_fn=os.setpgrp)  # type: ignore[call-overload] # noqa: PLW1509 - not an orphaned one
    try:
        assert client.stdout and client.stdout.readline() == b"in\n"
        cross(children(client.pid)[0] if whose == "the helper's client" else supervisor(name))
        wait_until(lambda: not state(docker, name, "2.125"), "it goes on and ends", 20)
        os.killpg(client.pid, signal.SIGCONT)  # told of a stop that was not its caller's wish, it has stopped
        assert client.wait(20) == 3
    finally:
        client.kill()
        client.communicate()


def supervisor(name: str) -> int:
    """Find who watches over the command in this container."""
    title = f"docker-nsenter: {name} (supervisor)".encode()
    return next(int(p.parent.name) for p in Path("/proc").glob("[0-9]*/cmdline") if p.read_bytes().startswith(title))


def test_a_stop_from_inside_is_not_the_callers(run: Run, docker: Call, engine: Engine) -> None:
    name = run()
    outer = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], env=engine, timeout=20, encoding="utf-8")
    outer.expect(PROMPT)
    outer.sendline(f"docker nsenter {name} sh -c 'echo ready; kill -STOP $$; echo again'")
    outer.expect("ready\r\n")
    with pytest.raises(pexpect.TIMEOUT):
        outer.expect("Stopped", timeout=1)
    stop_and_continue(outer, PROMPT)


def test_an_orphaned_job_is_never_stopped(run: Run, docker: Call, engine: Engine) -> None:
    name = run()
    words = ["docker", "nsenter", name, "sleep", "8646"]
    client = subprocess.Popen(words, env=engine, stdin=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: state(docker, name, "8646") == "S", "it runs")
    os.kill(children(client.pid)[0], signal.SIGTSTP)
    time.sleep(0.5)
    assert state(docker, name, "8646") == "S"
    client.kill()
    client.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_for_a_command_that_was_stopped_before_it_began_can_leave(
    stopper: Callable[..., str], docker: Call, engine: Engine, number: int
) -> None:
    name = stopper()
    client = subprocess.Popen(["docker", "nsenter", name, "sleep", "8647"], env=engine, stdin=subprocess.DEVNULL)

    def stopped() -> bool:
        """Tell whether a child of the plugin's is stopped, which is in none of the container's cgroups yet."""
        own = [grandchild for child in children(client.pid) for grandchild in children(child)]
        with suppress(FileNotFoundError, ProcessLookupError):  # one of docker's own, which has ended meanwhile
            return any("State:\tT" in Path(f"/proc/{pid}/status").read_text() for pid in own)
        return False

    wait_until(stopped, "the process is stopped")
    begin = time.monotonic()
    os.kill(client.pid, number)
    os.kill(children(client.pid)[0], number)
    client.wait(5)
    assert time.monotonic() - begin < 2 * PATIENCE
    docker("rm", "-f", name)
    assert time.monotonic() - begin < 4 * PATIENCE
