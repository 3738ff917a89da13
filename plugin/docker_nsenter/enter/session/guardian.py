"""End the command when its supervisor is killed, where the kernel's death signal can't: execve has forgotten that.

AppArmor and SELinux clear it when execve changes the label: who had less power must not signal who has more (Linux,
bprm_committing_creds of security/apparmor/domain.c and security/selinux/hooks.c). A process of ours does it instead. It
holds what the supervisor does, the right to signal that command, and two pidfds; nothing that it reads is anybody's.
"""

import _signal
import posix
from select import POLLIN, poll

from ..hardening import exeseal, powerless
from ..linux import syscalls

EPERM = 1


def begin(command: int, words: tuple[int, int, int], title: str) -> None:
    """Fork the guardian of a command that waits for its go, and wait until it watches; OSError where it can't."""
    ends = syscalls.pidfd_open(command), syscalls.pidfd_open(posix.getpid())
    ready, started = posix.pipe2(posix.O_CLOEXEC)
    if not posix.fork():
        try:
            exeseal.entitle(words, title)
            _watch(*ends, started)
        finally:
            posix._exit(0)
    for fd in (*ends, started):
        posix.close(fd)
    begun = posix.read(ready, 1)
    posix.close(ready)
    if not begun:
        raise OSError(EPERM, posix.strerror(EPERM), "the guardian")


def _watch(command: int, supervisor: int, started: int) -> None:
    """Say that all power is gone; wait until either has ended, and kill the command if it was the other.

    In a session of its own: what stops or ends the caller's job doesn't reach it.
    """
    _signal.set_wakeup_fd(-1)
    syscalls.setsid()
    for fd in (0, 1, 2):  # whose readers wait for their end
        posix.close(fd)
    powerless.guardian(command, (command, supervisor, started))
    posix.write(started, b"r")
    posix.close(started)
    waiting = poll()
    waiting.register(command, POLLIN)
    waiting.register(supervisor, POLLIN)
    if command not in dict(waiting.poll()):
        syscalls.pidfd_send_signal(command, _signal.SIGKILL)
