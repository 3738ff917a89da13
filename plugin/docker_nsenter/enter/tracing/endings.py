"""Say by which signal a process ended, and who sent it, where the kernel tells.

SIGKILL comes without a stop and without a sender: it is the kernel's where the cgroup has counted it, or it is known
from the call of another process that is watched.
"""

import _signal
import posix

from ..errors import printable
from ..linux import syscalls
from ..linux.argument_names import SIGNAL, one
from ..linux.procfs import read
from ..target import parse_status
from . import tracee
from .bounds import CPU, FSIZE, Bounds
from .refused import Refused

PTRACE_GETSIGINFO = 0x4202
KILLS = {"kill": 1, "tkill": 1, "tgkill": 2, "pidfd_send_signal": 1}  # which argument is the signal
LIMITS: dict[int, int] = {_signal.SIGXCPU: CPU, _signal.SIGXFSZ: FSIZE}
QUIET = (31, _signal.SIGPIPE)  # SIGSYS is the filter's, told as a call; SIGPIPE ends what nobody reads any more
ITSELF = -1
MOST = 10_000  # names that are kept; a command may start processes without end


class Endings:
    """Hold what is known of the watched processes, to name those that end."""

    def __init__(self, pid: int, bounds: Bounds) -> None:
        """Begin with the command alone."""
        self.pid = pid
        self._bounds = bounds
        self._names: dict[int, str] = {}
        self._signals: dict[int, tuple[int, int, int]] = {}  # the last one's number, code, sender
        self._met: dict[int, Refused] = {}  # the limit that it tells of, read while the process is there
        self._inside = _number_inside(pid)
        self._killer = self._sender = ""

    def named(self, thread: int) -> None:
        """Remember the name of a program just executed."""
        if len(self._names) < MOST:
            self._names[thread] = printable(tracee.name_of(thread))

    def signalled(self, thread: int, number: int) -> None:
        """Remember a signal that is about to be delivered, with its code and sender (sigaction(2), siginfo_t)."""
        info = bytearray(128)
        syscalls.ptrace(PTRACE_GETSIGINFO, thread, 0, info)
        code, sender = (int.from_bytes(info[at : at + 4], "little", signed=True) for at in (8, 16))
        if len(self._signals) < MOST:
            own = sender and sender == _number_inside(thread)
            self._signals[thread] = number, code, ITSELF if own else sender
            if number in LIMITS:  # after the end its parent, or the kernel for it, may be quicker than we are
                self._met[thread] = self._bounds.rlimit(thread, LIMITS[number], 0, self._name(thread))
            if thread == self.pid and number != _signal.SIGCHLD:
                self._sender = self._name_inside(sender)

    def entering(self, thread: int, name: str, arguments: list[int]) -> None:
        """Remember who of the watched is about to kill the command."""
        which = KILLS.get(name)
        if which is None or arguments[which] & 0xFFFFFFFF != _signal.SIGKILL:
            return
        to = arguments[0] & 0xFFFFFFFF
        if to in (0, self._inside) or to >> 31:  # it, or a group, which may be its
            itself = thread == self.pid
            self._killer = "itself" if itself else self._names.get(thread, "a process that it started")

    def watched(self, number: int) -> bool:
        """Tell whether a number in the command's pid namespace is of a process that is watched."""
        return any(_number_inside(thread) == number for thread in self._names)

    def ended(self, thread: int, status: int) -> "Refused | None":
        """Say what ended a process, if that is the command or a limit was the cause."""
        name = self._name(thread)
        self._names.pop(thread, None)
        met = self._met.pop(thread, None)
        number, code, sender = self._signals.pop(thread, (0, 0, 0))
        if not posix.WIFSIGNALED(status) or posix.WTERMSIG(status) in QUIET:
            return None
        ending = posix.WTERMSIG(status)
        if ending == _signal.SIGKILL:
            killed = self._bounds.memory_kill(name)
            if killed or thread != self.pid:
                return killed
        if number != ending:
            code = sender = 0
        if met and number == ending and (code > 0 or sender == ITSELF):  # the kernel sends SIGXFSZ in its own name
            refused = met
        elif thread == self.pid or code > 0:
            refused = Refused(name, 0, [self._sent(ending, code if number == ending else None, sender)], [])
        else:
            return None
        refused.reason = f"ended by {one(SIGNAL, ending)} ({ending})"
        return refused

    def _name(self, thread: int) -> str:
        """Say what a process is called."""
        return self._names.get(thread) or ("the command" if thread == self.pid else "a process that it started")

    def _sent(self, ending: int, code: "int | None", sender: int) -> str:
        """Say who sent the signal."""
        if ending == _signal.SIGKILL:
            return (
                f"sent by {self._killer}" if self._killer else "sent by a process that was not watched, or the kernel"
            )
        if code is None:
            return "which nobody that was watched has sent"
        if code > 0:
            return "sent by the kernel, for what the program itself did"
        if sender == ITSELF:
            return "sent by itself"
        return f"sent by {self._sender}" if sender else "sent from outside of the container's processes"

    def _name_inside(self, number: int) -> str:
        """Name the process that has a number in the command's pid namespace."""
        for thread, name in self._names.items():
            if _number_inside(thread) == number:
                return f"{name} (process {number})"
        return f"process {number}"


def _number_inside(pid: int) -> int:
    """Read a process's number in its own pid namespace; 0 when it is gone."""
    try:
        return parse_status(read(f"/proc/{pid}/status")).get("NSpid", [0])[-1]
    except OSError:
        return 0
