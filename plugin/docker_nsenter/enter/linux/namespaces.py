"""Join the namespaces that the Plan names: in one call where the kernel can, else one by one in a working order."""

import posix

from ..target import Target
from . import syscalls

# The order of the fallback: the user namespace first, for it gives the right to join the others that it owns; the
# mount namespace last, for the files of /proc opened before stay valid, but names would lead elsewhere (nsenter.c).
TABLE = (
    ("user", syscalls.CLONE_NEWUSER),
    ("cgroup", syscalls.CLONE_NEWCGROUP),
    ("ipc", syscalls.CLONE_NEWIPC),
    ("uts", syscalls.CLONE_NEWUTS),
    ("net", syscalls.CLONE_NEWNET),
    ("pid", syscalls.CLONE_NEWPID),
    ("time", syscalls.CLONE_NEWTIME),
    ("mnt", syscalls.CLONE_NEWNS),
)
NAMES = tuple(name for name, _ in TABLE)


def ours(name: str) -> str:
    """Name our own namespace of a kind: for pid and time the one that our children get."""
    suffix = "_for_children" if name in ("pid", "time") else ""
    return posix.readlink(f"/proc/self/ns/{name}{suffix}")


def differing(target: Target, wanted: list[str], own: dict[str, str]) -> list[str]:
    """Choose those of the wanted namespaces that we do not share already; joining our own user namespace is EINVAL."""
    chosen = []
    for name, _ in TABLE:
        if name not in wanted:
            continue
        try:
            if target.namespace(name) != own.get(name, ""):
                chosen.append(name)
        except FileNotFoundError:  # a kernel without this kind (time: 5.6, cgroup: 4.6) has one for all
            continue
    return chosen


def join(target: Target, names: list[str]) -> None:
    """Join by setns(pidfd, flags) (Linux 5.8), or by the files of /proc where the kernel says EINVAL."""
    flags = 0
    for name, flag in TABLE:
        flags |= flag if name in names else 0
    if not flags:
        return
    try:
        syscalls.setns(target.pidfd, flags)
    except OSError as problem:
        if problem.errno != 22:  # EINVAL: a kernel before 5.8 takes no pidfd
            raise
        opened = _open_files(target, names)
        for name, flag in TABLE:
            if name in names:
                syscalls.setns(opened[name], flag)


def _open_files(target: Target, names: list[str]) -> dict[str, int]:
    """Open the namespace files before the first is joined."""
    return {name: posix.open(f"ns/{name}", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=target.proc) for name in names}
