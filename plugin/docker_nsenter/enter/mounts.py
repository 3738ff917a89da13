"""Let a host process that joined only some namespaces see the truth in /proc and /sys, and nobody else.

All happens in a mount namespace of the command's own.
"""

import posix
import sys
from _socket import AF_UNIX, CMSG_SPACE, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket, socketpair

from . import kernel
from .refusal import Refusal


def clone_proc(mount_namespace: int) -> int:
    """Clone the container's own /proc as a detached mount (open_tree, Linux 5.2).

    A fresh one can only be mounted from inside the pid namespace, where the container could see the process that does
    it with power. The clone must be the root of a procfs: anything else is the container's fake. A child fetches it:
    who is root of a user namespace only may join the container's mounts, but not come back.
    """
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    child = posix.fork()
    if not child:
        _send_proc(mount_namespace, theirs)
    theirs.close()
    word, passed, _, _ = ours.recvmsg(64, CMSG_SPACE(4), MSG_CMSG_CLOEXEC)
    ours.close()
    posix.waitpid(child, 0)
    if passed:
        return int.from_bytes(passed[0][2], sys.byteorder)
    errno, _, call = word.decode().partition(" ")
    if errno:
        raise OSError(int(errno), posix.strerror(int(errno)), call)
    raise Refusal("the container has no genuine /proc to show", "add --mount to enter its files too")


def _send_proc(mount_namespace: int, channel: socket) -> None:
    """Send the clone, or an errno and its call, or nothing for a fake; never return."""
    try:
        kernel.setns(mount_namespace, kernel.CLONE_NEWNS)
        tree = kernel.open_tree(kernel.AT_FDCWD, b"/proc", kernel.OPEN_TREE_CLONE | posix.O_CLOEXEC)
        if kernel.fstatfs_type(tree) == kernel.PROC_SUPER_MAGIC and posix.fstat(tree).st_ino == 1:
            channel.sendmsg([b"."], [(SOL_SOCKET, SCM_RIGHTS, tree.to_bytes(4, sys.byteorder))])
    except OSError as problem:
        channel.send(f"{problem.errno} {problem.filename or 'fstat'}".encode())
    finally:
        posix._exit(0)


def unshare() -> None:
    """Begin a mount namespace whose changes nobody else sees."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount(b"none", b"/", b"", kernel.MS_REC | kernel.MS_PRIVATE)


def show_proc(tree: int) -> None:
    """Put the cloned /proc over the host's."""
    kernel.move_mount(tree, b"/proc")


def show_sys() -> None:
    """Mount a /sys of the network namespace that we are in."""
    kernel.mount(b"sysfs", b"/sys", b"sysfs", kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def private_null() -> int:
    """Open a null device on a file system of its own: the host's inode must not be in the command's hands."""
    fs = kernel.fsopen(b"tmpfs", 1)
    try:
        kernel.fsconfig(fs, kernel.FSCONFIG_CMD_CREATE)
        mount = kernel.fsmount(fs, 1, 0)
    finally:
        posix.close(fs)
    try:
        posix.mknod("null", 0o020666, 0x103, dir_fd=mount)
        posix.chmod("null", 0o666, dir_fd=mount)
        return posix.open("null", posix.O_RDWR | posix.O_CLOEXEC, dir_fd=mount)
    finally:
        posix.close(mount)
