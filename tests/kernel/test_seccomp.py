"""Filters: copied exactly, the donor undisturbed, the interpreter agrees with the kernel."""

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_nsenter.enter import seccomp
from docker_nsenter.enter.target import Target

from .conftest import plan_for, run_plan

LIBRARY = str(Path(seccomp.__file__).parents[2])
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
from docker_nsenter.enter import kernel, seccomp
for _ in range({{count}}):
    seccomp.install([seccomp.Filter({PROGRAM!r}, 0)])
print("ready", flush=True)
{{sleep}}
"""
# A raw epoll_wait through libc: Python's own would retry after EINTR and hide it.
EPOLL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.epoll_create1(0)
result = libc.epoll_wait(fd, ctypes.create_string_buffer(64), 1, -1)
print("woken", result, ctypes.get_errno(), flush=True)
"""


class Donor:
    """A process with filters of its own."""

    def __init__(self, count: int, sleep: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", DONOR.format(count=count, sleep=sleep)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"
        self.target = Target(self.process.pid)


@pytest.fixture
def donors() -> Iterator[list[Donor]]:
    started: list[Donor] = []
    yield started
    for donor in started:
        donor.process.kill()
        donor.process.wait()


def blocked(pid: int) -> None:
    """Wait until the process sleeps in a system call."""
    for _ in range(1000):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "S":
            return
    raise AssertionError("it never slept")


def test_the_copy_is_the_filter_byte_by_byte(donors: list[Donor]) -> None:
    donor = Donor(2, "import time; time.sleep(1000)")
    donors.append(donor)
    copied = seccomp.copy(donor.target, 2)
    assert [each.program for each in copied] == [PROGRAM, PROGRAM]


def test_only_the_oldest_filters_are_wanted(donors: list[Donor]) -> None:
    donor = Donor(3, "import time; time.sleep(1000)")
    donors.append(donor)
    assert seccomp.wanted_filters(donor.target, "container") == 1
    assert seccomp.wanted_filters(donor.target, "none") == 0
    assert seccomp.wanted_filters(donor.target, "unconfined") == 0


def test_a_donor_in_epoll_wait_never_learns_of_it(donors: list[Donor]) -> None:
    donor = Donor(1, EPOLL)
    donors.append(donor)
    blocked(donor.process.pid)
    for _ in range(20):
        assert len(seccomp.copy(donor.target, 1)) == 1
    assert donor.process.poll() is None
    blocked(donor.process.pid)  # a moment after the last stop it is still on its way back into the call


def test_copies_at_once_wait_for_each_other(donors: list[Donor]) -> None:
    donor = Donor(1, EPOLL)
    donors.append(donor)
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(len(seccomp.copy(donor.target, 1)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 8
    assert donor.process.poll() is None


def test_a_donor_that_is_traced_already_is_an_error_with_a_reason(donors: list[Donor]) -> None:
    donor = Donor(1, "import time; time.sleep(1000)")
    donors.append(donor)
    tracer = subprocess.Popen(["strace", "-p", str(donor.process.pid), "-o", "/dev/null"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(1000):
            if Target(donor.process.pid).status["TracerPid"] != [0]:
                break
        with pytest.raises(OSError, match="ptrace") as caught:
            seccomp.copy(donor.target, 1)
        assert "another tracer" in seccomp.explain(caught.value).sentence
    finally:
        tracer.kill()
        tracer.wait()


def test_no_stopped_donor_is_left_when_the_copier_is_killed(donors: list[Donor]) -> None:
    donor = Donor(1, "import time; time.sleep(1000)")
    donors.append(donor)
    for _ in range(10):
        copier = os.fork()
        if not copier:
            while True:
                seccomp.copy(donor.target, 1)
        os.kill(copier, 9)
        os.waitpid(copier, 0)
    seccomp.copy(donor.target, 1)
    blocked(donor.process.pid)


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
