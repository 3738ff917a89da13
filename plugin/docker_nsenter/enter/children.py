"""Fork the command's process, and perhaps the first of its pid namespace, where the installer has dropped all."""

import posix

from . import command
from .channel import Channels
from .entry import Entry
from .hardening import exeseal
from .linux import seccomp, syscalls
from .steps import INSTALL, take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def begin(entry: Entry, channels: Channels) -> "NoReturn":
    """Fork the command's process, name it, end."""
    if any(seccomp.notifies(each.program) for each in entry.filters):
        channels.say("N")
    if entry.forbids_fork and not entry.late_filters:
        channels.say("S")
        channels.wait()
    try:
        if entry.own_pids:
            _begin_pids(entry, channels)
        pid = _clone_sibling()
    except OSError as problem:
        channels.say("F", "install", len(INSTALL) - 1, problem.errno, "clone")
        posix._exit(125)
    if pid == 0:
        exeseal.entitle(entry.own.words, entry.title("connector") if entry.connector else "")
        take("command", entry, channels)
        command.execute(entry, channels)
    channels.say("P", pid)
    channels.close_inner()  # the end of a process takes a millisecond, and files are the last that it closes
    posix._exit(0)


def _clone_sibling() -> int:
    """Fork a child of the supervisor's: its end is that one's to see, and the death signal comes when that one dies.

    By clone(2), for which Docker's filter looks at the flags; it answers ENOSYS to clone3, whose flags it can't see.
    """
    return syscalls.clone(syscalls.FORK_SIBLING[1])


def _begin_pids(entry: Entry, channels: Channels) -> None:
    """Fork the first process of the command's own pid namespace; it ends with the last of the others, or with us."""
    gate, held = posix.pipe2(posix.O_CLOEXEC)  # `held` closes when the command executes
    if _clone_sibling():
        posix.close(gate)
        entry.keep.append(held)
        return
    posix.close(held)
    exeseal.entitle(entry.own.words, entry.title("init"))
    take("init", entry, channels)
    channels.close_inner()
    posix.read(gate, 1)
    command.reap_until_the_end()
