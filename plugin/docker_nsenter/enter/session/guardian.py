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

PIDFD_SEND_SIGNAL = (424, 424)


def begin(command: int, words: tuple[int, int, int], title: str) -> None:
    """Fork the guardian of a command that waits for its go; OSError where that can't be.

    It has a session of its own, so that what stops or ends the caller's job doesn't reach it.
    """
    ends = syscalls.pidfd_open(command), syscalls.pidfd_open(posix.getpid())
    if posix.fork():
        for fd in ends:
            posix.close(fd)
        return
    try:
        _signal.set_wakeup_fd(-1)
        syscalls.setsid()
        exeseal.entitle(words, title)
        for fd in (0, 1, 2):  # whose readers wait for their end
            posix.close(fd)
        powerless.confine(ends, powerless.program({**powerless.CARRY}, {PIDFD_SEND_SIGNAL: (0, ends[:1])}))
        _watch(*ends)
    finally:
        posix._exit(0)


def _watch(command: int, supervisor: int) -> None:
    """Wait until either has ended, and kill the command if it was the other."""
    waiting = poll()
    waiting.register(command, POLLIN)
    waiting.register(supervisor, POLLIN)
    if command not in dict(waiting.poll()):
        syscalls.pidfd_send_signal(command, _signal.SIGKILL)
