"""Fork the installer, which takes its table of steps.py."""

import posix
from _signal import SIG_SETMASK, SIGCHLD, pthread_sigmask

from . import children
from .channel import Channels
from .entry import Entry
from .hardening import exeseal
from .linux import syscalls
from .linux.cgroups import not_delegated
from .steps import take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def start(entry: Entry, channels: Channels) -> tuple[int, bool]:
    """Fork the installer, into the container's v2 cgroup where possible; return its pid and whether it is in there."""
    pid = _clone_into(entry.cgroups.unified) if entry.cgroups and entry.cgroups.unified >= 0 else -1
    inside = pid >= 0
    pid = pid if inside else posix.fork()
    if pid == 0:
        _install(entry, channels)
    return pid, inside


def _clone_into(cgroup: int) -> int:
    """Fork by clone3(CLONE_INTO_CGROUP) (Linux 5.7); -1 where that can't be: an old kernel, a full pids limit."""
    values = (syscalls.CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, cgroup)
    try:
        return syscalls.clone3(bytearray(b"".join(value.to_bytes(8, "little") for value in values)))
    except OSError as problem:
        if problem.errno == 13:  # EACCES
            raise not_delegated() from None
        if problem.errno in (7, 11, 16, 22, 38, 95):  # E2BIG, EAGAIN, EBUSY, EINVAL, ENOSYS, EOPNOTSUPP
            return -1
        raise


def _install(entry: Entry, channels: Channels) -> "NoReturn":
    """Be the installer: join, drop, fork the command's process (children.py), end."""
    exeseal.entitle(entry.own.words, entry.title("installer"))
    _default_signals(entry)
    channels.close_supervisors()
    entry.keep += channels.inner()
    take("install", entry, channels)
    children.begin(entry, channels)


def _default_signals(entry: Entry) -> None:
    """Give the command docker's signals: Python ignores SIGPIPE and SIGXFSZ, nohup SIGHUP, posix_spawn 32 and 33."""
    ours = entry.own.status["SigIgn"][0] | entry.own.status["SigCgt"][0]
    for number in range(1, 65):
        if ours >> (number - 1) & 1:
            syscalls.rt_sigaction(number, bytearray(32), 0)  # signal() refuses what glibc keeps for itself
    pthread_sigmask(SIG_SETMASK, [])
