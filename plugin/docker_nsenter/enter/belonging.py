"""Tell by its mounts and cgroups whether a process is a container's: what stage 1 asks first and stage 2 once more."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HEXADECIMAL = b"0123456789abcdef"


def belongs(container: str, mountinfo: "Iterable[bytes]", cgroup: bytes) -> bool:
    """Tell whether one of a process's mounts comes from this container's own directory on the engine's host.

    The engine binds resolv.conf, hostname and hosts of each container from a directory named by its whole id; the root
    field of mountinfo shows that directory, and only for the container itself: a shim, a sandbox or a virtual machine's
    monitor is in the container's cgroup too, but not in its mounts (proc_pid_mountinfo(5)).
    A container in another's network (--network container:NAME) is given that one's files: there the cgroup must name
    the container itself, as the last of its path, and the mounts may be any container's.
    The lines of `mountinfo` are taken until one tells: the engine's come before the ten thousand of an application.
    """
    wanted, some_containers = container.encode(), False
    for line in mountinfo:
        root = line.split(b" ", 4)[3]
        if b"/" + wanted + b"/" in root:
            return True
        some_containers = some_containers or _is_containers(root)
    return some_containers and any(wanted in line.rpartition(b"/")[2] for line in cgroup.splitlines())


def _is_containers(root: bytes) -> bool:
    """Tell whether a mount's root is a file that an engine keeps for some container."""
    directory, _, name = root.rpartition(b"/")
    identity = directory.rpartition(b"/")[2]
    return name in (b"hostname", b"hosts", b"resolv.conf") and len(identity) == 64 and not identity.strip(HEXADECIMAL)
