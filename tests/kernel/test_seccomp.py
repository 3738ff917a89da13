"""Filters: copied exactly, the donor undisturbed, the interpreter agrees with the kernel."""

import errno
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker_nsenter.enter.launch import LABELS
from docker_nsenter.enter.linux import seccomp, syscalls
from docker_nsenter.enter.session import failures
from docker_nsenter.enter.target import Target

from .conftest import plan_for, run_plan

LIBRARY = str(Path(seccomp.__file__).parents[3])
# A filter that lets everything happen but acct(2), which gets EACCES.
ACCT = 163 if os.uname().machine == "x86_64" else 89
PROGRAM = b"".join(
    code.to_bytes(2, "little") + bytes(jumps) + k.to_bytes(4, "little")
    for code, jumps, k in [
        (0x20, (0, 0), 0),
        (0x15, (0, 1), ACCT),
        (0x06, (0, 0), 0x0005000D),
        (0x06, (0, 0), 0x7FFF0000),
    ]
)
DONOR = f"""
import sys; sys.path.insert(0, {LIBRARY!r})
import os, select
from docker_nsenter.enter.linux import syscalls
from docker_nsenter.enter.linux import seccomp
for _ in range({{count}}):
    seccomp.install([seccomp.Filter({PROGRAM!r}, 0)])
print("ready", flush=True)
{{sleep}}
"""
# Calls that a stop would end with EINTR, and some that restart by themselves: raw, for Python's own would retry
CALLS = {
    "epoll_pwait": "fd = libc.epoll_create1(0); r = libc.epoll_pwait(fd, buffer, 1, -1, None)",
    "epoll_pwait2": "fd = libc.epoll_create1(0); r = libc.syscall(441, fd, buffer, 1, None, None, 0)",
    "rt_sigtimedwait": "buffer[1] = 2; r = libc.sigtimedwait(buffer, None, LONG)",
    "semop": "s = libc.semget(0, 1, 0o1600); r = libc.semop(s, (ctypes.c_short * 3)(0, -1, 0), 1)",
    "semtimedop": "s = libc.semget(0, 1, 0o1600); r = libc.semtimedop(s, (ctypes.c_short * 3)(0, -1, 0), 1, LONG)",
    "msgrcv": "q = libc.msgget(0, 0o1600); r = libc.msgrcv(q, buffer, 64, 0, 0)",
    "recv with a timeout": "one, two = socket.socketpair(); r = libc.recv(timed(one), buffer, 64, 0)",
    "accept with a timeout": "one = socket.socket(socket.AF_UNIX); one.bind(''); one.listen(); "
    "r = libc.accept(timed(one), None, None)",
    "poll": "r = libc.poll(None, 0, 1000000)",
    "ppoll": "r = libc.ppoll(None, 0, LONG, None)",
    "pselect": "r = libc.pselect(0, None, None, None, LONG, None)",
    "nanosleep": "r = libc.nanosleep(LONG, None)",
    "clock_nanosleep": "r = libc.clock_nanosleep(1, 0, LONG, None)",
    "futex": "r = libc.syscall(FUTEX, buffer, 0, 0, None, None, 0)",
    "futex with a timeout": "r = libc.syscall(FUTEX, buffer, 0, 0, LONG, None, 0)",
    "io_getevents": "c = ctypes.c_long(0); libc.syscall(IO_SETUP, 1, ctypes.byref(c)); "
    "r = libc.syscall(IO_GETEVENTS, c, 1, 1, buffer, None)",
    "read of a pipe": "r = libc.read(os.pipe()[0], buffer, 64)",
    "read of inotify": "r = libc.read(libc.inotify_init1(0), buffer, 512)",
}
CALL = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(512)
LONG = (ctypes.c_long * 2)(1000, 0)
FUTEX, IO_SETUP, IO_GETEVENTS = (202, 206, 208) if os.uname().machine == "x86_64" else (98, 0, 4)
libc.unshare(0x08000000)  # CLONE_NEWIPC: queues and semaphores end with this process
def timed(one):
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, (1000).to_bytes(8, "little") + bytes(8))
    return one.fileno()
{call}
print("woken", r, ctypes.get_errno(), flush=True)
"""
EPOLL = CALL.format(call=CALLS["epoll_pwait"])
RESTART = seccomp.SYSCALL_RESTART[os.uname().machine]
# A filter that ends whoever goes on by restart_syscall
MORTAL = PROGRAM.replace(ACCT.to_bytes(4, "little"), RESTART.to_bytes(4, "little"), 1)
MORTAL = MORTAL.replace((0x0005000D).to_bytes(4, "little"), (0x80000000).to_bytes(4, "little"))


class Donor:
    """A process with filters of its own, in a session of its own."""

    def __init__(self, count: int, sleep: str, program: bytes = PROGRAM) -> None:
        source = DONOR.format(count=count, sleep=sleep).replace(repr(PROGRAM), repr(program))
        self.process = subprocess.Popen(
            [sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"
        self.target = Target(self.process.pid)

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


Start = Callable[..., Donor]


@pytest.fixture
def donor() -> Iterator[Start]:
    started: list[Donor] = []

    def start(count: int, sleep: str, program: bytes = PROGRAM) -> Donor:
        started.append(Donor(count, sleep, program))
        return started[-1]

    yield start
    for each in started:
        os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait()


def blocked(pid: int) -> list[str]:
    """Wait until the process sleeps in a system call; return its arguments, the stack and the program counter."""
    for _ in range(1000):
        words = Path(f"/proc/{pid}/syscall").read_text().split()
        if len(words) == 9 and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S":
            return words[1:]
        time.sleep(0.005)
    raise AssertionError("it never slept")


def test_the_copy_is_the_filter_byte_by_byte(donor: Start) -> None:
    copied = seccomp.copy(donor(2, "import time; time.sleep(1000)").target, 2)
    assert [each.program for each in copied] == [PROGRAM, PROGRAM]


def test_only_the_oldest_filters_are_wanted(donor: Start) -> None:
    target = donor(3, "import time; time.sleep(1000)").target
    assert seccomp.wanted_filters(target, "container") == 1
    assert seccomp.wanted_filters(target, "none") == 0
    assert seccomp.wanted_filters(target, "unconfined") == 0


# --- the donor never learns of it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_waits_is_not_interrupted(donor: Start, call: str) -> None:
    """Twenty times in a row, then eight at once; raw ptrace ends most of these calls with EINTR."""
    one = donor(1, CALL.format(call=CALLS[call]))
    before = settled(one)
    for _ in range(20):
        assert len(seccomp.copy(one.target, 1)) == 1
    assert settled(one) == before
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(len(seccomp.copy(one.target, 1)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 8
    assert settled(one) == before
    assert one.process.poll() is None


def settled(one: Donor) -> list[str]:
    """Wait until the donor is in its call, twice: Python's own start has calls that wait, too."""
    found = blocked(one.process.pid)
    time.sleep(0.1)
    again = blocked(one.process.pid)
    return again if again == found else settled(one)


def test_raw_ptrace_does_interrupt(donor: Start) -> None:
    one = donor(1, EPOLL)
    settled(one)
    subprocess.run(
        ["strace", "-p", str(one.process.pid), "-o", "/dev/null"], timeout=60, check=False, capture_output=True
    )
    assert one.line() == f"woken -1 {errno.EINTR}\n"


BUSY = {
    "computing": "r = 0\nwhile True: pass",
    "calling": "r = 0\nwhile True: libc.getppid()",
    "waiting for moments": """
fd, r = libc.epoll_create1(0), 0
while r >= 0:
    r = libc.epoll_pwait(fd, buffer, 1, 1, None)
    for _ in range(200): libc.getppid()
""",
}


@pytest.mark.parametrize("kind", BUSY)
def test_a_busy_thread_is_not_interrupted(donor: Start, kind: str) -> None:
    one = donor(1, CALL.format(call=BUSY[kind]))
    for _ in range(50):
        assert len(seccomp.copy(one.target, 1)) == 1
    assert one.process.poll() is None


@pytest.mark.parametrize("call", ["poll", "nanosleep", "clock_nanosleep", "futex with a timeout", "epoll_pwait"])
@pytest.mark.parametrize("own", [False, True], ids=["the runtime's filter", "a filter of its own"])
def test_a_filter_that_denies_restart_syscall_is_not_the_donors_end(donor: Start, call: str, *, own: bool) -> None:
    install = f"seccomp.install([seccomp.Filter({MORTAL!r}, 0)])\n" if own else ""
    one = donor(1, install + CALL.format(call=CALLS[call]), PROGRAM if own else MORTAL)
    before = settled(one)
    for _ in range(20):
        assert len(seccomp.copy(one.target, 1)) == 1
        assert settled(one) == before
    assert one.process.poll() is None


# --- a first process that can't be stopped --------------------------------------------------------------------------

THREAD = "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start(); time.sleep(1000)"
CHILD = "import os, time; os.fork(); time.sleep(1000)"
LEFT = "import os, time; os.fork() or os.setsid(); time.sleep(1000)"
ALONE = "import time; time.sleep(1000)"
VFORK = (
    "import time; syscalls.clone(0x4011); time.sleep(1000)"  # CLONE_VFORK without CLONE_VM: the child goes on in here
)


@contextmanager
def traced(pid: int) -> Iterator[None]:
    """Trace the first thread of a process, as somebody at work does."""
    with subprocess.Popen(["strace", "-p", str(pid), "-o", "/dev/null"], stderr=subprocess.DEVNULL) as tracer:
        try:
            while Target(pid).status["TracerPid"] != [tracer.pid]:
                assert tracer.poll() is None
                time.sleep(0.01)
            yield
        finally:
            tracer.kill()


@pytest.mark.parametrize("donors", [THREAD, CHILD], ids=["a thread", "a child"])
def test_where_the_first_thread_is_traced_another_gives_its_filter(donor: Start, donors: str) -> None:
    one = donor(1, donors)
    settled(one)
    with traced(one.process.pid):
        assert [each.program for each in seccomp.copy(one.target, 1)] == [PROGRAM]


@pytest.mark.parametrize("donors", [ALONE, LEFT], ids=["alone", "with a child in another session"])
def test_a_donor_that_is_traced_already_is_an_error_with_a_reason(donor: Start, donors: str) -> None:
    """Who is in another session may have come into the container from outside, with other filters."""
    one = donor(1, donors)
    settled(one)
    with traced(one.process.pid), pytest.raises(OSError, match="ptrace") as caught:
        seccomp.copy(one.target, 1)
    report = "F", f"install 0 {caught.value.errno} ptrace"
    plan = plan_for(one.process.pid)
    assert "another tracer" in failures.explain(report, LABELS, plan).sentence  # type: ignore[arg-type]


def test_where_the_first_process_sits_in_vfork_its_child_gives_its_filter(donor: Start) -> None:
    one = donor(1, VFORK)
    path = Path(f"/proc/{one.process.pid}/stat")
    while path.read_text().rpartition(")")[2].split()[0] != "D":
        time.sleep(0.01)
    assert [each.program for each in seccomp.copy(one.target, 1)] == [PROGRAM]


def test_no_stopped_donor_is_left_when_the_copier_is_killed(donor: Start) -> None:
    one = donor(1, "import time; time.sleep(1000)")
    for _ in range(10):
        copier = os.fork()
        if not copier:
            while True:
                seccomp.copy(one.target, 1)
        os.kill(copier, 9)
        os.waitpid(copier, 0)
    seccomp.copy(one.target, 1)
    blocked(one.process.pid)


def test_the_interpreter_reads_a_filter_as_the_kernel_does() -> None:
    assert not seccomp.allows(PROGRAM, ACCT)
    assert seccomp.allows(PROGRAM, ACCT + 1)
    assert seccomp.decide(PROGRAM, ACCT) == 0x0005000D


def test_the_interpreter_goes_through_a_long_chain_of_calls_as_the_kernel_does() -> None:
    """Of calls that no kernel has, each third one is refused with a number, the next with another."""
    numbers = range(700, 860)
    rows = [(0x20, 0, 0, 0)]  # load the call's number
    left = len(numbers)
    for number in numbers:
        left -= 1
        rows.append((0x15, left + number % 3, 0, number))
    rows += [(0x05, 0, 0, 2), (0x06, 0, 0, 0x00050007), (0x06, 0, 0, 0x00050008), (0x06, 0, 0, 0x7FFF0000)]
    program = b"".join(struct.pack("<HBBI", *row) for row in rows)
    script = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True); "
        f"program = ctypes.create_string_buffer({program!r}, {len(program)}); libc.prctl(38, 1, 0, 0, 0); "
        f"head = (ctypes.c_size_t * 2)({len(rows)}, ctypes.addressof(program)); libc.prctl(22, 2, head, 0, 0); "
        "print(*((libc.syscall(n), ctypes.get_errno())[1] for n in range(699, 862)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = [seccomp.decide(program, number) for number in range(699, 862)]
    assert [each & 0xFFFF if each >> 16 == 5 else 38 for each in found] == [int(word) for word in done.stdout.split()]
    assert len(set(found)) == 3


def test_a_filter_with_a_supervisor_is_copied_without_it_and_said() -> None:
    """SECCOMP_RET_USER_NOTIF without a listener is ENOSYS: refused, not let through (seccomp_unotify(2))."""
    asking = PROGRAM.replace((0x0005000D).to_bytes(4, "little"), (0x7FC00000).to_bytes(4, "little"))
    donor = DONOR.format(count=1, sleep="import time; time.sleep(1000)").replace(repr(PROGRAM), repr(asking))
    process = subprocess.Popen([sys.executable, "-c", donor], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        call = f"import ctypes; print(ctypes.CDLL(None, use_errno=True).syscall({ACCT}, 0), ctypes.get_errno())"
        done = run_plan(plan_for(process.pid, "/usr/bin/python3", "-c", call))
    finally:
        process.kill()
        process.wait()
    assert (done.returncode, done.stdout) == (0, "-1 38\n"), done.stderr
    assert done.stderr.count("\n") == 1
    assert "supervisor" in done.stderr


def test_the_interpreter_looks_at_the_arguments() -> None:
    """A filter that refuses personality(1) alone: load args[0], compare, return."""
    load, equal, ret = 0x20, 0x15, 0x06
    rows = ((load, 0, 0, 16), (equal, 0, 1, 1), (ret, 0, 0, 0x00050001), (ret, 0, 0, 0x7FFF0000))
    program = b"".join(
        code.to_bytes(2, "little") + bytes((yes, no)) + k.to_bytes(4, "little") for code, yes, no, k in rows
    )
    assert seccomp.decide(program, 135, bytes([1]) + bytes(47)) == 0x00050001
    assert seccomp.decide(program, 135, bytes([2]) + bytes(47)) == 0x7FFF0000


# --- whose filter it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "false"),
    [(0x0005000D, False), (0x00050000, True), (0x80000000, False), (0x7FFC0000, False), (0x7FF00001, False)],
)
def test_a_filter_that_lets_a_call_seem_to_succeed_is_known(value: int, *, false: bool) -> None:
    assert seccomp.pretends(PROGRAM.replace((0x0005000D).to_bytes(4, "little"), value.to_bytes(4, "little"))) == false


def test_a_filter_of_the_processs_own_making_that_fakes_a_success_is_refused() -> None:
    """Nothing tells that it is a runtime's; setresuid that does nothing would run su's command as root."""
    fake = PROGRAM.replace((0x0005000D).to_bytes(4, "little"), (0x00050000).to_bytes(4, "little"))
    donor = Donor(1, "import time; time.sleep(1000)", fake)
    try:
        done = run_plan(plan_for(donor.process.pid, "true"))
    finally:
        donor.process.kill()
        donor.process.wait()
    assert done.returncode == 125
    assert "fakes successful system calls" in done.stderr


# --- a filter that forbids the fork ---------------------------------------------------------------------------------

CHILDLESS = PROGRAM.replace(ACCT.to_bytes(4, "little"), syscalls.FORK_SIBLING[0].to_bytes(4, "little"), 1)


@pytest.mark.parametrize("traced", [False, True], ids=["made", "refused where we are traced ourselves"])
def test_a_fork_that_a_filter_forbids_is_made_under_it_or_refused(*, traced: bool) -> None:
    donor = Donor(1, "import time; time.sleep(1000)", CHILDLESS)
    before = ("strace", "-f", "-o", "/dev/null") if traced else ()
    try:
        done = run_plan(plan_for(donor.process.pid, "grep", "Seccomp:", "/proc/self/status"), before=before)
    finally:
        donor.process.kill()
        donor.process.wait()
    if traced:
        assert done.returncode == 125
        assert "filter denies clone, and cannot be suspended: Operation not permitted" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "Seccomp:\t2\n"), done.stderr
