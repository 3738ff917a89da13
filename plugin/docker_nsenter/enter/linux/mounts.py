"""Let a host process that joined only some namespaces see the truth in /proc and /sys, and nobody else.

All happens in a mount namespace of the command's own.
"""

import posix
from _signal import SIGCHLD

from ..errors import MOUNT, EntryError
from . import syscalls


def clone_proc(mount_namespace: int) -> int:
    """Clone the container's own /proc as a detached mount (open_tree, Linux 5.2).

    A fresh one can only be mounted from inside the pid namespace, where the container could see the process that does
    it with power. The clone must be the root of a procfs: anything else is the container's fake. A child that shares
    our descriptors fetches it: who is root of a user namespace only may join the container's mounts, but not come back.
    """
    reader, writer = posix.pipe2(posix.O_CLOEXEC)
    child = syscalls.clone(syscalls.CLONE_FILES | SIGCHLD)
    if not child:
        _fetch_proc(mount_namespace, writer)
    posix.waitpid(child, 0)
    posix.close(writer)
    word, _, rest = posix.read(reader, 64).decode().partition(" ")
    posix.close(reader)
    if word == "opened":
        return int(rest)
    if word:
        raise OSError(int(word), posix.strerror(int(word)), rest)
    raise EntryError("the container has no real /proc to mount", MOUNT)


def _fetch_proc(mount_namespace: int, answer: int) -> None:
    """Open the clone and answer with its number, or an errno and its call, or nothing for a fake; never return."""
    try:
        syscalls.setns(mount_namespace, syscalls.CLONE_NEWNS)
        tree = syscalls.open_tree(syscalls.AT_FDCWD, b"/proc", syscalls.OPEN_TREE_CLONE | posix.O_CLOEXEC)
        if syscalls.fstatfs_type(tree) == syscalls.PROC_SUPER_MAGIC and posix.fstat(tree).st_ino == 1:
            posix.write(answer, f"opened {tree}".encode())
    except OSError as problem:
        posix.write(answer, f"{problem.errno} {problem.filename or 'fstat'}".encode())
    finally:
        posix._exit(0)


def unshare() -> None:
    """Begin a mount namespace whose changes nobody else sees."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(b"none", b"/", b"", syscalls.MS_REC | syscalls.MS_PRIVATE)


def show_sys() -> None:
    """Mount a /sys of the network namespace that we are in."""
    syscalls.mount(
        b"sysfs", b"/sys", b"sysfs", syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    )


def detached(name: bytes) -> int:
    """Mount a file system that only its descriptor leads to (fsopen, Linux 5.2)."""
    fs = syscalls.fsopen(name, 1)
    try:
        syscalls.fsconfig(fs, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(fs, 1, 0)
    finally:
        posix.close(fs)


def private_null(label: str) -> int:
    """Open a null device on a file system of its own: the host's inode must not be in the command's hands.

    Under SELinux it gets the label of the container's files, or '' leaves the one that it has.
    """
    mount = detached(b"tmpfs")
    try:
        posix.mknod("null", 0o020666, 0x103, dir_fd=mount)
        posix.chmod("null", 0o666, dir_fd=mount)
        null = posix.open("null", posix.O_RDWR | posix.O_CLOEXEC, dir_fd=mount)
    finally:
        posix.close(mount)
    if label:
        posix.setxattr(null, "security.selinux", label.encode())
    return null
