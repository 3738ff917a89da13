"""Give the command the container's resource limits and its place in the out-of-memory order."""

from . import kernel
from .files import read, write
from .target import Target

EPERM, EACCES = 1, 13


def parse(text: bytes) -> dict[int, tuple[int, int]]:
    """Parse /proc/PID/limits into {RLIMIT_*: (soft, hard)}; unlimited is RLIM_INFINITY."""
    found = {}
    for line in text.decode("ascii", "replace").splitlines():
        for name, resource in kernel.RLIMITS.items():
            if line.startswith(name + " "):
                soft, hard = line[len(name) :].split()[:2]
                found[resource] = (_value(soft), _value(hard))
    return found


def _value(word: str) -> int:
    return kernel.RLIM_INFINITY if word == "unlimited" else int(word)


class Limits:
    """Hold the target's limits, and what the command got of them."""

    def __init__(self, target: Target) -> None:
        """Read the target's rlimits and oom_score_adj."""
        self.rlimits = parse(target.read("limits"))
        self.oom_score_adj = int(target.read("oom_score_adj"))

    def apply(self, pid: int) -> None:
        """Set them on a process of ours.

        Without CAP_SYS_RESOURCE a hard limit can't rise above ours and oom_score_adj can't sink below: then the
        command keeps ours, which is the stricter of the two.
        """
        for resource, pair in self.rlimits.items():
            new = b"".join(value.to_bytes(8, "little") for value in pair)
            try:
                kernel.prlimit64(pid, resource, bytearray(new), 0)
            except OSError as problem:
                if problem.errno != EPERM:
                    raise
                self.rlimits[resource] = self._clamp(pid, resource, pair)
        if int(read(f"/proc/{pid}/oom_score_adj")) != self.oom_score_adj:
            self._set_score(pid)

    def _clamp(self, pid: int, resource: int, pair: tuple[int, int]) -> tuple[int, int]:
        """Set the lower of the target's limit and the one that the process has."""
        old = bytearray(16)
        kernel.prlimit64(pid, resource, 0, old)
        hard = min(pair[1], int.from_bytes(old[8:], "little"))
        soft = min(pair[0], hard)
        kernel.prlimit64(pid, resource, bytearray(soft.to_bytes(8, "little") + hard.to_bytes(8, "little")), 0)
        return soft, hard

    def _set_score(self, pid: int) -> None:
        try:
            write(f"/proc/{pid}/oom_score_adj", str(self.oom_score_adj).encode())
        except OSError as problem:
            if problem.errno not in (EACCES, EPERM):
                raise
            self.oom_score_adj = int(read(f"/proc/{pid}/oom_score_adj"))

    def difference(self, pid: int) -> str:
        """Name a limit that the kernel does not report as set; '' when all agree."""
        shown = parse(read(f"/proc/{pid}/limits"))
        for name, resource in kernel.RLIMITS.items():
            if resource in self.rlimits and shown.get(resource) != self.rlimits[resource]:
                return name
        if int(read(f"/proc/{pid}/oom_score_adj")) != self.oom_score_adj:
            return "oom_score_adj"
        return ""
