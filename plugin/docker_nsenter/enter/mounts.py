"""Let a host process that joined only some namespaces see the truth in /proc and /sys, and nobody else.

All happens in a mount namespace of the command's own.
"""

import posix

from . import kernel
from .refusal import Refusal


def clone_proc(mount_namespace: int) -> int:
    """Clone the container's own /proc as a detached mount (open_tree, Linux 5.2).

    A fresh one can only be mounted from inside the pid namespace, where the container could see the process that does
    it with power. The clone must be the root of a procfs: anything else is the container's fake.
    """
    here = posix.open("/proc/self/ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC)
    cwd = posix.open(".", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    kernel.setns(mount_namespace, kernel.CLONE_NEWNS)
    try:
        tree = kernel.open_tree(kernel.AT_FDCWD, b"/proc", kernel.OPEN_TREE_CLONE | posix.O_CLOEXEC)
        genuine = kernel.fstatfs_type(tree) == kernel.PROC_SUPER_MAGIC and posix.fstat(tree).st_ino == 1
    finally:
        kernel.setns(here, kernel.CLONE_NEWNS)
        posix.fchdir(cwd)
        posix.close(here)
        posix.close(cwd)
    if not genuine:
        raise Refusal("the container has no genuine /proc to show", "add --mount to enter its files too")
    return tree


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
