"""The kernel's constants and system calls, one line each, under the kernel's names and in its argument order.

Every call raises OSError(errno, strerror, name). Calls that Python itself has (setresuid, execve, …) are taken from
`posix` by the modules that need them. Numbers: linux/arch/x86/entry/syscalls/syscall_64.tbl and, for arm64,
include/uapi/asm-generic/unistd.h.
"""

import posix
from _ctypes import (
    FUNCFLAG_CDECL,
    FUNCFLAG_PYTHONAPI,
    FUNCFLAG_USE_ERRNO,
    CFuncPtr,
    _SimpleCData,
    addressof,
    dlopen,
    dlsym,
    get_errno,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MACHINE = posix.uname().machine
ARM64 = MACHINE == "aarch64"
# seccomp's AUDIT_ARCH_* of the machine
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}.get(MACHINE, 0)

CLONE_NEWTIME = 0x00000080
CLONE_FILES = 0x00000400
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

FORK_SIBLING = (56, 220)[ARM64], CLONE_PARENT | 17  # SIGCHLD: a call and its first argument, as filters see them

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_GET_SECUREBITS, PR_SET_SECUREBITS = 27, 28
PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 29, 30
PR_SET_MM = 35
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_SET_THP_DISABLE, PR_GET_THP_DISABLE = 41, 42
PR_CAP_AMBIENT = 47
PR_SET_MDWE, PR_GET_MDWE = 65, 66
PR_SET_MEMORY_MERGE, PR_GET_MEMORY_MERGE = 67, 68
PR_SET_MM_MAP = 14
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

CLOSE_RANGE_CLOEXEC = 4
KEYCTL_JOIN_SESSION_KEYRING = 1

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE, MS_RDONLY = 2, 4, 8, 0x4000, 0x40000, 1
MS_REMOUNT, MS_BIND, MS_SLAVE = 32, 0x1000, 0x80000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_FDCWD = -100
MOUNT_ATTR_RDONLY = 1
FSCONFIG_CMD_CREATE = 6

RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT = 2, 4, 8, 16

# asm-generic/ioctls.h, fcntl.h and errno.h: Python's modules for them cost more than these lines
TCGETS, TCSETSW = 0x5401, 0x5403
TIOCSCTTY, SIOCOUTQ, TIOCGWINSZ, TIOCSWINSZ, FIONREAD = 0x540E, 0x5411, 0x5413, 0x5414, 0x541B
AF_UNIX, SOCK_STREAM, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_CLOEXEC = 1, 1, 2, 0o4000, 0o2000000
FALLOC_FL_KEEP_SIZE = 1
EIO, EINVAL, EPIPE, ECONNRESET = 5, 22, 32, 104

PROC_SUPER_MAGIC = 0x9FA0
DEVPTS_SUPER_MAGIC = 0x1CD1

PTRACE_CONT = 7
PTRACE_DETACH = 17
PTRACE_SYSCALL = 24
PTRACE_GETREGSET = 0x4204
PTRACE_SETREGSET = 0x4205
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
PTRACE_SECCOMP_GET_FILTER = 0x420C
PTRACE_SECCOMP_GET_METADATA = 0x420D
PTRACE_O_TRACESYSGOOD = 1
PTRACE_O_SUSPEND_SECCOMP = 1 << 21
NT_PRSTATUS = 1
NT_ARM_SYSTEM_CALL = 0x404
SECCOMP_SET_MODE_FILTER = 1
SPLICE_F_NONBLOCK = 2

RLIM_INFINITY = (1 << 64) - 1


class _Char(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "c"


class _Long(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "l"


class _Function(CFuncPtr):
    # PYTHONAPI keeps the interpreter's lock, so that the child of a bare clone3 holds it too
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO | FUNCFLAG_PYTHONAPI
    _restype_ = _Long
    _argtypes_ = (_Long,) * 7


_libc = dlopen(None, 0)  # type: ignore[arg-type]  # None: what this process has loaded already
_syscall: "Callable[..., int]" = _Function(dlsym(_libc, "syscall"))
_memcpy, _memset = _Function(dlsym(_libc, "memcpy")), _Function(dlsym(_libc, "memset"))
REST = (0,) * 6  # of arguments that a call does not have


def _call(name: str, x86: int, arm64: int, *arguments: "int | bytes | bytearray") -> int:
    """Make one system call; bytes become a C string, a bytearray is memory that the kernel may write."""
    words, memory = [*arguments, *REST[len(arguments) :]], []
    for at, argument in enumerate(arguments):
        if not isinstance(argument, int):
            memory.append(argument if isinstance(argument, bytearray) else bytearray(argument + b"\0"))
            words[at] = address(memory[-1])
    number = arm64 if ARM64 else x86
    while (result := _syscall(number, *words)) == -1:
        errno = get_errno()
        if errno == 4:  # EINTR: the signal is noted, and the call goes on as Python's own do (PEP 475)
            continue
        raise OSError(errno, posix.strerror(errno), name)
    return result


def address(buffer: bytearray) -> int:
    """Tell where a buffer lies in memory, for structures that hold pointers; the caller keeps it alive."""
    return addressof(_Char.from_buffer(buffer)) if buffer else 0  # an array type for each length costs 12 us


def memory_copy(target: int, source: int, size: int) -> None:
    """Copy memory by address."""
    _memcpy(target, source, size, 0, 0, 0, 0)


def memory_wipe(begin: int, size: int) -> None:
    """Zero memory by address."""
    _memset(begin, 0, size, 0, 0, 0, 0)


def wipe(texts: "Iterable[bytes]") -> None:
    """Zero the inside of bytes objects that nobody will look at again."""
    inside = bytes.__basicsize__ - 1  # CPython lays out the text as the end of the object, and shares the shorter ones
    for text in (each for each in texts if len(each) > 1):
        _memset(id(text) + inside, 0, len(text), 0, 0, 0, 0)


# fmt: off
def brk(addr: int) -> int: return _call("brk", 12, 214, addr)
def clone(flags: int) -> int: return _call("clone", 56, 220, flags)
def clone3(args: bytearray) -> int: return _call("clone3", 435, 435, args, len(args))
def close_range(first: int, last: int, flags: int) -> int: return _call("close_range", 436, 436, first, last, flags)
def connect(sockfd: int, addr: bytes) -> int: return _call("connect", 42, 203, sockfd, bytearray(addr), len(addr))
def fsconfig(fd: int, cmd: int) -> int: return _call("fsconfig", 431, 431, fd, cmd, 0, 0, 0)
def fsmount(fs_fd: int, flags: int, attr_flags: int) -> int: return _call("fsmount", 432, 432, fs_fd, flags, attr_flags)
def fsopen(fsname: bytes, flags: int) -> int: return _call("fsopen", 430, 430, fsname, flags)
def ioprio_get(which: int, who: int) -> int: return _call("ioprio_get", 252, 31, which, who)
def ioprio_set(which: int, who: int, ioprio: int) -> int: return _call("ioprio_set", 251, 30, which, who, ioprio)
def keyctl(operation: int, argument: "bytes | int") -> int: return _call("keyctl", 250, 219, operation, argument)
def mprotect(addr: int, length: int, prot: int) -> int: return _call("mprotect", 10, 226, addr, length, prot)
def open_tree(dirfd: int, path: bytes, flags: int) -> int: return _call("open_tree", 428, 428, dirfd, path, flags)
def personality(persona: int) -> int: return _call("personality", 135, 92, persona)
def pidfd_open(pid: int) -> int: return _call("pidfd_open", 434, 434, pid, 0)
def pidfd_send_signal(pidfd: int, sig: int) -> int: return _call("pidfd_send_signal", 424, 424, pidfd, sig, 0, 0)
def prctl(option: int, *arguments: int) -> int: return _call("prctl", 157, 167, option, *arguments)
def sched_getscheduler(pid: int) -> int: return _call("sched_getscheduler", 145, 120, pid)
def seccomp(mode: int, flags: int, args: bytearray) -> int: return _call("seccomp", 317, 277, mode, flags, args)
def setns(fd: int, nstype: int) -> int: return _call("setns", 308, 268, fd, nstype)
def socket(domain: int, kind: int, protocol: int) -> int: return _call("socket", 41, 198, domain, kind, protocol)
def tee(fd_in: int, fd_out: int, size: int, flags: int) -> int: return _call("tee", 276, 77, fd_in, fd_out, size, flags)
def unshare(flags: int) -> int: return _call("unshare", 272, 97, flags)
# fmt: on


def fstatfs_type(fd: int) -> int:
    buffer = bytearray(256)
    _call("fstatfs", 138, 44, fd, buffer)
    return int.from_bytes(buffer[:8], "little")


def get_mempolicy() -> int:
    mode = bytearray(4)
    _call("get_mempolicy", 239, 236, mode, 0, 0, 0, 0)
    return int.from_bytes(mode, "little")


def mount_setattr(dirfd: int, path: bytes, flags: int, attr_set: int, attr_clr: int) -> int:
    attr = bytearray(attr_set.to_bytes(8, "little") + attr_clr.to_bytes(8, "little") + bytes(16))
    return _call("mount_setattr", 442, 442, dirfd, path, flags, attr, len(attr))


def openat2(dirfd: int, path: bytes, flags: int, resolve: int) -> int:
    how = bytearray(flags.to_bytes(8, "little") + bytes(8) + resolve.to_bytes(8, "little"))
    return _call("openat2", 437, 437, dirfd, path, how, len(how))


def ptrace_regset(request: int, pid: int, kind: int, data: bytearray) -> int:
    vector = bytearray(address(data).to_bytes(8, "little") + len(data).to_bytes(8, "little"))
    return _call("ptrace", 101, 117, request, pid, kind, vector)


def capset(data: bytearray) -> int:
    return _call("capset", 126, 91, bytearray((0x20080522).to_bytes(4, "little") + bytes(4)), data)


def landlock_create_ruleset(attr: "bytearray | int", size: int, flags: int) -> int:
    return _call("landlock_create_ruleset", 444, 444, attr, size, flags)


def landlock_restrict_self(ruleset_fd: int, flags: int) -> int:
    return _call("landlock_restrict_self", 446, 446, ruleset_fd, flags)


def mmap(addr: int, length: int, prot: int, flags: int, fd: int) -> int:
    return _call("mmap", 9, 222, addr, length, prot, flags, fd)


def ptrace(request: int, pid: int, addr: int, data: "int | bytearray") -> int:
    return _call("ptrace", 101, 117, request, pid, addr, data)


def fallocate(fd: int, mode: int, offset: int, length: int) -> int:
    return _call("fallocate", 285, 47, fd, mode, offset, length)


def mount(source: bytes, target: bytes, filesystemtype: bytes, mountflags: int, data: "bytes | int" = 0) -> int:
    return _call("mount", 165, 40, source, target, filesystemtype, mountflags, data)


def move_mount(from_dirfd: int, to_path: bytes) -> int:
    return _call("move_mount", 429, 429, from_dirfd, b"", AT_FDCWD, to_path, MOVE_MOUNT_F_EMPTY_PATH)


def mremap(old_address: int, old_size: int, new_size: int, flags: int, new_address: int) -> int:
    return _call("mremap", 25, 216, old_address, old_size, new_size, flags, new_address)


def prctl_mm_map(prctl_mm_map: bytearray) -> int:
    return _call("prctl", 157, 167, PR_SET_MM, PR_SET_MM_MAP, prctl_mm_map, len(prctl_mm_map))


def prlimit64(pid: int, resource: int, new: "bytearray | int", old: "bytearray | int") -> int:
    return _call("prlimit64", 302, 261, pid, resource, new, old)


def rt_sigaction(signum: int, act: "bytearray | int", oldact: "bytearray | int") -> int:
    return _call("rt_sigaction", 13, 134, signum, act, oldact, 8)


def sched_setscheduler(pid: int, policy: int, param: bytearray) -> int:
    return _call("sched_setscheduler", 144, 119, pid, policy, param)


def set_mempolicy(mode: int, nodemask: int, maxnode: int) -> int:
    return _call("set_mempolicy", 238, 237, mode, nodemask, maxnode)


def splice(fd_in: int, fd_out: int, size: int, flags: int) -> int:
    return _call("splice", 275, 76, fd_in, 0, fd_out, 0, size, flags)


def _named(name: str, call: "Callable[..., None]", *arguments: object) -> None:
    """Make a call of Python's own and name it in its error."""
    try:
        call(*arguments)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, name) from None


def setgroups(groups: list[int]) -> None:
    _named("setgroups", posix.setgroups, groups)


def setresgid(rgid: int, egid: int, sgid: int) -> None:
    _named("setresgid", posix.setresgid, rgid, egid, sgid)


def setresuid(ruid: int, euid: int, suid: int) -> None:
    _named("setresuid", posix.setresuid, ruid, euid, suid)


def setsid() -> None:
    _named("setsid", posix.setsid)
