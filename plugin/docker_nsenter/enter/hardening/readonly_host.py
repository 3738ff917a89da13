"""Start once more where the host's files are read-only, for containers that could write them through this process.

What the command's process has mapped of the host (libc, Python) is open to a tracer that also holds CAP_SYS_ADMIN or
CAP_CHECKPOINT_RESTORE: /proc/PID/map_files leads to the files themselves (proc_map_files_get_link, Linux 5.9). So for
such a container all of it is mapped from read-only mounts, in a mount namespace of our own. It costs a second start.
"""

import posix
import sys
from _signal import SIG_BLOCK, SIGINT, pthread_sigmask
from fcntl import fcntl

from ..errors import EntryError
from ..linux import syscalls
from ..linux.capabilities import CHECKPOINT_RESTORE, SYS_ADMIN, SYS_MODULE, SYS_PTRACE
from ..session import client
from ..start import Start
from .exeseal import START, unwritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

F_SETFD = 2
WRITABLE = (b"/proc", b"/sys")  # the kernel's own files, that an entry writes


def needed(bounding: int, joined: list[str]) -> bool:
    """Tell whether a container with this bounding set, that sees the command's process, could write what that maps.

    Who may load kernel modules needs no such way, and who has his own user namespace has none of this on the host.
    """
    opens = bounding & SYS_PTRACE and bounding & (SYS_ADMIN | CHECKPOINT_RESTORE)
    return bool(opens) and not bounding & SYS_MODULE and "user" not in joined


def confirmed(pid: int) -> bool:
    """Tell whether nothing that a process has mapped can be written through /proc/PID/map_files."""
    return all(unwritable(f"/proc/{pid}/map_files/{name}") for name in posix.listdir(f"/proc/{pid}/map_files"))


def start_again(plan: bytes, start: "Start") -> "NoReturn":
    """Execute stage 2 anew with the same Plan, in a mount namespace whose files are read-only."""
    host_mounts = posix.open("/proc/self/ns/mnt", posix.O_RDONLY)
    memory = posix.memfd_create("plan", 0)
    while plan:
        plan = plan[posix.write(memory, plan) :]
    posix.lseek(memory, 0, 0)
    for fd in (host_mounts, memory, *client.descriptors(start.docker)):
        fcntl(fd, F_SETFD, 0)
    _make_read_only()
    again = Start(memory, docker=start.docker, host_mounts=host_mounts)
    arguments = [sys.executable, *START, *again.words()]
    pthread_sigmask(SIG_BLOCK, [SIGINT])  # it waits until stage 2 can say 130
    posix.execve(sys.executable, arguments, {"LC_CTYPE": "C.UTF-8"})


def _make_read_only() -> None:
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(b"none", b"/", b"", syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount_setattr(syscalls.AT_FDCWD, b"/", syscalls.AT_RECURSIVE, syscalls.MOUNT_ATTR_RDONLY, 0)
        for path in WRITABLE:
            syscalls.mount_setattr(syscalls.AT_FDCWD, path, syscalls.AT_RECURSIVE, 0, syscalls.MOUNT_ATTR_RDONLY)
    except OSError as problem:
        if problem.errno != 38:  # ENOSYS
            raise
        raise EntryError(
            "this container could write to the host's files through the plugin's process; preventing that needs "
            "Linux 5.12",
        ) from None


def leave(host_mounts: int) -> None:
    """Go back to the host's own mount namespace, and to the same directory there."""
    directory = posix.getcwdb()
    syscalls.setns(host_mounts, syscalls.CLONE_NEWNS)
    posix.chdir(directory)
