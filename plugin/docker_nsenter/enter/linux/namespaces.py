"""Join the namespaces that the Plan names: in one call where the kernel can, else one by one in a working order."""

import posix

from ..target import Target, ended
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
    """Choose those of the wanted namespaces that we do not share already; joining our own user namespace is EINVAL.

    A kind that is not among our `own` this kernel has one of for all (time before 5.6, cgroup before 4.6).
    """
    known = [name for name in NAMES if name in wanted and name in own]
    try:
        return [name for name in known if target.namespace(name) != own[name]]
    except FileNotFoundError:  # a zombie has left its namespaces
        raise ended() from None


def join(target: Target, names: list[str]) -> None:
    """Join by setns(pidfd, flags) (Linux 5.8), or by the files of /proc where the kernel says EINVAL."""
    wanted = {name: flag for name, flag in TABLE if name in names}
    if not wanted:
        return
    try:
        syscalls.setns(target.pidfd, sum(wanted.values()))
    except OSError as problem:
        if problem.errno != 22:  # EINVAL: a kernel before 5.8 takes no pidfd
            raise
        flags = posix.O_RDONLY | posix.O_CLOEXEC  # all are opened before the first is joined
        opened = [(posix.open(f"ns/{name}", flags, dir_fd=target.proc), flag) for name, flag in wanted.items()]
        for fd, flag in opened:
            syscalls.setns(fd, flag)
