"""Copy the container's seccomp filters from its running process, exactly, and without disturbing it.

The kernel hands a filter out to a tracer (PTRACE_SECCOMP_GET_FILTER, Linux 4.4, CONFIG_CHECKPOINT_RESTORE) that holds
CAP_SYS_ADMIN in the initial user namespace and has no filter of its own. Index 0 is the oldest. Runtimes install one
filter on top of what their own parent, the shim, has; later ones the application added to itself, and `docker exec`
does not apply those.

The stop is short (some 50 microseconds) but a stopped epoll_wait, sigtimedwait or semop would return EINTR, which
programs take badly. So the result register of such a call is rewritten to -ERESTARTSYS while the thread is stopped:
the kernel then restarts the call and the program never learns of it.
"""

import posix
from _signal import alarm
from time import monotonic, sleep

from . import kernel
from .files import read
from .refusal import Refusal
from .target import Target, ended, parse_status

EINTR, ESRCH, EPERM, ENOENT, EINVAL, EACCES, ETIMEDOUT = 4, 3, 1, 2, 22, 13, 110
ERESTARTSYS, ERESTART_RESTARTBLOCK = 512, 516
WAIT = 5.0  # seconds for another tracer to let go
LONGEST_STOP = 10  # seconds for all of the copy
WALL = 0x40000000  # __WALL: threads too
# Calls that return EINTR or go through restart_syscall after a stop; any other restarts by itself (signal(7)).
# The numbers are those of arm64, where the register trick is impossible and another thread has to be found.
UNSAFE_ARM64 = frozenset({22, 137, 193, 192, 101, 115, 73, 98, 441, 207, 212, 243})
RETURN_USER_NOTIF = bytes((6, 0, 0, 0, 0, 0, 0xC0, 0x7F))  # BPF_RET | BPF_K, struct sock_filter
JUMPS_IF_EQUAL = b"\x15"  # BPF_JMP | BPF_JEQ | BPF_K: nine of ten instructions
SYSCALL_RESTART = {"x86_64": 219, "aarch64": 128}
# struct user_regs_struct of x86-64, in words of 8 bytes (sys/user.h)
X86_REGISTERS, X86_RAX, X86_ORIG_RAX = 27, 10, 15


class Filter:
    """Hold one filter: its instructions, 8 bytes each, and whether it logs."""

    def __init__(self, program: bytes, flags: int) -> None:
        """Take the instructions and the SECCOMP_FILTER_FLAG_* that the kernel reports."""
        self.program = program
        self.flags = flags


def wanted_filters(target: Target, policy: str) -> int:
    """Count the oldest filters to copy: the shim's own, and, unless the container runs unconfined, the runtime's."""
    has = target.status.get("Seccomp_filters", target.status["Seccomp"])[0]
    if target.status["Seccomp"][0] != 2 or policy in ("unconfined", "given"):
        return 0
    parent = target.status["PPid"][0]
    try:
        shim = parse_status(read(f"/proc/{parent}/status")) if parent else {}
    except OSError as problem:
        if problem.errno not in (ENOENT, ESRCH):
            raise
        shim = {}
    inherited = shim.get("Seccomp_filters", [0])[0] if shim.get("Seccomp", [0])[0] == 2 else 0
    return min(has, inherited + (policy == "container"))


def given(programs: list[str]) -> list[Filter]:
    """Take the filters that the Plan brings, in hexadecimal: where the kernel does not hand out the container's."""
    return [Filter(bytes.fromhex(program), 0) for program in programs]


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
        thread = _donor(target)
        try:
            kernel.ptrace(kernel.PTRACE_SEIZE, thread, 0, 0)
            break
        except OSError as problem:
            # EPERM: another of us traces it just now. ESRCH: that thread has ended.
            gone = problem.errno == ESRCH and not target.alive()
            if gone or problem.errno not in (EPERM, ESRCH) or monotonic() > deadline:
                raise
            sleep(0.0005 * min(attempt + 1, 20))
    if not target.alive():
        raise OSError(ESRCH, posix.strerror(ESRCH), "ptrace")
    kernel.ptrace(kernel.PTRACE_INTERRUPT, thread, 0, 0)
    while True:
        _, status = posix.waitpid(thread, WALL)
        if posix.WIFEXITED(status) or posix.WIFSIGNALED(status):
            raise OSError(ESRCH, posix.strerror(ESRCH), "ptrace")
        if status >> 16 == 128:  # PTRACE_EVENT_STOP: ours, or a group stop
            break
        # A signal came first: pass it on, the stop follows.
        kernel.ptrace(7, thread, 0, posix.WSTOPSIG(status))
    try:
        filters = [read_filter(thread, index) for index in range(count)]
        _restart_call(thread, filters)
    finally:
        kernel.ptrace(kernel.PTRACE_DETACH, thread, 0, 0)
    return filters


def read_filter(thread: int, index: int) -> Filter:
    """Read one filter of a stopped thread."""
    length = kernel.ptrace(kernel.PTRACE_SECCOMP_GET_FILTER, thread, index, 0)
    program = bytearray(length * 8)
    kernel.ptrace(kernel.PTRACE_SECCOMP_GET_FILTER, thread, index, program)
    metadata = bytearray(index.to_bytes(8, "little") + bytes(8))
    kernel.ptrace(kernel.PTRACE_SECCOMP_GET_METADATA, thread, len(metadata), metadata)
    return Filter(bytes(program), int.from_bytes(metadata[8:12], "little"))


def _restart_call(thread: int, filters: list[Filter]) -> None:
    """Make an interrupted call start again instead of failing with EINTR (x86-64)."""
    if kernel.MACHINE != "x86_64":
        return
    registers = bytearray(X86_REGISTERS * 8)
    vector = bytearray(kernel.address(registers).to_bytes(8, "little") + len(registers).to_bytes(8, "little"))
    kernel.ptrace(kernel.PTRACE_GETREGSET, thread, kernel.NT_PRSTATUS, vector)
    result = int.from_bytes(registers[X86_RAX * 8 : X86_RAX * 8 + 8], "little", signed=True)
    call = int.from_bytes(registers[X86_ORIG_RAX * 8 : X86_ORIG_RAX * 8 + 8], "little", signed=True)
    if call < 0:  # it was running, not in a call
        return
    restart = SYSCALL_RESTART["x86_64"]
    denied = result == -ERESTART_RESTARTBLOCK and not all(allows(each.program, restart) for each in filters)
    if result != -EINTR and not denied:
        return
    registers[X86_RAX * 8 : X86_RAX * 8 + 8] = (-ERESTARTSYS).to_bytes(8, "little", signed=True)
    kernel.ptrace(kernel.PTRACE_SETREGSET, thread, kernel.NT_PRSTATUS, vector)


def _donor(target: Target) -> int:
    """Choose a thread to stop: the first; on arm64 one whose call restarts by itself."""
    if kernel.MACHINE == "x86_64":
        return target.pid
    for name in posix.listdir(f"/proc/{target.pid}/task"):
        word = read(f"/proc/{target.pid}/task/{name}/syscall").split()[0]
        if word == b"running" or (word.isdigit() and int(word) not in UNSAFE_ARM64):
            return int(name)
    raise OSError(16, "every thread of the container's process waits in a call that must not be interrupted", "ptrace")


def install(filters: list[Filter]) -> None:
    """Install the filters on this thread, oldest first; needs no_new_privs or CAP_SYS_ADMIN (seccomp(2))."""
    for each in filters:
        program = bytearray(each.program)
        descriptor = bytearray((len(program) // 8).to_bytes(8, "little"))
        descriptor += kernel.address(program).to_bytes(8, "little")
        kernel.seccomp(kernel.SECCOMP_SET_MODE_FILTER, each.flags, descriptor)


def notifies(program: bytes) -> bool:
    """Tell whether a filter hands some calls to a supervisor (SECCOMP_RET_USER_NOTIF, Linux 5.0)."""
    return RETURN_USER_NOTIF in program


def allows(program: bytes, number: int) -> bool:
    """Run a filter on a call with all arguments 0 and tell whether it lets the call happen."""
    return decide(program, number) >> 16 in (0x7FFF, 0x7FFC)  # SECCOMP_RET_ALLOW, _LOG


def decide(program: bytes, number: int, arguments: bytes = bytes(48)) -> int:
    """Interpret classic BPF over struct seccomp_data and return its SECCOMP_RET_* value (bpf(4))."""
    data = number.to_bytes(4, "little") + kernel.AUDIT_ARCH.to_bytes(4, "little") + bytes(8) + arguments
    a = x = at = 0
    memory = [0] * 16
    words = memoryview(program).cast("Q")  # struct sock_filter: code of 2 bytes, jt, jf, k of 4
    codes, otherwise, constants = program[::8], program[3::8], memoryview(program).cast("I")[1::2].tolist()
    while True:
        if codes[at] == JUMPS_IF_EQUAL[0] and not otherwise[at]:
            at = _chain(codes, otherwise, constants, at, a)
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


def _chain(codes: bytes, otherwise: bytes, constants: list[int], at: int, a: int) -> int:
    """Pass over what is most of a filter, one `is it call n?` after the other, to the first yes or to the end."""
    left = max(len(codes[at:].lstrip(JUMPS_IF_EQUAL)), len(otherwise[at:].lstrip(b"\0")))
    asked = constants[at : len(codes) - left]
    return at + (asked.index(a) if a in asked else len(asked))


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


def explain(problem: OSError) -> Refusal:
    """Word the failures of the copy that a person can do something about."""
    if problem.errno == ESRCH:
        return ended()
    why = {
        EACCES: "this process runs under a seccomp filter itself, or lacks CAP_SYS_ADMIN",
        EPERM: "another tracer (strace, gdb) holds the container's first process, or CAP_SYS_PTRACE is missing",
        EINVAL: "this kernel cannot hand filters out (CONFIG_CHECKPOINT_RESTORE)",
        ETIMEDOUT: "the container's first process did not stop within 10 seconds",
    }.get(problem.errno or 0, problem.strerror or "")
    hint = "--security-opt seccomp=unconfined enters without the filter"
    return Refusal(f"cannot copy the container's seccomp filter: {problem.filename or 'ptrace'}: {why}", hint)
