"""Attack: take what the caller has and a container must not: files, directories, variables, keys, the terminal.

Raw nsenter gives each of them away, which shows that the attacks are real.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from ..conftest import Call, Run, wait_until
from .conftest import Plugin, Raw, build, run_words

Engine = dict[str, str]

TIOCSTI = r"""
#include <sys/ioctl.h>
int main(void) {
    const char *text = "rm -rf everything\n";
    while (*text && ioctl(0, 0x5412, text) == 0) text++;
    return *text != 0;
}
"""
# keyctl(2) by number: there is no library for it. 250 on x86-64, 219 on arm64
KEYS = """
import ctypes, os, sys
libc, number = ctypes.CDLL(None, use_errno=True), 250 if os.uname().machine == "x86_64" else 219
"""
WITH_KEY = KEYS + (
    'libc.syscall(number, 1, b"nsenter-test")\n'  # a session keyring of this name
    "add = 248 if number == 250 else 217\n"
    'key = libc.syscall(add, b"user", b"token", b"secret", 6, -3)\n'
    "libc.syscall(number, 5, key, 0x3f000000)\n"  # only for who possesses it
    "words = [word.replace('KEY', str(key)) for word in sys.argv[1:]]\n"
    "os.execvp(words[0], words)\n"
)
READ_KEY = KEYS + (
    "buffer = ctypes.create_string_buffer(20)\n"
    "size = libc.syscall(number, 11, int(sys.argv[1]), buffer, 20)\n"
    'print("stole", buffer.value.decode()) if size > 0 else print("no key:", os.strerror(ctypes.get_errno()))\n'
)

# Seize whatever process appears, and say which words begin with WORD_ in all that it may write to. The word is put
# together here: the program's own memory must not say it.
PEEK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
static char word[] = "vnqc^";
static int newest(void) {
    char text[128];
    int fd = open("/proc/loadavg", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return atoi(strrchr(text, ' '));
}
static void look(int pid) {
    char path[64], line[512], access[8];
    unsigned long begin, end;
    int status;
    if (ptrace(PTRACE_SEIZE, pid, 0, 0)) return;
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    waitpid(pid, &status, __WALL);
    sprintf(path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    while (maps && fgets(line, sizeof line, maps)) {
        sscanf(line, "%lx-%lx %7s", &begin, &end, access);
        if (access[1] != 'w' || end - begin > 64 << 20) continue;
        char *copy = malloc(end - begin), *at = copy;
        struct iovec into = {copy, end - begin}, from = {(void *)begin, end - begin};
        ssize_t got = process_vm_readv(pid, &into, 1, &from, 1, 0);
        for (; got > 0 && (at = memmem(at, copy + got - at, word, 5)); at++)
            if (copy + got - at > 16) printf("%.16s\n", at);
        free(copy);
    }
    if (maps) fclose(maps);
    ptrace(PTRACE_DETACH, pid, 0, 0);
    puts("looked");
}
int main(void) {
    for (char *at = word; *at; at++) ++*at;
    setvbuf(stdout, 0, _IOLBF, 0);
    for (int seen = newest();; usleep(50)) {
        int last = newest();
        while (seen < last)
            if (++seen != getpid()) look(seen);
    }
}
"""


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A directory of the host's."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private/secret").write_text("a secret of the host's\n")
    return tmp_path / "private"


@pytest.fixture
def holding(engine: Engine) -> Callable[..., str]:
    """Run a command while descriptor 9 of the caller's, which children inherit, is open; return all that was said."""

    def call(path: Path, *words: str) -> str:
        script = ("bash", "-c", 'exec 9<"$0"; exec "$@"', str(path))
        done = run_words(*script, *words, env=engine, stdin=subprocess.DEVNULL)
        return done.stdout + done.stderr

    return call


@pytest.mark.parametrize(
    "steal", ["cat <&9", "cat /proc/self/fd/9/secret", "cd /proc/self/fd/9 && cat secret", "cat /proc/*/fd/9/secret"]
)
def test_no_open_file_or_directory_of_the_callers_comes_in(
    run: Run, holding: Callable[..., str], pid_of: Callable[[str], int], secret: Path, steal: str
) -> None:
    name = run("--cap-add", "SYS_PTRACE")
    path = secret / "secret" if "<&9" in steal else secret
    command = ("sh", "-c", steal)
    assert "a secret" in holding(path, "nsenter", "-t", str(pid_of(name)), "-a", "--", *command)
    assert "a secret" not in holding(path, "docker", "exec", name, *command)
    assert "a secret" not in holding(path, "docker", "nsenter", name, *command)


@pytest.mark.parametrize("number", [0, 3, 7, 9])
def test_no_working_directory_leads_out(run: Run, holding: Callable[..., str], secret: Path, number: int) -> None:
    """CVE-2024-21626: an image, or -w, whose working directory is a descriptor of the entering process."""
    place = f"/proc/self/fd/{number}"
    name = run("-w", "/tmp")
    for option in (place, f"{place}/..", f"/proc/thread-self/fd/{number}"):
        said = holding(secret, "docker", "nsenter", "-w", option, name, "sh", "-c", "pwd; cat secret ../secret")
        assert "a secret" not in said
        assert said.startswith("docker nsenter: cannot change to the working directory"), said


def test_the_working_directory_check_is_needed(run: Run, plugin: Plugin, nsenter: Call, secret: Path) -> None:
    """A directory of the host's in the place of the working directory: refused, and readable without the check."""
    name = run()
    jump = ("enter/steps.py", "        posix.chdir(encode(wanted))", "        posix.fchdir(entry.plan_cwd)")
    hold = (
        "enter/steps.py",
        "def _take_stdio(entry: Entry) -> None:\n",
        "def _take_stdio(entry: Entry) -> None:\n    pass\n",
    )
    here = (
        "enter/steps.py",
        "def _join(entry: Entry) -> None:\n",
        "def _join(entry: Entry) -> None:\n    entry.plan_cwd = posix.open('.', posix.O_PATH)\n",
    )
    off = ("enter/steps.py", "    if not inside:", "    if False:")
    assert "a secret" in plugin(jump, hold, here, off)(name, "cat", "secret", cwd=secret).stdout
    done = plugin(jump, hold, here)(name, "cat", "secret", cwd=secret)
    assert done.returncode == 125
    assert "outside the container" in done.stderr


def test_no_variable_of_the_callers_comes_in(run: Run, docker: Call, nsenter: Call, raw: Raw, engine: Engine) -> None:
    name = run("--cap-add", "SYS_PTRACE")
    env = {**engine, "TOKEN": "a secret of the callers"}
    steal = "env; cat /proc/*/environ"
    assert "a secret" in raw(name, "sh", "-c", steal, env=env).stdout
    assert "a secret" not in nsenter(name, "sh", "-c", steal, env=env).stdout
    assert "a secret" not in docker("exec", name, "sh", "-c", steal, env=env, check=False).stdout


@pytest.mark.parametrize("route", ["local", "helper"])
def test_a_container_that_may_trace_sees_nothing_of_those_entered_with_it(
    run: Run, docker: Call, nsenter: Call, engine: Engine, tmp_path: Path, route: str
) -> None:
    """A command's process begins as a copy of ours: what we have read of others would be in its memory."""
    peek = build(tmp_path, "peek", PEEK)
    name = run("--cap-add", "SYS_PTRACE", "-v", f"{peek}:/peek:ro", command=("/peek",))
    others = [run("-e", f"TOKEN=word_of_others_{'x' * size}") for size in (10, 300, 900, 3000, 9000) * 2]

    def words(*options: str) -> set[str]:
        before = len(docker("logs", name).stdout)
        done = nsenter("--route", route, *options, "true", env={**engine, "CALLER": "word_of_the_caller"})
        assert done.returncode == 0, done.stderr
        wait_until(lambda: "looked" in docker("logs", name).stdout[before:], "it has looked")
        return set(re.findall(r"word_\w+", docker("logs", name).stdout[before:]))

    assert words("-e", "OWN=word_of_its_own_", name) == {"word_of_its_own_"}, "the attack works"
    for chosen in ([name, *others], [*others, name], [*others[:5], name, *others[5:]]):
        for at_once in ("1", "4"):
            assert words("--parallel", at_once, ",".join(chosen)) == set()


def test_no_key_of_the_callers_can_be_read(run: Run, engine: Engine, pid_of: Callable[[str], int]) -> None:
    """This machine's Python reads the key in the container's network, where docker exec has no say."""
    name = run("--security-opt", "seccomp=unconfined")
    read = (sys.executable, "-c", READ_KEY, "KEY")
    caller = (sys.executable, "-c", WITH_KEY)
    taken = run_words(*caller, "nsenter", "-t", str(pid_of(name)), "-n", *read, env=engine)
    assert taken.stdout == "stole secret\n", taken.stderr
    kept = run_words(*caller, "docker", "nsenter", "--net-only", name, *read, env=engine, stdin=subprocess.DEVNULL)
    assert kept.stdout.startswith("no key:"), kept.stderr


@pytest.mark.parametrize("tool", ["raw", "docker nsenter", "docker nsenter -T", "docker exec -it"])
def test_nothing_is_typed_into_the_callers_shell(
    run: Run, engine: Engine, pid_of: Callable[[str], int], tmp_path: Path, tool: str
) -> None:
    """TIOCSTI (CVE-2016-10124): the command puts a line into the terminal, and the caller's shell reads it."""
    name = run("-v", f"{build(tmp_path, 'tiocsti', TIOCSTI)}:/tiocsti:ro")
    enter = {"raw": f"nsenter -t {pid_of(name)} -a --"}.get(tool, f"{tool} {name}")
    script = f"{enter} /tiocsti; stty -echo; read -t 1 line; echo got=$line."
    child = pexpect.spawn("bash", ["-c", script], env=engine, encoding="utf-8", timeout=30)
    child.expect(r"got=(.*)\.")
    assert child.match.group(1) == ("rm -rf everything" if tool == "raw" else "")
    child.close()
