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

    Row = tuple[str, Callable[[], bool], Callable[[], object]]

EPERM, EACCES, EINVAL, ENOSYS = 1, 13, 22, 38
SCHED_OTHER = MPOL_DEFAULT = PER_LINUX = 0
ORDINARY_IO = (0, 4, 0x4004)  # none, as kernels word it, and what follows from a nice value of 0
MOST_PROCESSORS = 8192
COREDUMP_FILTER = "/proc/self/coredump_filter"
# what is said of it, the option that reads it, the one that sets it, the value of a fresh process
PRCTLS = (
    ("timer slack", syscalls.PR_GET_TIMERSLACK, syscalls.PR_SET_TIMERSLACK, 50_000),
    ("refusal of huge pages", syscalls.PR_GET_THP_DISABLE, syscalls.PR_SET_THP_DISABLE, 0),
    (
        "refusal of memory that is written and executed",
        syscalls.PR_GET_MDWE,
        syscalls.PR_SET_MDWE,
        0,
    ),  # stays, once set
    ("merging of equal memory", syscalls.PR_GET_MEMORY_MERGE, syscalls.PR_SET_MEMORY_MERGE, 0),
    ("secure bits", syscalls.PR_GET_SECUREBITS, syscalls.PR_SET_SECUREBITS, 0),
)


def _by_prctl(name: str, get: int, put: int, value: int) -> "Row":
    return name, lambda: syscalls.prctl(get, 0, 0, 0, 0) == value, lambda: syscalls.prctl(put, value, 0, 0, 0)


def _all_processors() -> bool:
    return len(posix.sched_getaffinity(0)) >= (posix.cpu_count() or 1)


ROWS: "tuple[Row, ...]" = (
    # the policy first: a nice value and a timer slack mean nothing to a real-time one
    (
        "scheduling policy",
        lambda: syscalls.sched_getscheduler(0) == SCHED_OTHER,
        lambda: syscalls.sched_setscheduler(0, SCHED_OTHER, bytearray(4)),
    ),
    (
        "nice value",
        lambda: posix.getpriority(posix.PRIO_PROCESS, 0) == 0,
        lambda: posix.setpriority(posix.PRIO_PROCESS, 0, 0),
    ),
    (
        "processors",
        _all_processors,
        lambda: posix.sched_setaffinity(0, range(MOST_PROCESSORS)),
    ),  # the cpuset narrows them
    ("io class", lambda: syscalls.ioprio_get(1, 0) in ORDINARY_IO, lambda: syscalls.ioprio_set(1, 0, 0)),
    ("personality", lambda: syscalls.personality(0xFFFFFFFF) == PER_LINUX, lambda: syscalls.personality(PER_LINUX)),
    (
        "memory policy",
        lambda: syscalls.get_mempolicy() == MPOL_DEFAULT,
        lambda: syscalls.set_mempolicy(MPOL_DEFAULT, 0, 0),
    ),
    ("core dump filter", lambda: int(read(COREDUMP_FILTER), 16) == 0x33, lambda: write(COREDUMP_FILTER, b"0x33")),
    *(_by_prctl(*row) for row in PRCTLS),
)


def reset() -> list[str]:
    """Give this process, and so its children, what a fresh one has; name what could not be reset."""
    kept = []
    for name, ordinary, put in ROWS:
        try:
            if not ordinary():
                put()
        except OSError as problem:
            if problem.errno in (EPERM, EACCES):
                kept.append(name)
            elif problem.errno not in (EINVAL, ENOSYS):  # a kernel that does not know it hands none down
                raise
    return kept


def difference(pid: int, kept: list[str]) -> str:
    """Name what the kernel does not report as reset of a process; '' when all agrees."""
    shown = {
        "scheduling policy": syscalls.sched_getscheduler(pid) == SCHED_OTHER,
        "nice value": posix.getpriority(posix.PRIO_PROCESS, pid) == 0,
        "io class": syscalls.ioprio_get(1, pid) in ORDINARY_IO,
    }
    return next((name for name, ordinary in shown.items() if not ordinary and name not in kept), "")
