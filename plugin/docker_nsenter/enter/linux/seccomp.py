"""Copy the container's seccomp filters from its running process, exactly, and without disturbing it.

The kernel hands a filter out to a tracer (PTRACE_SECCOMP_GET_FILTER, Linux 4.4, CONFIG_CHECKPOINT_RESTORE) that holds
CAP_SYS_ADMIN in the initial user namespace and has no filter of its own. Index 0 is the oldest. Runtimes install one
filter on top of what their own parent, the shim, has; later ones the application added to itself, and `docker exec`
does not apply those.

The stop is short (some 50 microseconds) but a stopped epoll_wait, sigtimedwait or semop would return EINTR, which
programs take badly. So a call that the stop has interrupted is begun again, and the program never learns of it: on
x86-64 by another result, which the kernel looks at when the stop is over (-ERESTARTSYS); on arm64, where it has looked
before, by the registers as they were when the call was made.
"""

import posix
from _signal import alarm
from time import monotonic, sleep

from ..jsonlite import loads
from ..membership import LARGEST_CONFIG, NO_MONITOR, bundle_of
from ..target import Target, parse_status
from . import syscalls
from .procfs import read, read_if_there

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

EINTR, ESRCH, EPERM, ENOENT, EINVAL, EACCES, EBUSY, ETIMEDOUT = 4, 3, 1, 2, 22, 13, 16, 110
ERESTARTSYS, ERESTART_RESTARTBLOCK = 512, 516
WAIT = 5.0  # seconds for other tracers to let go, and for a thread that can't be stopped to go on
LONGEST_STOP = 10  # seconds for all of the copy
LOOKS = 20  # at a thread that runs, half a millisecond apart, until it is seen in a call
MOST_DESCENDANTS = 1000
SHORTEST_ID = 12
WALL = 0x40000000  # __WALL: threads too
SYSCALL_STOP = 5 | 0x80  # SIGTRAP, with PTRACE_O_TRACESYSGOOD
RETURN_USER_NOTIF = bytes((6, 0, 0, 0, 0, 0, 0xC0, 0x7F))  # BPF_RET | BPF_K, struct sock_filter
JUMPS_IF_EQUAL = b"\x15"  # BPF_JMP | BPF_JEQ | BPF_K: nine of ten instructions
RETURN, RETURN_A, RETURN_ERRNO_0 = 0x06, 0x16, 0x00050000  # BPF_RET | BPF_K, BPF_RET | BPF_A, SECCOMP_RET_ERRNO
SYSCALL_RESTART = {"x86_64": 219, "aarch64": 128}
# struct user_regs_struct of x86-64 and user_pt_regs of arm64, in words of 8 bytes (sys/user.h, asm/ptrace.h)
X86_REGISTERS, X86_RAX, X86_ORIG_RAX = 27, 10, 15
ARM64_REGISTERS, ARM64_X8, ARM64_SP, ARM64_PC, ARM64_SVC_SIZE = 34, 8, 31, 32, 4


class Filter:
    """Hold one filter: its instructions, 8 bytes each, and whether it logs."""

    def __init__(self, program: bytes, flags: int) -> None:
        """Take the instructions and the SECCOMP_FILTER_FLAG_* that the kernel reports."""
        self.program, self.flags = program, flags


def wanted_filters(target: Target, policy: str) -> int:
    """Count the oldest filters to copy: the shim's own, and, unless the container runs unconfined, the runtime's."""
    has = target.status.get("Seccomp_filters", target.status["Seccomp"])[0]
    if target.status["Seccomp"][0] != 2 or policy in ("unconfined", "inherited", "given"):
        return 0
    parent = target.status["PPid"][0]
    shim = parse_status(read_if_there(f"/proc/{parent}/status")) if parent else {}
    inherited = shim.get("Seccomp_filters", [0])[0] if shim.get("Seccomp", [0])[0] == 2 else 0
    installed = policy == "container" and has > inherited and configured(target) is not False
    return min(has, inherited + installed)


def configured(target: Target) -> "bool | None":
    """Tell whether the runtime was told to install a filter; None where nothing out of the container's reach says it.

    An engine's words tell only what a container was started with, and may be hidden: where the engine's own default is
    no filter, the first that a process has is one it made itself. The bundle of the runtime's monitor is believed where
    it is named as the process's cgroup is: in Kubernetes one monitor has all of a pod's containers.
    """
    monitor = -1
    try:
        monitor = posix.open(f"/proc/{target.status['PPid'][0]}", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        name = posix.readlink("cwd", dir_fd=monitor).rpartition("/")[2]
        if (
            len(name) < SHORTEST_ID
            or name.encode() not in target.read("cgroup")
            or bundle_of(monitor, name, 0) != "cwd"
        ):
            return None
        config = loads(read("cwd/config.json", at=monitor, limit=LARGEST_CONFIG))
        return bool(config["linux"].get("seccomp"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    except OSError as problem:
        if problem.errno in NO_MONITOR:
            return None
        raise
    finally:
        if monitor >= 0:
            posix.close(monitor)


def copy(target: Target, count: int) -> list[Filter]:
    """Copy the `count` oldest filters; OSError as the kernel refused them.

    For a process that ends soon: its death detaches from the container's, whatever happens. Should that not stop, the
    alarm ends the one that waits for it.
    """
    if not count:
        return []
    alarm(LONGEST_STOP)
    filters = _trace(target, count)
    alarm(0)
    return filters


def _trace(target: Target, count: int) -> list[Filter]:
    """Stop one thread for a moment and read its filters, oldest first."""
    deadline = monotonic() + WAIT
    for attempt in range(10_000):
        refused = EBUSY
        for thread in _donors(target):
            try:
                syscalls.ptrace(syscalls.PTRACE_SEIZE, thread, 0, syscalls.PTRACE_O_TRACESYSGOOD)
            except OSError as problem:
                # EPERM: it is traced, perhaps by another of us. ESRCH: that thread has ended.
                if problem.errno not in (EPERM, ESRCH):
                    raise
                refused = problem.errno
                continue
            return _read_all(target, thread, count)
        if not target.alive():
            refused = ESRCH
        if refused == ESRCH or monotonic() > deadline:
            raise OSError(refused, posix.strerror(refused), "ptrace")
        sleep(0.0005 * min(attempt + 1, 20))
    raise AssertionError


def _donors(target: Target) -> "Iterator[int]":
    """Yield the threads that have the container's oldest filters and may be stopped now; the first process's first.

    Only a fork hands a session on, and with it the filters: who is in the session that the first process leads descends
    from it. A process that came into the container another way is in none that exists there. What waits in vfork or for
    a device (D) does not stop, and what is dead (Z, X) has nothing to read.
    """
    yield from _threads(target.pid)
    waiting = [target.pid] if _session(target.pid) == target.pid else []
    for _ in range(MOST_DESCENDANTS):
        if not waiting:
            break
        for child in _children(waiting.pop()):
            waiting.append(child)
            if _session(child) == target.pid:
                yield from _threads(child)


def _threads(pid: int) -> "Iterator[int]":
    """Yield the threads of a process that can be stopped."""
    try:
        names = posix.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return
    for name in names:
        # stat would take 0.1 ms; b"", which is in it, too, says that the thread has ended
        if read_if_there(f"/proc/{name}/status").partition(b"\nState:\t")[2][:1] not in b"DZX":
            yield int(name)


def _children(pid: int) -> list[int]:
    """List the children of a process, whichever of its threads started them."""
    try:
        threads = posix.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []
    lists = [read_if_there(f"/proc/{pid}/task/{name}/children") for name in threads]
    return [int(word) for each in lists for word in each.split()]


def _session(pid: int) -> int:
    """Read the sixth field of /proc/PID/stat; 0 of a thread that is gone."""
    return int((read_if_there(f"/proc/{pid}/stat").rpartition(b")")[2].split() or [b"0"] * 4)[3])


def _read_all(target: Target, thread: int, count: int) -> list[Filter]:
    """Stop a thread that we trace, read its filters, and let it go on as if nothing had been."""
    call = _call_of(thread) if syscalls.MACHINE == "aarch64" else []  # as late as can be
    syscalls.ptrace(syscalls.PTRACE_INTERRUPT, thread, 0, 0)
    while _await_stop(thread) >> 16 != 128:  # PTRACE_EVENT_STOP: ours, or a group stop
        pass
    filters: list[Filter] = []
    try:
        filters += [read_filter(thread, index) for index in range(count)]
        # asked while nothing can take its number: is it still the one that was chosen?
        chosen = posix.access(f"/proc/{target.pid}/task/{thread}", 0) or _session(thread) == target.pid
        if not chosen or not target.alive():
            raise OSError(ESRCH, posix.strerror(ESRCH), "ptrace")
        return filters
    finally:
        if syscalls.MACHINE == "aarch64":
            _begin_again(thread, call, filters)
        else:
            _restart_call(thread, filters)
        syscalls.ptrace(syscalls.PTRACE_DETACH, thread, 0, 0)


def _await_stop(thread: int, request: int = syscalls.PTRACE_CONT) -> int:
    """Wait for a stop that is ours and return its status; a signal that comes first is passed on."""
    while True:
        _, status = posix.waitpid(thread, WALL)
        if posix.WIFEXITED(status) or posix.WIFSIGNALED(status):
            raise OSError(ESRCH, posix.strerror(ESRCH), "ptrace")
        number = posix.WSTOPSIG(status)
        if status >> 16 or number == SYSCALL_STOP:
            return status
        syscalls.ptrace(request, thread, 0, number)


def read_filter(thread: int, index: int) -> Filter:
    """Read one filter of a stopped thread."""
    length = syscalls.ptrace(syscalls.PTRACE_SECCOMP_GET_FILTER, thread, index, 0)
    program = bytearray(length * 8)
    syscalls.ptrace(syscalls.PTRACE_SECCOMP_GET_FILTER, thread, index, program)
    metadata = bytearray(index.to_bytes(8, "little") + bytes(8))
    syscalls.ptrace(syscalls.PTRACE_SECCOMP_GET_METADATA, thread, len(metadata), metadata)
    return Filter(bytes(program), int.from_bytes(metadata[8:12], "little"))


def _restart_call(thread: int, filters: list[Filter]) -> None:
    """Make an interrupted call start again instead of failing with EINTR (x86-64)."""
    registers = _registers(thread, X86_REGISTERS)
    if registers[X86_ORIG_RAX] < 0:  # it was running, not in a call
        return
    result = registers[X86_RAX]
    if result == -EINTR or (result == -ERESTART_RESTARTBLOCK and _denies_restart(thread, filters)):
        registers[X86_RAX] = -ERESTARTSYS
        _set_registers(thread, registers)


def _call_of(thread: int) -> list[int]:
    """Read the call that a thread is blocked in: number, six arguments, stack, program counter; [] if it isn't.

    A thread that runs may be about to enter one, whose first argument no one could tell after the stop; one that is
    never seen in a call spends its time elsewhere.
    """
    words: list[bytes] = []
    for look in range(LOOKS):
        if look:
            sleep(0.0005)
        words = read(f"/proc/{thread}/syscall").split()
        if len(words) == 9:
            break
    return [int(word, 0) for word in words] if len(words) == 9 else []


def _begin_again(thread: int, call: list[int], filters: list[Filter]) -> None:
    """Undo what the stop did to a call (arm64).

    The kernel has left its result in the register of the first argument, or has put that back and moved the program
    counter to the instruction again: that is how it restarts a call. Then it may still mean to do so by
    restart_syscall.
    """
    if not call:
        return
    number, first, *others, stack, counter = call
    registers = _registers(thread, ARM64_REGISTERS)
    signed = [value - (1 << 64) if value >> 63 else value for value in others]
    same = registers[ARM64_X8] == number and registers[1:6].tolist() == signed and registers[ARM64_SP] == stack
    if same and registers[0] == -EINTR and registers[ARM64_PC] == counter:
        registers[0] = first - (1 << 64) if first >> 63 else first
        registers[ARM64_PC] = counter - ARM64_SVC_SIZE
        _set_registers(thread, registers)
    elif same and registers[ARM64_PC] == counter - ARM64_SVC_SIZE and _denies_restart(thread, filters):
        _replace_restart(thread, number)


def _replace_restart(thread: int, number: int) -> None:
    """Turn the restart_syscall that a filter denies into the call itself: a tracer is asked before the filter is.

    To let go of a thread at the entry would interrupt the call once more, and so would mean restart_syscall again.
    So it is interrupted by us, and its result changed where the kernel has not looked at it yet: at the exit.
    """
    syscalls.ptrace(syscalls.PTRACE_SYSCALL, thread, 0, 0)
    if posix.WSTOPSIG(_await_stop(thread, syscalls.PTRACE_SYSCALL)) != SYSCALL_STOP:
        return
    registers = _registers(thread, ARM64_REGISTERS)
    if registers[ARM64_X8] != SYSCALL_RESTART["aarch64"]:
        return
    registers[ARM64_X8] = number
    _set_registers(thread, registers)
    word = bytearray(number.to_bytes(4, "little"))
    syscalls.ptrace_regset(syscalls.PTRACE_SETREGSET, thread, syscalls.NT_ARM_SYSTEM_CALL, word)
    syscalls.ptrace(syscalls.PTRACE_INTERRUPT, thread, 0, 0)
    syscalls.ptrace(syscalls.PTRACE_SYSCALL, thread, 0, 0)
    _await_stop(thread, syscalls.PTRACE_SYSCALL)
    registers = _registers(thread, ARM64_REGISTERS)
    if registers[0] in (-EINTR, -ERESTART_RESTARTBLOCK):
        registers[0] = -ERESTARTSYS
        _set_registers(thread, registers)


def _registers(thread: int, count: int) -> "memoryview[int]":
    data = bytearray(count * 8)
    syscalls.ptrace_regset(syscalls.PTRACE_GETREGSET, thread, syscalls.NT_PRSTATUS, data)
    return memoryview(data).cast("q")


def _set_registers(thread: int, registers: "memoryview[int]") -> None:
    syscalls.ptrace_regset(syscalls.PTRACE_SETREGSET, thread, syscalls.NT_PRSTATUS, bytearray(registers))


def _denies_restart(thread: int, filters: list[Filter]) -> bool:
    """Ask all filters of a stopped thread whether restart_syscall would be its end: the oldest, and what it added."""
    index = 0
    try:
        while allows((filters[index:] or [read_filter(thread, index)])[0].program, SYSCALL_RESTART[syscalls.MACHINE]):
            index += 1
    except OSError as problem:
        if problem.errno != ENOENT:  # behind the last
            raise
        return False
    return True


def install(filters: list[Filter]) -> None:
    """Install the filters on this thread, oldest first; needs no_new_privs or CAP_SYS_ADMIN (seccomp(2))."""
    for each in filters:
        program = bytearray(each.program)
        descriptor = (len(program) // 8).to_bytes(8, "little") + syscalls.address(program).to_bytes(8, "little")
        syscalls.seccomp(syscalls.SECCOMP_SET_MODE_FILTER, each.flags, bytearray(descriptor))


def suspend(pid: int) -> None:
    """Hold the filters of a process off for as long as we trace it; those of its children are in force.

    PTRACE_O_SUSPEND_SECCOMP (Linux 4.3) needs what the copy of a filter needs.
    """
    syscalls.ptrace(syscalls.PTRACE_SEIZE, pid, 0, syscalls.PTRACE_O_SUSPEND_SECCOMP)


def notifies(program: bytes) -> bool:
    """Tell whether a filter hands some calls to a supervisor (SECCOMP_RET_USER_NOTIF, Linux 5.0)."""
    return RETURN_USER_NOTIF in program


def pretends(program: bytes) -> bool:
    """Tell whether a filter could let a call seem to succeed that never happened: by the errno 0, or one it computes.

    That is how a setuid that does nothing is made for a program that relies on it.
    """
    codes = program[::8]
    return RETURN_A in codes or RETURN in (codes[at] for at in _places(program, RETURN_ERRNO_0, 0, len(codes)))


def _places(program: bytes, constant: int, first: int, end: int) -> "Iterator[int]":
    """Yield where a constant stands among some instructions, which are not taken apart for it: there may be 4096."""
    at = 8 * first
    while (at := program.find(constant.to_bytes(4, "little"), at, 8 * end)) >= 0:
        if at % 8 == 4:
            yield at // 8
        at += 1


def allows(program: bytes, number: int, first: int = 0) -> bool:
    """Run a filter on a call with all arguments 0 but the first and tell whether it lets the call happen."""
    decision = decide(program, number, first.to_bytes(8, "little") + bytes(40))
    return decision >> 16 in (0x7FFF, 0x7FFC)  # SECCOMP_RET_ALLOW, _LOG


def decide(program: bytes, number: int, arguments: bytes = bytes(48)) -> int:
    """Interpret classic BPF over struct seccomp_data and return its SECCOMP_RET_* value (bpf(4))."""
    data = number.to_bytes(4, "little") + syscalls.AUDIT_ARCH.to_bytes(4, "little") + bytes(8) + arguments
    a, x, at, memory = 0, 0, 0, [0] * 16
    words = memoryview(program).cast("Q")  # struct sock_filter: code of 2 bytes, jt, jf, k of 4
    codes, otherwise = program[::8], program[3::8]
    while True:
        if codes[at] == JUMPS_IF_EQUAL[0] and not otherwise[at]:
            chain = max(len(codes[at:].lstrip(JUMPS_IF_EQUAL)), len(otherwise[at:].lstrip(b"\0")))
            at = next(_places(program, a, at, len(codes) - chain), len(codes) - chain)
        word = words[at]
        code, k = word & 0xFFFF, word >> 32
        at += 1
        kind, operand = code & 7, x if code & 8 else k
        if kind == 6:  # RET
            return a if code & 0x10 else k
        if kind in (0, 1):  # LD, LDX
            value = {0: k, 0x20: int.from_bytes(data[k : k + 4], "little"), 0x60: memory[k & 15], 0x80: 64}[code & 0xE0]
            a, x = (value, x) if kind == 0 else (a, value)
        elif kind in (2, 3):  # ST, STX
            memory[k & 15] = a if kind == 2 else x
        elif kind == 4:
            a = _alu(code >> 4, a, operand)
        elif kind == 5 and not code & 0xF0:  # JA
            at += k
        elif kind == 5:
            met = {1: a == operand, 2: a > operand, 3: a >= operand, 4: bool(a & operand)}[code >> 4 & 15]
            at += word >> 16 & 0xFF if met else word >> 24 & 0xFF
        else:  # MISC
            a, x = (x, x) if code & 0xF8 else (a, a)


def _alu(operation: int, a: int, operand: int) -> int:
    """Do one arithmetic instruction on 32 bits."""
    shift = operand & 31
    results = {
        0: a + operand,
        1: a - operand,
        2: a * operand,
        3: a // operand if operand else 0,
        4: a | operand,
        5: a & operand,
        6: a << shift,
        7: a >> shift,
        8: -a,
        9: a % operand if operand else 0,
        10: a ^ operand,
    }
    return results[operation & 15] & 0xFFFFFFFF
