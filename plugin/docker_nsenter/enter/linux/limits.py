"""Give the command the container's resource limits and its place in the out-of-memory order."""

from ..errors import say
from ..target import Target
from . import syscalls
from .procfs import read, write

NAME_WIDTH = 26  # of the first column (fs/proc/base.c, proc_pid_limits)


def parse(text: bytes) -> dict[int, tuple[int, int]]:
    """Parse /proc/PID/limits into {RLIMIT_*: (soft, hard)}: its rows are in the order of those numbers."""
    found = {}
    for resource, line in enumerate(text.decode("ascii", "replace").splitlines()[1:]):
        soft, hard = line[NAME_WIDTH:].split()[:2]
        found[resource] = (_value(soft), _value(hard))
    return found


def _value(word: str) -> int:
    return syscalls.RLIM_INFINITY if word == "unlimited" else int(word)


class Limits:
    """Hold the limits that the command will have: the target's, as far as they can be set."""

    def __init__(self, target: Target, *, may_raise: bool) -> None:
        """Read the target's rlimits and oom_score_adj.

        Without CAP_SYS_RESOURCE (`may_raise`) a hard limit can't rise above ours: then the command keeps ours, which
        is the stricter of the two.
        """
        self._own = parse(read("/proc/self/limits"))
        self._text = target.read("limits")
        self.rlimits = parse(self._text)
        self.oom_score_adj = int(target.read("oom_score_adj"))
        self.lower = ""  # what stays below the container's, for people
        if not may_raise:
            for resource, (soft, hard) in self.rlimits.items():
                own = self._own[resource][1]
                if own < hard:
                    self.rlimits[resource] = min(soft, own), own
                    self.lower += f"{', ' if self.lower else ''}{self._name(resource)} {own}"

    def _name(self, resource: int) -> str:
        return self._text.splitlines()[1 + resource][:NAME_WIDTH].decode("ascii", "replace").rstrip()

    def raise_hard(self) -> None:
        """Raise our own hard limits where the target's are higher, while we have the right to."""
        for resource, (_, hard) in self.rlimits.items():
            soft, own = self._own[resource]
            if hard > own:
                syscalls.prlimit64(0, resource, _pair(soft, hard), 0)
                self._own[resource] = soft, hard

    def settle(self) -> None:
        """Take the limits on that are not ours already; lowering needs no right, so that this can come last."""
        for resource, (soft, hard) in self.rlimits.items():
            if self._own[resource] != (soft, hard):
                syscalls.prlimit64(0, resource, _pair(soft, hard), 0)

    def score(self, pid: int) -> None:
        """Set a process's place in the out-of-memory order, from outside.

        Without CAP_SYS_RESOURCE it can't sink below what somebody with that capability gave us: it stays ours.
        """
        own = int(read(f"/proc/{pid}/oom_score_adj"))
        if own == self.oom_score_adj:
            return
        try:
            write(f"/proc/{pid}/oom_score_adj", str(self.oom_score_adj).encode())
        except PermissionError:
            say(f"the command keeps the caller's oom_score_adj {own}: this process may not lower it")
            self.oom_score_adj = own

    def difference(self, pid: int) -> str:
        """Name a limit that the kernel does not report as set; '' when all agree."""
        text = read(f"/proc/{pid}/limits")
        shown = self.rlimits if text == self._text and not self.lower else parse(text)
        for resource, wanted in self.rlimits.items():
            if shown.get(resource) != wanted:
                return self._name(resource)
        if int(read(f"/proc/{pid}/oom_score_adj")) != self.oom_score_adj:
            return "oom_score_adj"
        return ""


def _pair(soft: int, hard: int) -> bytearray:
    """Write struct rlimit64."""
    return bytearray(soft.to_bytes(8, "little") + hard.to_bytes(8, "little"))
