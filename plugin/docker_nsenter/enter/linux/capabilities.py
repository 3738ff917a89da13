"""Name the kernel's capabilities, and sets of them.

A set is a whole number, bit N for capability N, so that capabilities without a name here are kept or dropped like
any other (capabilities(7); linux/capability.h).
"""

# fmt: off
# A byte of the set a line, the lowest first
NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)
# fmt: on
NUMBERS = {name: number for number, name in enumerate(NAMES)}
CHECKPOINT_RESTORE = 1 << NUMBERS["CHECKPOINT_RESTORE"]
KILL = 1 << NUMBERS["KILL"]
PERFMON = 1 << NUMBERS["PERFMON"]
SYS_ADMIN = 1 << NUMBERS["SYS_ADMIN"]
SYS_MODULE = 1 << NUMBERS["SYS_MODULE"]
SYS_PTRACE = 1 << NUMBERS["SYS_PTRACE"]
SYS_RESOURCE = 1 << NUMBERS["SYS_RESOURCE"]
ALL = (1 << 64) - 1
# What a command's guard can be (guard.py), the most harmless first: none opens a file, a process or a network, and
# docker gives none of them by default.
HARMLESS = (
    "WAKE_ALARM",  # timers that wake a machine that sleeps (timerfd_create(2))
    "BLOCK_SUSPEND",  # keeps a machine from falling asleep (epoll_ctl(2), EPOLLWAKEUP)
    "NET_BROADCAST",  # unused but for hearing of links in other network namespaces (netlink(7), LISTEN_ALL_NSID)
    "IPC_LOCK",  # keeps memory from being swapped out; its cgroup still counts it
)


def names(mask: int) -> list[str]:
    """Name the capabilities of a set, those without a name by number."""
    bits = [number for number in range(64) if mask >> number & 1]
    return [NAMES[number] if number < len(NAMES) else f"CAP_{number}" for number in bits]
