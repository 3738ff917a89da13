"""Read what the kernel says of a process, as plain values: for --list and --dry-run, which enter nothing.

What may not be read without root is None.
"""

import posix
from fcntl import ioctl

from ..enter.linux import argument_names, capabilities, limits, lsm, namespaces, syscalls
from ..enter.linux.cgroups import parse
from ..enter.linux.procfs import read
from ..enter.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Restrictions = dict[str, Any]

DENIED = (1, 13)  # EPERM, EACCES
NS_GET_USERNS, NS_GET_OWNER_UID = 0xB701, 0xB704  # ioctl_ns(2)
# The kernel's name in /proc/PID/status, and the one for a person
SETS = (
    ("CapEff", "effective"),
    ("CapPrm", "permitted"),
    ("CapBnd", "bounding"),
    ("CapInh", "inheritable"),
    ("CapAmb", "ambient"),
)


def of_process(target: Target) -> "Restrictions":
    """Read everything that restricts a process."""
    found = of_status(target.status)
    found["label"] = label(target)
    found["cgroups"] = {controllers or "v2": path for controllers, path in parse(target.read("cgroup"))}
    found["oom_score_adj"] = int(target.read("oom_score_adj"))
    found["limits"] = named(limits.parse(target.read("limits")))
    return found


def of_self() -> "Restrictions":
    """Read the same of this process."""
    return of_process(Target(posix.getpid()))


def of_status(status: dict[str, list[int]]) -> "Restrictions":
    """Take the restrictions out of /proc/PID/status; ids are the host's."""
    found: Restrictions = {
        "uid": status["Uid"][1],
        "gid": status["Gid"][1],
        "groups": sorted(set(status["Groups"])),
    }
    found.update({name: capabilities.names(status[field][0]) for field, name in SETS})
    filters = status.get("Seccomp_filters", [int(status["Seccomp"][0] == 2)])[0]
    found["seccomp_filters"] = filters if status["Seccomp"][0] == 2 else 0
    found["no_new_privs"] = status["NoNewPrivs"] == [1]
    if "Umask" not in status:  # a zombie has let go of its files; its threads may live on
        raise OSError(3, "the process has ended", "status")
    found["umask"] = f"{status['Umask'][0]:04o}"
    return found


def named(rows: dict[int, tuple[int, int]]) -> dict[str, list["int | None"]]:
    """Name the resource limits; None is unlimited."""
    return {
        name.removeprefix("Max "): [None if value == syscalls.RLIM_INFINITY else value for value in rows[resource]]
        for resource, name in enumerate(argument_names.RLIMITS)
        if resource in rows
    }


def label(target: Target) -> "str | None":
    """Read the security module's label; '' where there is none."""
    try:
        return lsm.label_of(target)
    except OSError as problem:
        if problem.errno in DENIED:
            return None
        raise


def of_namespaces(target: Target) -> "dict[str, int | None]":
    """Tell each namespace of a process by its inode, for the kinds that this kernel has."""
    return {name: inode(target, name) for name in kinds()}


def kinds() -> list[str]:
    """List the kinds of namespace that this kernel has."""
    present = posix.listdir("/proc/self/ns")
    return [name for name in namespaces.NAMES if name in present]


def inode(target: Target, name: str) -> "int | None":
    """Tell one namespace by its inode."""
    try:
        return number(target.namespace(name))
    except OSError as problem:
        if problem.errno in DENIED:
            return None
        raise


def number(link: str) -> int:
    """Take the inode out of `net:[4026531992]`."""
    return int(link.partition("[")[2].rstrip("]"))


def owner(target: Target, name: str) -> "tuple[int, int] | None":
    """Tell which user namespace owns a namespace (by inode), and which uid of the host owns that."""
    try:
        fd = posix.open(f"ns/{name}", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=target.proc)
    except OSError as problem:
        if problem.errno in DENIED:
            return None
        raise
    try:
        above = fd if name == "user" else ioctl(fd, NS_GET_USERNS)
        uid = bytearray(4)
        ioctl(above, NS_GET_OWNER_UID, uid)
        found = posix.fstat(above).st_ino, int.from_bytes(uid, "little")
        if above != fd:
            posix.close(above)
        return found
    except OSError as problem:
        if problem.errno in (1, 22, 25):  # outside what we may see, or a kernel before 4.11
            return None
        raise
    finally:
        posix.close(fd)


def id_map(target: Target, name: str) -> list[list[int]]:
    """Read uid_map or gid_map: rows of first id inside, first outside, how many."""
    return [[int(word) for word in line.split()] for line in target.read(name).splitlines()]


def shim_limits(target: Target) -> "dict[str, list[int | None]] | None":
    """Read the limits of the process that started this one, which a new process of the runtime inherits."""
    parent = target.status["PPid"][0]
    try:
        return named(limits.parse(read(f"/proc/{parent}/limits"))) if parent else None
    except OSError as problem:
        if problem.errno in (2, 3, *DENIED):
            return None
        raise
