"""Wait until the container's first process is about to end, and hold it there: --at-exit.

It is traced by PTRACE_SEIZE, and stops for nothing but its signals, which are passed on, and its end. It goes on by
itself when this process ends, whatever ends that: there is no PTRACE_O_EXITKILL. So the container ends as it would
have, a moment after the command that was run in it.
"""

import posix
from _signal import SIGCHLD, SIGSTOP, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, set_wakeup_fd, signal
from select import POLLIN, poll
from time import monotonic, sleep

from .entry import Entry
from .errors import EntryError, printable, say
from .linux import syscalls
from .linux.procfs import read
from .session import client
from .target import parse_status, pin

WALL = 0x40000000  # also threads
TRACE_EXIT, EVENT_EXIT, EVENT_STOP = 0x40, 6, 128
GET_EVENT_MESSAGE, GET_SIGNAL_INFO, LISTEN = 0x4201, 0x4202, 0x4208
EPERM, ESRCH = 1, 3
SI_KERNEL, TRAP_BRKPT = 0x80, 1  # where a signal comes from, as a breakpoint's does
STOPS = (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU)
# What the kernel sends for what an instruction did: unless it is caught, that is the end
FATAL = {4: "SIGILL", 5: "SIGTRAP", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV", 31: "SIGSYS"}
# Bytes by which the program counter is past a breakpoint, a system call that a filter traps: (x86-64, arm64)
PAST = {5: (1, 0), 31: (2, 4)}
COUNTER, REGISTERS = (16, 32), (27, 34)  # of the program counter's place among the registers, and how many there are
NAMES = {**FATAL, 1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 6: "SIGABRT", 9: "SIGKILL", 13: "SIGPIPE", 15: "SIGTERM"}
OTHERS = 0.5  # seconds in which the other threads of a process that ends are gone


def hold(entry: Entry) -> None:
    """Wait for the end of the process that was pinned, hold it, and pin it again, for it may have changed meanwhile."""
    target = entry.plan["target"]
    pid, name = target["pid"], printable(target["name"])
    _seize(pid, name)
    say(f"waiting for {name} to end")
    reader, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    set_wakeup_fd(writer, warn_on_full_buffer=False)
    before = signal(SIGCHLD, lambda *_: None)
    how = ""
    while not how:
        how = _next(entry, pid, reader)
    signal(SIGCHLD, before)
    set_wakeup_fd(-1)
    for fd in (reader, writer):
        posix.close(fd)
    posix.close(entry.target.pidfd)
    posix.close(entry.target.proc)
    entry.target = pin(pid, target["container"], target["owner"])
    say(f"{name} is held until you leave: {how}{_where(pid)}")


def _seize(pid: int, name: str) -> None:
    """Trace the first thread; one sentence where that can't be."""
    try:
        syscalls.ptrace(syscalls.PTRACE_SEIZE, pid, 0, TRACE_EXIT)
    except OSError as problem:
        tracer = parse_status(read(f"/proc/{pid}/status"))["TracerPid"][0] if problem.errno == EPERM else 0
        if tracer:
            raise EntryError(f"{name} is traced by process {tracer} already, so it can't be held") from None
        if problem.errno in (EPERM, ESRCH):  # EPERM: it is a zombie
            raise _too_quick(name) from None
        raise


def _too_quick(name: str) -> EntryError:
    return EntryError(f"{name} ended before it could be held")


def _next(entry: Entry, pid: int, reader: int) -> str:
    """Wait for the next stop and have it go on; say how it ends when it does."""
    found, status = _wait(entry, pid, reader)
    if not posix.WIFSTOPPED(status) or found != pid:
        raise _too_quick(printable(entry.plan["target"]["name"]))
    number, event = status >> 8 & 0xFF, status >> 16
    if event == EVENT_EXIT:
        return _ending(entry, pid)
    if event == EVENT_STOP:
        _go_on(LISTEN if number in STOPS else syscalls.PTRACE_CONT, pid, 0)
    elif _is_fatal(pid, number):
        _step_back(pid, number)
        return f"{FATAL[number]} at address {_signal_info(pid)[1]:#x}"
    else:
        _go_on(syscalls.PTRACE_CONT, pid, number)
    return ""


def _wait(entry: Entry, pid: int, reader: int) -> tuple[int, int]:
    """Wait for a change of the process, or until docker is gone."""
    waiting = poll()
    for fd in (reader, entry.docker):
        if fd >= 0:
            waiting.register(fd, POLLIN)
    while True:
        found, status = posix.waitpid(pid, posix.WNOHANG | WALL)
        if found:
            return found, status
        ready = [fd for fd, _ in waiting.poll()]
        if reader in ready:
            posix.read(reader, 4096)
        if entry.docker in ready and client.gone(entry.docker):
            raise EntryError("cancelled")


def _go_on(request: int, pid: int, number: int) -> None:
    """Let it go on; it may have been killed in its stop, whose end comes next."""
    try:
        syscalls.ptrace(request, pid, 0, number)
    except OSError as problem:
        if problem.errno != ESRCH:
            raise


def _is_fatal(pid: int, number: int) -> bool:
    """Tell whether a signal is the kernel's own, and nothing in the process catches it: a tracer keeps it from dying.

    The kernel makes a PID 1 mortal for such a signal, but not a traced one (force_sig_info_to_task).
    """
    if number not in FATAL:
        return False
    caught = parse_status(read(f"/proc/{pid}/status"))["SigCgt"][0] >> (number - 1) & 1
    source = _signal_info(pid)[0]
    return not caught and source > 0 and (number != SIGTRAP or source in (SI_KERNEL, TRAP_BRKPT))


def _step_back(pid: int, number: int) -> None:
    """Have the instruction come again when we are gone, and its signal with it: the one that we saw ends with us."""
    arm = syscalls.MACHINE == "aarch64"
    if not PAST.get(number, (0, 0))[arm]:
        return
    data = bytearray(8 * REGISTERS[arm])
    syscalls.ptrace_regset(syscalls.PTRACE_GETREGSET, pid, syscalls.NT_PRSTATUS, data)
    at = 8 * COUNTER[arm]
    counter = int.from_bytes(data[at : at + 8], "little") - PAST[number][arm]
    data[at : at + 8] = counter.to_bytes(8, "little")
    syscalls.ptrace_regset(syscalls.PTRACE_SETREGSET, pid, syscalls.NT_PRSTATUS, data)


def _signal_info(pid: int) -> tuple[int, int]:
    """Read a stop's siginfo: where the signal comes from (more than 0: the kernel), and the address."""
    info = bytearray(128)
    syscalls.ptrace(GET_SIGNAL_INFO, pid, 0, info)
    return int.from_bytes(info[8:12], "little", signed=True), int.from_bytes(info[16:24], "little")


def _ending(entry: Entry, pid: int) -> str:
    """Say how it ends; '' when only its first thread does, or another thread of it executes a program."""
    message = bytearray(8)
    syscalls.ptrace(GET_EVENT_MESSAGE, pid, 0, message)
    code = int.from_bytes(message, "little")
    until = monotonic() + OTHERS
    while not code and len(posix.listdir(f"/proc/{pid}/task")) > 1:  # 0 is also what a thread's end and an execve say
        if monotonic() > until:
            _follow(entry, pid)
            return ""
        sleep(0.005)
    number = code & 0x7F
    if number:
        return f"killed by {NAMES.get(number, f'signal {number}')}"
    return f"exit status {code >> 8}"


def _follow(entry: Entry, pid: int) -> None:
    """Let the first thread end, and trace the one that takes its number by executing a program."""
    name = printable(entry.plan["target"]["name"])
    _go_on(syscalls.PTRACE_CONT, pid, 0)
    until = monotonic() + OTHERS
    while monotonic() < until:
        if read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0] != b"Z":
            try:
                syscalls.ptrace(syscalls.PTRACE_SEIZE, pid, 0, TRACE_EXIT)
            except OSError as problem:
                if problem.errno not in (EPERM, ESRCH):
                    raise
            else:
                return
        sleep(0.001)
    raise EntryError(f"the first thread of {name} has ended and others go on, so it can't be held")


def _where(pid: int) -> str:
    """Say in which program and at which of its instructions it stands, as far as that can be read."""
    try:
        words = read(f"/proc/{pid}/syscall").split()
        place = int(words[-1], 16)
        program = posix.readlink(f"/proc/{pid}/exe")
        lines = read(f"/proc/{pid}/maps").decode("utf-8", "surrogateescape").splitlines()
    except (OSError, ValueError, IndexError):
        return ""
    for line in lines:
        fields = line.split(None, 5)
        begin, end = (int(word, 16) for word in fields[0].split("-"))
        if begin <= place < end and len(fields) > 5:
            return printable(f", in {program} at {fields[5]}+{place - begin + int(fields[2], 16):#x}")
    return printable(f", in {program}")
