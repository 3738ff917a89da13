"""Name what system calls are given as numbers: requests, flags, families, signals. For --why only.

Names and values are those of the kernel's headers, against which tests hold them. A number without a name here is
shown as it is.
"""

from . import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ARM64 = syscalls.MACHINE == "aarch64"
PTRACE = {
    "PTRACE_TRACEME": 0x0,
    "PTRACE_PEEKTEXT": 0x1,
    "PTRACE_PEEKDATA": 0x2,
    "PTRACE_PEEKUSR": 0x3,
    "PTRACE_POKETEXT": 0x4,
    "PTRACE_POKEDATA": 0x5,
    "PTRACE_POKEUSR": 0x6,
    "PTRACE_CONT": 0x7,
    "PTRACE_KILL": 0x8,
    "PTRACE_SINGLESTEP": 0x9,
    "PTRACE_ATTACH": 0x10,
    "PTRACE_DETACH": 0x11,
    "PTRACE_SYSCALL": 0x18,
    "PTRACE_SETOPTIONS": 0x4200,
    "PTRACE_GETEVENTMSG": 0x4201,
    "PTRACE_GETSIGINFO": 0x4202,
    "PTRACE_SETSIGINFO": 0x4203,
    "PTRACE_GETREGSET": 0x4204,
    "PTRACE_SETREGSET": 0x4205,
    "PTRACE_SEIZE": 0x4206,
    "PTRACE_INTERRUPT": 0x4207,
    "PTRACE_LISTEN": 0x4208,
    "PTRACE_PEEKSIGINFO": 0x4209,
    "PTRACE_GETSIGMASK": 0x420A,
    "PTRACE_SETSIGMASK": 0x420B,
    "PTRACE_SECCOMP_GET_FILTER": 0x420C,
    "PTRACE_SECCOMP_GET_METADATA": 0x420D,
    "PTRACE_GET_SYSCALL_INFO": 0x420E,
    "PTRACE_GET_RSEQ_CONFIGURATION": 0x420F,
}
# linux/sockios.h, asm-generic/ioctls.h; then if_tun.h, fs.h, loop.h
IOCTL = {
    "SIOCADDRT": 0x890B,
    "SIOCDELRT": 0x890C,
    "SIOCRTMSG": 0x890D,
    "SIOCGIFNAME": 0x8910,
    "SIOCSIFLINK": 0x8911,
    "SIOCGIFCONF": 0x8912,
    "SIOCGIFFLAGS": 0x8913,
    "SIOCSIFFLAGS": 0x8914,
    "SIOCGIFADDR": 0x8915,
    "SIOCSIFADDR": 0x8916,
    "SIOCGIFDSTADDR": 0x8917,
    "SIOCSIFDSTADDR": 0x8918,
    "SIOCGIFBRDADDR": 0x8919,
    "SIOCSIFBRDADDR": 0x891A,
    "SIOCGIFNETMASK": 0x891B,
    "SIOCSIFNETMASK": 0x891C,
    "SIOCGIFMETRIC": 0x891D,
    "SIOCSIFMETRIC": 0x891E,
    "SIOCGIFMEM": 0x891F,
    "SIOCSIFMEM": 0x8920,
    "SIOCGIFMTU": 0x8921,
    "SIOCSIFMTU": 0x8922,
    "SIOCSIFNAME": 0x8923,
    "SIOCSIFHWADDR": 0x8924,
    "SIOCGIFENCAP": 0x8925,
    "SIOCSIFENCAP": 0x8926,
    "SIOCGIFHWADDR": 0x8927,
    "SIOCGIFSLAVE": 0x8929,
    "SIOCSIFSLAVE": 0x8930,
    "SIOCADDMULTI": 0x8931,
    "SIOCDELMULTI": 0x8932,
    "SIOCGIFINDEX": 0x8933,
    "SIOCSIFPFLAGS": 0x8934,
    "SIOCGIFPFLAGS": 0x8935,
    "SIOCDIFADDR": 0x8936,
    "SIOCSIFHWBROADCAST": 0x8937,
    "SIOCGIFCOUNT": 0x8938,
    "SIOCGIFBR": 0x8940,
    "SIOCSIFBR": 0x8941,
    "SIOCGIFTXQLEN": 0x8942,
    "SIOCSIFTXQLEN": 0x8943,
    "SIOCETHTOOL": 0x8946,
    "SIOCGMIIPHY": 0x8947,
    "SIOCGMIIREG": 0x8948,
    "SIOCSMIIREG": 0x8949,
    "SIOCWANDEV": 0x894A,
    "SIOCOUTQNSD": 0x894B,
    "SIOCGSKNS": 0x894C,
    "SIOCDARP": 0x8953,
    "SIOCGARP": 0x8954,
    "SIOCSARP": 0x8955,
    "SIOCDRARP": 0x8960,
    "SIOCGRARP": 0x8961,
    "SIOCSRARP": 0x8962,
    "SIOCGIFMAP": 0x8970,
    "SIOCSIFMAP": 0x8971,
    "SIOCADDDLCI": 0x8980,
    "SIOCDELDLCI": 0x8981,
    "SIOCGIFVLAN": 0x8982,
    "SIOCSIFVLAN": 0x8983,
    "SIOCBONDENSLAVE": 0x8990,
    "SIOCBONDRELEASE": 0x8991,
    "SIOCBONDSETHWADDR": 0x8992,
    "SIOCBONDSLAVEINFOQUERY": 0x8993,
    "SIOCBONDINFOQUERY": 0x8994,
    "SIOCBONDCHANGEACTIVE": 0x8995,
    "SIOCBRADDBR": 0x89A0,
    "SIOCBRDELBR": 0x89A1,
    "SIOCBRADDIF": 0x89A2,
    "SIOCBRDELIF": 0x89A3,
    "SIOCSHWTSTAMP": 0x89B0,
    "SIOCGHWTSTAMP": 0x89B1,
    "SIOCDEVPRIVATE": 0x89F0,
    "SIOCPROTOPRIVATE": 0x89E0,
    "TCGETS": 0x5401,
    "TCSETS": 0x5402,
    "TCSETSW": 0x5403,
    "TCSETSF": 0x5404,
    "TCSBRK": 0x5409,
    "TCXONC": 0x540A,
    "TCFLSH": 0x540B,
    "TIOCEXCL": 0x540C,
    "TIOCNXCL": 0x540D,
    "TIOCSCTTY": 0x540E,
    "TIOCGPGRP": 0x540F,
    "TIOCSPGRP": 0x5410,
    "TIOCOUTQ": 0x5411,
    "TIOCSTI": 0x5412,
    "TIOCGWINSZ": 0x5413,
    "TIOCSWINSZ": 0x5414,
    "FIONREAD": 0x541B,
    "TIOCLINUX": 0x541C,
    "TIOCCONS": 0x541D,
    "TIOCPKT": 0x5420,
    "FIONBIO": 0x5421,
    "TIOCNOTTY": 0x5422,
    "TIOCSETD": 0x5423,
    "TIOCGETD": 0x5424,
    "TIOCGSID": 0x5429,
    "TIOCVHANGUP": 0x5437,
    "FIONCLEX": 0x5450,
    "FIOCLEX": 0x5451,
    "FIOASYNC": 0x5452,
    "TUNSETIFF": 0x400454CA,
    "FS_IOC_GETFLAGS": 0x80086601,
    "FS_IOC_SETFLAGS": 0x40086602,
    "LOOP_SET_FD": 0x4C00,
    "LOOP_CTL_GET_FREE": 0x4C82,
    "BLKGETSIZE64": 0x80081272,
    "BLKROSET": 0x125D,
    "FIFREEZE": 0xC0045877,
    "FITHAW": 0xC0045878,
}
# asm-generic/fcntl.h
OPEN = {
    "O_CREAT": 0x40,
    "O_EXCL": 0x80,
    "O_NOCTTY": 0x100,
    "O_TRUNC": 0x200,
    "O_APPEND": 0x400,
    "O_NONBLOCK": 0x800,
    "O_DSYNC": 0x1000,
    "O_SYNC": 0x101000,
    "O_DIRECT": 0x4000,
    "O_LARGEFILE": 0x8000,
    "O_DIRECTORY": 0x10000,
    "O_NOFOLLOW": 0x20000,
    "O_NOATIME": 0x40000,
    "O_CLOEXEC": 0x80000,
    "O_PATH": 0x200000,
}
if ARM64:  # asm/fcntl.h: four of them have places of their own there
    OPEN |= {"O_DIRECTORY": 0x4000, "O_NOFOLLOW": 0x8000, "O_DIRECT": 0x10000, "O_LARGEFILE": 0x20000}
MOUNT = {
    "MS_RDONLY": 0x1,
    "MS_NOSUID": 0x2,
    "MS_NODEV": 0x4,
    "MS_NOEXEC": 0x8,
    "MS_SYNCHRONOUS": 0x10,
    "MS_REMOUNT": 0x20,
    "MS_MANDLOCK": 0x40,
    "MS_DIRSYNC": 0x80,
    "MS_NOSYMFOLLOW": 0x100,
    "MS_NOATIME": 0x400,
    "MS_NODIRATIME": 0x800,
    "MS_BIND": 0x1000,
    "MS_MOVE": 0x2000,
    "MS_REC": 0x4000,
    "MS_SILENT": 0x8000,
    "MS_POSIXACL": 0x10000,
    "MS_UNBINDABLE": 0x20000,
    "MS_PRIVATE": 0x40000,
    "MS_SLAVE": 0x80000,
    "MS_SHARED": 0x100000,
    "MS_RELATIME": 0x200000,
    "MS_I_VERSION": 0x800000,
    "MS_STRICTATIME": 0x1000000,
    "MS_LAZYTIME": 0x2000000,
}
UMOUNT = {"MNT_FORCE": 1, "MNT_DETACH": 2, "MNT_EXPIRE": 4, "UMOUNT_NOFOLLOW": 8}
CLONE = {
    "CLONE_VM": 0x100,
    "CLONE_FS": 0x200,
    "CLONE_FILES": 0x400,
    "CLONE_SIGHAND": 0x800,
    "CLONE_PIDFD": 0x1000,
    "CLONE_PTRACE": 0x2000,
    "CLONE_VFORK": 0x4000,
    "CLONE_PARENT": 0x8000,
    "CLONE_THREAD": 0x10000,
    "CLONE_NEWNS": 0x20000,
    "CLONE_SYSVSEM": 0x40000,
    "CLONE_SETTLS": 0x80000,
    "CLONE_PARENT_SETTID": 0x100000,
    "CLONE_CHILD_CLEARTID": 0x200000,
    "CLONE_DETACHED": 0x400000,
    "CLONE_UNTRACED": 0x800000,
    "CLONE_CHILD_SETTID": 0x1000000,
    "CLONE_NEWCGROUP": 0x2000000,
    "CLONE_NEWUTS": 0x4000000,
    "CLONE_NEWIPC": 0x8000000,
    "CLONE_NEWUSER": 0x10000000,
    "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000,
    "CLONE_IO": 0x80000000,
    "CLONE_CLEAR_SIGHAND": 0x100000000,
    "CLONE_INTO_CGROUP": 0x200000000,
    "CLONE_NEWTIME": 0x80,
}
FAMILY = {
    "AF_UNSPEC": 0,
    "AF_UNIX": 1,
    "AF_INET": 2,
    "AF_AX25": 3,
    "AF_IPX": 4,
    "AF_APPLETALK": 5,
    "AF_NETROM": 6,
    "AF_BRIDGE": 7,
    "AF_ATMPVC": 8,
    "AF_X25": 9,
    "AF_INET6": 10,
    "AF_ROSE": 11,
    "AF_NETBEUI": 13,
    "AF_SECURITY": 14,
    "AF_KEY": 15,
    "AF_NETLINK": 16,
    "AF_PACKET": 17,
    "AF_ASH": 18,
    "AF_ECONET": 19,
    "AF_ATMSVC": 20,
    "AF_RDS": 21,
    "AF_SNA": 22,
    "AF_IRDA": 23,
    "AF_PPPOX": 24,
    "AF_WANPIPE": 25,
    "AF_LLC": 26,
    "AF_IB": 27,
    "AF_MPLS": 28,
    "AF_CAN": 29,
    "AF_TIPC": 30,
    "AF_BLUETOOTH": 31,
    "AF_IUCV": 32,
    "AF_RXRPC": 33,
    "AF_ISDN": 34,
    "AF_PHONET": 35,
    "AF_IEEE802154": 36,
    "AF_CAIF": 37,
    "AF_ALG": 38,
    "AF_NFC": 39,
    "AF_VSOCK": 40,
    "AF_KCM": 41,
    "AF_QIPCRTR": 42,
    "AF_SMC": 43,
    "AF_XDP": 44,
    "AF_MCTP": 45,
}
# The rows of /proc/PID/limits, which are in the order of asm-generic/resource.h's numbers
RLIMITS = (
    "Max cpu time",
    "Max file size",
    "Max data size",
    "Max stack size",
    "Max core file size",
    "Max resident set",
    "Max processes",
    "Max open files",
    "Max locked memory",
    "Max address space",
    "Max file locks",
    "Max pending signals",
    "Max msgqueue size",
    "Max nice priority",
    "Max realtime priority",
    "Max realtime timeout",
)
SOCKET = {"SOCK_STREAM": 1, "SOCK_DGRAM": 2, "SOCK_RAW": 3, "SOCK_RDM": 4, "SOCK_SEQPACKET": 5, "SOCK_PACKET": 10}
PROTECTION = {"PROT_READ": 1, "PROT_WRITE": 2, "PROT_EXEC": 4}
PRCTL = {
    "PR_SET_PDEATHSIG": 1,
    "PR_SET_DUMPABLE": 4,
    "PR_SET_KEEPCAPS": 8,
    "PR_SET_NAME": 15,
    "PR_SET_SECCOMP": 22,
    "PR_CAPBSET_READ": 23,
    "PR_CAPBSET_DROP": 24,
    "PR_SET_TSC": 26,
    "PR_SET_SECUREBITS": 28,
    "PR_SET_TIMERSLACK": 29,
    "PR_SET_MM": 35,
    "PR_SET_CHILD_SUBREAPER": 36,
    "PR_SET_NO_NEW_PRIVS": 38,
    "PR_SET_THP_DISABLE": 41,
    "PR_CAP_AMBIENT": 47,
    "PR_SET_SPECULATION_CTRL": 53,
    "PR_SET_IO_FLUSHER": 57,
    "PR_SET_SYSCALL_USER_DISPATCH": 59,
    "PR_SCHED_CORE": 62,
}
SIGNAL = {
    "SIGHUP": 1,
    "SIGINT": 2,
    "SIGQUIT": 3,
    "SIGILL": 4,
    "SIGTRAP": 5,
    "SIGABRT": 6,
    "SIGBUS": 7,
    "SIGFPE": 8,
    "SIGKILL": 9,
    "SIGUSR1": 10,
    "SIGSEGV": 11,
    "SIGUSR2": 12,
    "SIGPIPE": 13,
    "SIGALRM": 14,
    "SIGTERM": 15,
    "SIGSTKFLT": 16,
    "SIGCHLD": 17,
    "SIGCONT": 18,
    "SIGSTOP": 19,
    "SIGTSTP": 20,
    "SIGTTIN": 21,
    "SIGTTOU": 22,
    "SIGURG": 23,
    "SIGXCPU": 24,
    "SIGXFSZ": 25,
    "SIGVTALRM": 26,
    "SIGPROF": 27,
    "SIGWINCH": 28,
    "SIGIO": 29,
    "SIGPWR": 30,
    "SIGSYS": 31,
}
SOCK_NONBLOCK, SOCK_CLOEXEC = 0x800, 0x80000
ACCESS = ("O_RDONLY", "O_WRONLY", "O_RDWR", "3")  # the lowest two bits of open's flags


def one(names: "dict[str, int]", value: int) -> str:
    """Name a value, or show it."""
    return next((name for name, number in names.items() if number == value), _shown(value))


def many(names: "dict[str, int]", value: int, first: str = "") -> str:
    """Name the bits that are set, and show the rest; `first` is a name for what is no bit."""
    found = [first] if first else []
    for name, bits in sorted(
        names.items(), key=lambda row: (-(row[1].bit_count()), row[1])
    ):  # O_SYNC has O_DSYNC in it
        if bits and value & bits == bits:
            found.append(name)
            value &= ~bits
    return "|".join([*found, hex(value)] if value or not found else found)


def _shown(value: int) -> str:
    return str(value) if value < 1000 else hex(value)


def _socket(value: int) -> str:
    """Name a socket's type and the two flags that come with it."""
    flags = {"SOCK_NONBLOCK": SOCK_NONBLOCK, "SOCK_CLOEXEC": SOCK_CLOEXEC}
    return many(flags, value & ~0xF, one(SOCKET, value & 0xF))


def _clone(value: int) -> str:
    """Name clone's flags; the lowest bits are the signal that tells the parent, or CLONE_NEWTIME alone (unshare)."""
    ending = value & 0x7F
    return many(CLONE, value & ~0x7F, one(SIGNAL, ending) if ending else "")


def _open(value: int) -> str:
    return many(OPEN, value & ~3, ACCESS[value & 3])


def _limit(value: int) -> str:
    return RLIMITS[value] if value < len(RLIMITS) else str(value)


# By the letters of syscall_table.py
DECODED: "dict[str, Callable[[int], str]]" = {
    "R": lambda value: one(PTRACE, value),
    "I": lambda value: one(IOCTL, value),
    "O": _open,
    "M": lambda value: many(MOUNT, value),
    "U": lambda value: many(UMOUNT, value),
    "C": _clone,
    "F": lambda value: one(FAMILY, value),
    "T": _socket,
    "P": lambda value: many(PROTECTION, value) if value else "PROT_NONE",
    "p": lambda value: one(PRCTL, value),
    "S": lambda value: one(SIGNAL, value),
    "L": _limit,
    "m": lambda value: f"0{value & 0o7777777:o}",
}
