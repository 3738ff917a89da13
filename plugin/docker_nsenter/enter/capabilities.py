"""Name the kernel's capabilities, and sets of them.

A set is a whole number, bit N for capability N, so that capabilities without a name here are kept or dropped like
any other (capabilities(7); linux/capability.h).
"""

NAMES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
)
NUMBERS = {name: number for number, name in enumerate(NAMES)}
CHECKPOINT_RESTORE = 1 << NUMBERS["CHECKPOINT_RESTORE"]
SYS_ADMIN = 1 << NUMBERS["SYS_ADMIN"]
SYS_MODULE = 1 << NUMBERS["SYS_MODULE"]
SYS_PTRACE = 1 << NUMBERS["SYS_PTRACE"]
SYS_RESOURCE = 1 << NUMBERS["SYS_RESOURCE"]
ALL = (1 << 64) - 1


def names(mask: int) -> list[str]:
    """Name the capabilities of a set, those without a name by number."""
    bits = [number for number in range(64) if mask >> number & 1]
    return [NAMES[number] if number < len(NAMES) else f"CAP_{number}" for number in bits]
