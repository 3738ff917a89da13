"""Give up all power but to signal the command: from then on this process only carries what a container chose to say.

As OpenSSH's privilege separation: no capability but KILL, none to be had again (bounding set, no_new_privs), no file
but those that are carried, and a seccomp filter that knows the calls of a carrier. It stays uid 0: another uid would
be one that other processes have, too, and they could signal this one; there is no call left by which root's ownership
of files counts.
"""

import posix

from ..linux import capset, seccomp, syscalls
from ..linux.capabilities import KILL, NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Argument = tuple[int, tuple[int, ...]]  # which one, and its values

WATCH = 1 << NUMBERS["SYS_PTRACE"] | 1 << NUMBERS["DAC_READ_SEARCH"]

# name: (x86-64, arm64); -1 where the machine has none. What Python and its C library call for a carrier's work.
CARRY = {
    "read": (0, 63),
    "write": (1, 64),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "splice": (275, 76),
    "tee": (276, 77),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "lseek": (8, 62),
    "close": (3, 57),
    "fstat": (5, 80),
    "newfstatat": (262, 79),  # fstat(3) of glibc 2.33 to 2.38
    "wait4": (61, 260),
    "waitid": (247, 95),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "restart_syscall": (219, 128),
    "sigaltstack": (131, 132),
    "brk": (12, 214),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "gettimeofday": (96, 169),
    "nanosleep": (35, 101),
    "select": (23, -1),  # time.sleep before Python 3.11
    "pselect6": (270, 72),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getpgrp": (111, -1),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
# What the watcher of --why asks /proc, for reading only
LOOK = {
    "openat": (257, 56),
    "open": (2, -1),
    "stat": (4, -1),
    "lstat": (6, -1),
    "readlink": (89, -1),
    "readlinkat": (267, 78),
    "access": (21, -1),
    "faccessat": (269, 48),
    "statx": (332, 291),
    "statfs": (137, 43),
    "getxattr": (191, 8),
    "getdents64": (217, 61),
}
# Calls that some values of an argument are right for
FCNTL, IOCTL, KILLING, TGKILL, PTRACE = (72, 25), (16, 29), (62, 129), (234, 131), (101, 117)
PIDFD_SEND_SIGNAL = (424, 424)
MMAP, MPROTECT, FTRUNCATE = (9, 222), (10, 226), (77, 46)
F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETPIPE_SZ, F_GETPIPE_SZ = 1, 2, 3, 4, 1031, 1032
FIONBIO, TIOCGPGRP, TCGETS2 = 0x5421, 0x540F, 0x802C542A  # glibc 2.42's isatty(3) takes the last
OPTIONS = 1, (F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETPIPE_SZ, F_GETPIPE_SZ)
SIZES = syscalls.TIOCGWINSZ, syscalls.TIOCSWINSZ
COUNTS = syscalls.FIONREAD, syscalls.SIOCOUTQ
REQUESTS = (*COUNTS, FIONBIO, syscalls.TCGETS, TCGETS2, syscalls.TCSETSW, TIOCGPGRP, *SIZES)
# What only somebody else in our place would call ends us at once; anything that is not named here is EPERM
DEADLY = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, -1),
    "vfork": (58, -1),
    "clone": (56, 220),
    "clone3": (435, 435),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "connect": (42, 203),
    "bind": (49, 200),
    "setns": (308, 268),
    "unshare": (272, 97),
    "mount": (165, 40),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "keyctl": (250, 219),
}
PROT_EXEC = 4
LARGE = 0x20000 if syscalls.ARM64 else 0x8000  # O_LARGEFILE, which musl adds
# CONT, DETACH, SYSCALL, GETEVENTMSG, GETSIGINFO, LISTEN, GET_SYSCALL_INFO
SEIZED = (7, 17, 24, 0x4201, 0x4202, 0x4208, 0x420E)
_common: list[tuple[bytes, bytes]] = []  # how each filter begins and ends, once written
ALLOW, REFUSE, END = 0x7FFF0000, 0x00050001, 0x80000000  # SECCOMP_RET_ALLOW, _ERRNO with EPERM, _KILL_PROCESS
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06  # BPF_LD|W|ABS, JMP|JEQ|K, JMP|JSET|K, RET|K


def carrier(pid: int, files: "Iterable[int]") -> None:
    """Keep these descriptors, and the right to signal the process `pid`, its group and our own."""
    drop(KILL, files, carriers(pid))


def carriers(pid: int, also: "Iterable[int]" = (), recordings: "Iterable[int]" = ()) -> bytes:
    """Write the filter of who carries for the process `pid`; it may signal `also` these.

    Of `recordings` a line that was not written whole may be cut off.
    """
    group = (pid, -pid & 0xFFFFFFFF, 0, posix.getpid(), *also)
    return program({KILLING: (0, group), FTRUNCATE: (0, tuple(recordings))})


def confine(files: "Iterable[int]", code: bytes) -> None:
    """Have a carrier that has given up its power keep no more than these descriptors and what its filter allows."""
    close_others(files)
    install(code)


def watcher(files: "Iterable[int]") -> None:
    """Keep these descriptors, and the right to follow the processes that are traced already and to read of them."""
    reading = (posix.O_CLOEXEC, posix.O_CLOEXEC | LARGE)
    values: dict[tuple[int, int], Argument] = {PTRACE: (0, SEIZED)}
    values |= {LOOK["openat"]: (2, reading), LOOK["open"]: (1, reading)}
    drop(WATCH, files, program(values, LOOK))


def guardian(command: int, files: "Iterable[int]") -> None:
    """Keep these descriptors, of which `command` is a pidfd, and the right to signal that one."""
    confine(files, program({PIDFD_SEND_SIGNAL: (0, (command,))}))


def writer(files: "Iterable[int]") -> None:
    """Keep these descriptors and nothing else: not even the right to signal."""
    drop(0, files, program({KILLING: (0, ())}))


def drop(keep: int, files: "Iterable[int]", code: bytes) -> None:
    """Close, drop, and install the filter, which is the last call that it does not know."""
    capset.give_up(keep)
    confine(files, code)


def install(program: bytes) -> None:
    """Allow only these system calls from now on, and no new privileges."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install([seccomp.Filter(program, 0)])


def close_others(files: "Iterable[int]") -> None:
    """Close every descriptor but 0, 1, 2 and these."""
    first = 3
    for fd in sorted({fd for fd in files if fd >= first}):
        if fd > first:
            syscalls.close_range(first, fd - 1, 0)
        first = fd + 1
    syscalls.close_range(first, 0xFFFFFFFF, 0)


def program(values: "dict[tuple[int, int], Argument]", more: "dict[str, tuple[int, int]] | None" = None) -> bytes:
    """Write a filter: the machine, a carrier's calls and `more`, those with chosen arguments, the deadly ones."""
    begin, end = common()
    chosen = {FCNTL: OPTIONS, IOCTL: (1, REQUESTS), TGKILL: (0, (posix.getpid(),)), **values}
    code = [begin, *(_on(row, [_word(RETURN, ALLOW)]) for row in (more or {}).values() if row not in chosen)]
    for row, (argument, right) in chosen.items():
        checks = [word for value in right for word in (_word(EQUAL, value, 0, 1), _word(RETURN, ALLOW))]
        code.append(_on(row, [_load(argument), *checks, _word(RETURN, REFUSE)]))
    return b"".join([*code, end])


def _on(row: tuple[int, int], then: list[bytes]) -> bytes:
    """Write what is to be done on one call, which must end in a return."""
    at = row[syscalls.ARM64]
    return b"".join((_word(EQUAL, at, 0, len(then)), *then)) if at >= 0 else b""


def _load(argument: int) -> bytes:
    """Load an argument's lower half: these are ints to the kernel, or wholly below 4 GiB (struct seccomp_data)."""
    return _word(LOAD, 16 + 8 * argument)


def _word(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    """Write one instruction (struct sock_filter)."""
    return (code | yes << 16 | no << 24 | k << 32).to_bytes(8, "little")


def common() -> tuple[bytes, bytes]:
    """Write how each filter begins and ends: once for all that are forked."""
    if not _common:
        head = [_word(LOAD, 4), _word(EQUAL, syscalls.AUDIT_ARCH, 1), _word(RETURN, END), _word(LOAD, 0)]
        carried = [_on(row, [_word(RETURN, ALLOW)]) for row in CARRY.values()]
        no_code = [_load(2), _word(ANY_BIT, PROT_EXEC, 0, 1), _word(RETURN, REFUSE), _word(RETURN, ALLOW)]
        guarded = [_on(row, no_code) for row in (MMAP, MPROTECT)]
        deadly = [_on(row, [_word(RETURN, END)]) for row in DEADLY.values()]
        _common.append((b"".join(head + carried), b"".join([*guarded, *deadly, _word(RETURN, REFUSE)])))
    return _common[0]
