"""Leave behind what the caller's process would hand down to the command: its priority, its processors, its personality.

Docker's commands begin with none of it. An ordinary caller has nothing to reset, so each row reads first. What may not
be reset is kept and said (who is not root may raise his nice value, not lower it).
"""

import posix

from . import syscalls
from .procfs import read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Row = tuple[str, Callable[[int], int], tuple[int, ...], Callable[[], object]]

EPERM, EACCES, EINVAL, ENOSYS = 1, 13, 22, 38
FRESH = (0,)  # SCHED_OTHER, MPOL_DEFAULT, PER_LINUX, and a nice value of 0
ORDINARY_IO = (0, 4, 0x4004)  # none, as kernels word it, and what follows from a nice value of 0
MOST_PROCESSORS = 8192
COREDUMP_FILTER = "/proc/self/coredump_filter"


def _nice(pid: int) -> int:
    return posix.getpriority(posix.PRIO_PROCESS, pid)


def _lacking_processors(_: int) -> int:
    return max(0, (posix.cpu_count() or 1) - len(posix.sched_getaffinity(0)))


def _by_prctl(name: str, get: int, put: int, value: int) -> "Row":
    return name, lambda _: syscalls.prctl(get, 0, 0, 0, 0), (value,), lambda: syscalls.prctl(put, value, 0, 0, 0)


# What is said of it, what reads it, the values of a fresh process, what resets it. The policy first: a nice value and a
# timer slack mean nothing to a real-time one. The first three can be read of any process.
ROWS: "tuple[Row, ...]" = (
    ("scheduling policy", syscalls.sched_getscheduler, FRESH, lambda: syscalls.sched_setscheduler(0, 0, bytearray(4))),
    ("nice value", _nice, FRESH, lambda: posix.setpriority(posix.PRIO_PROCESS, 0, 0)),
    ("io class", lambda pid: syscalls.ioprio_get(1, pid), ORDINARY_IO, lambda: syscalls.ioprio_set(1, 0, 0)),
    # the cpuset narrows them
    ("processors", _lacking_processors, FRESH, lambda: posix.sched_setaffinity(0, range(MOST_PROCESSORS))),
    ("personality", lambda _: syscalls.personality(0xFFFFFFFF), FRESH, lambda: syscalls.personality(0)),
    ("memory policy", lambda _: syscalls.get_mempolicy(), FRESH, lambda: syscalls.set_mempolicy(0, 0, 0)),
    ("core dump filter", lambda _: int(read(COREDUMP_FILTER), 16), (0x33,), lambda: write(COREDUMP_FILTER, b"0x33")),
    _by_prctl("timer slack", syscalls.PR_GET_TIMERSLACK, syscalls.PR_SET_TIMERSLACK, 50_000),
    _by_prctl("refusal of huge pages", syscalls.PR_GET_THP_DISABLE, syscalls.PR_SET_THP_DISABLE, 0),
    # stays, once set
    _by_prctl("refusal of memory that is written and executed", syscalls.PR_GET_MDWE, syscalls.PR_SET_MDWE, 0),
    _by_prctl("merging of equal memory", syscalls.PR_GET_MEMORY_MERGE, syscalls.PR_SET_MEMORY_MERGE, 0),
    _by_prctl("secure bits", syscalls.PR_GET_SECUREBITS, syscalls.PR_SET_SECUREBITS, 0),
)


def reset() -> list[str]:
    """Give this process, and so its children, what a fresh one has; name what could not be reset."""
    kept = []
    for name, found, fresh, put in ROWS:
        try:
            if found(0) not in fresh:
                put()
        except OSError as problem:
            if problem.errno in (EPERM, EACCES):
                kept.append(name)
            elif problem.errno not in (EINVAL, ENOSYS):  # a kernel that does not know it hands none down
                raise
    return kept


def difference(pid: int, kept: list[str]) -> str:
    """Name what the kernel does not report as reset of a process; '' when all agrees."""
    return next((name for name, found, fresh, _ in ROWS[:3] if found(pid) not in fresh and name not in kept), "")
