"""Prove that a process is a container's: what stage 1 asks first and stage 2 once more.

An engine names its container's process by a number, which may be another kernel's, another pid namespace's, or one that
was used again. Mounts, cgroups and start times prove nothing: a user makes any mount in a user namespace of his own,
any cgroup below one that systemd delegated to him. What no one can choose is his parent. The parent of a container's
first process is the runtime's monitor (containerd's shim, conmon): root's or the engine's user's, and it works in the
container's bundle, a directory that is called by the whole id, with the config.json that the runtime obeys; conmon only
names it. The child
of such a monitor is the container's, whatever it has done to its own files (chroot, pivot_root, umount) since.
"""

import posix

from . import jsonlite
from .linux.procfs import lines, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HEXADECIMAL = b"0123456789abcdef"
SYS_ADMIN = 1 << 21
LARGEST_CONFIG = 4 << 20
NO_MONITOR = (2, 3, 13)  # ENOENT, ESRCH: it ends, or has no bundle; EACCES: it is not ours to look at


def belongs(proc: int, status: bytes, container: str, owner: int) -> bool:
    """Tell whether the process of a /proc directory, which has this status, is a container's.

    `owner` is who the engine belongs to: 0, or the user of a rootless one. OSError when the process itself has ended.
    """
    try:
        parent = int(_field(status, b"PPid"))
        above = posix.open(f"/proc/{parent}", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except FileNotFoundError:  # it ends, or its parent is outside of our pid namespace
        return False
    try:
        bundle = bundle_of(above, container, owner)
        return bundle != "" and _is_inside(proc, above, bundle)
    finally:
        posix.close(above)


def _field(status: bytes, name: bytes) -> bytes:
    """Take a field's value out of /proc/PID/status; a process's name there can't hold a newline."""
    return status.partition(b"\n" + name + b":")[2].partition(b"\n")[0].strip()


def bundle_of(monitor: int, container: str, owner: int) -> str:
    """Find a container's bundle, below the /proc directory of a process that may be its monitor; '' when it is not.

    It must hold SYS_ADMIN where we do, which root in an ordinary container does not, or be the engine's owner's; and it
    must work in a bundle that is his, too: su and sudo are root's in whatever directory their caller likes.
    """
    try:
        bundle = "cwd"
        if container not in posix.readlink("cwd", dir_fd=monitor).split("/"):
            bundle = _named_bundle(monitor, container)
        if not bundle:
            return ""
        status = read("status", at=monitor)
        if posix.readlink("ns/user", dir_fd=monitor) == posix.readlink("/proc/self/ns/user"):
            powerful = int(_field(status, b"CapEff"), 16) & SYS_ADMIN != 0
            owner = 0
        else:
            powerful = owner != 0 and _field(status, b"Uid").split() == [b"%d" % owner] * 4
        files = (f"{bundle}/.", f"{bundle}/config.json")
        whose = {posix.stat(file, dir_fd=monitor, follow_symlinks=False).st_uid for file in files}
        return bundle if powerful and whose == {owner} else ""
    except OSError as problem:
        if problem.errno in NO_MONITOR:
            return ""
        raise


def _named_bundle(monitor: int, container: str) -> str:
    """Take the bundle from the words that Podman gave conmon; those of any other program are its caller's."""
    if posix.readlink("exe", dir_fd=monitor).rpartition("/")[2] != "conmon":
        return ""
    words = read("cmdline", at=monitor).decode("utf-8", "surrogateescape").split("\0")
    bundle = words[words.index("-b") + 1] if "-b" in words[:-1] else ""
    return f"root{bundle}" if container in bundle.split("/") and bundle.startswith("/") else ""


def _is_inside(proc: int, monitor: int, bundle: str) -> bool:
    """Tell whether a child of a monitor's is among a container's files, and no sandbox or virtual machine around them.

    The engine's own mounts (hosts, hostname, resolv.conf) show it at once; where a user has mounted over them, or the
    process has another root, its root or its program is in the file system that the runtime was given.
    """
    if posix.readlink("ns/mnt", dir_fd=proc) == posix.readlink("ns/mnt", dir_fd=monitor):
        return False
    if _shows_engines_files(lines("mountinfo", at=proc)):
        return True
    config = jsonlite.loads(read(f"{bundle}/config.json", at=monitor, limit=LARGEST_CONFIG))
    path = config["root"]["path"]
    files = posix.stat(f"root{path}" if path.startswith("/") else f"{bundle}/{path}", dir_fd=monitor).st_dev
    return files in (posix.stat("root/.", dir_fd=proc).st_dev, posix.stat("exe", dir_fd=proc).st_dev)


def _shows_engines_files(mountinfo: "Iterable[bytes]") -> bool:
    """Tell whether a file that an engine keeps for some container is mounted; lines are taken until one tells.

    The engine's come before the ten thousand of an application. The containers of a network share one's files.
    """
    for line in mountinfo:
        directory, _, name = line.split(b" ", 4)[3].rpartition(b"/")
        if name in (b"hostname", b"hosts", b"resolv.conf"):
            identity = directory.removesuffix(b"/userdata").rpartition(b"/")[2]  # userdata: Podman's
            if len(identity) == 64 and not identity.strip(HEXADECIMAL):
                return True
    return False
