"""Read the Plan, run the steps, watch over the command: the whole of stage 2."""

import posix
import sys

from . import kernel, stdio, wire
from .accept import accept
from .entry import Entry
from .files import read_all
from .refusal import Refusal, printable
from .steps import PREPARE
from .supervisor import Supervisor

LARGEST_PLAN = 64 << 20


def main() -> None:
    """Enter by the Plan in descriptor argv[1], with the plugin socket in argv[2] (-1: none); never return."""
    plan_fd, socket = int(sys.argv[1]), int(sys.argv[2])
    status = 125
    try:
        _protect(plan_fd, socket)
        text = read_all(plan_fd, LARGEST_PLAN)
        posix.close(plan_fd)
        status = enter(text, socket)
    except Refusal as refusal:
        status = _report(refusal)
    except OSError as problem:
        status = _report(Refusal(f"cannot enter: {problem.filename or 'system call'}: {problem.strerror}"))
    except ValueError as problem:
        status = _report(Refusal(f"the plan cannot be read: {problem}"))
    except MemoryError:
        status = _report(Refusal("out of memory"))
    finally:
        # Not sys.exit: finalisation costs a millisecond, and an unexpected error must not print by opening files.
        posix._exit(status)


def _protect(plan_fd: int, socket: int) -> None:
    """Be unreadable for others, keep nothing open across execve, and collect orphans of our own."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    stdio.fill_standard()
    kernel.close_range(3, 0xFFFFFFFF, kernel.CLOSE_RANGE_CLOEXEC)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    sys.excepthook = _unexpected


def _unexpected(kind: type, value: object, trace: object) -> None:
    """Report a defect of ours without opening source files, which could be the container's by now."""
    _report(Refusal(f"unexpected {kind.__name__}: {value}"))
    posix._exit(125)


def enter(text: bytes, socket: int) -> int:
    """Accept the Plan, prepare, run; return the command's exit status."""
    try:
        plan = accept(wire.loads(text))
    except ValueError:
        raise Refusal("the plan is not JSON") from None
    entry = Entry(plan)
    for label, action in PREPARE:
        try:
            action(entry)
        except OSError as problem:
            call = problem.filename if isinstance(problem.filename, str) else "system call"
            raise Refusal(f"cannot {label}: {call}: {problem.strerror}") from problem
    return Supervisor(entry, socket).run()


def _report(refusal: Refusal) -> int:
    """Write the sentence and the hint to standard error; a closed one changes nothing."""
    text = f"docker nsenter: {printable(refusal.sentence)}\n"
    if refusal.hint:
        text += f"hint: {printable(refusal.hint)}\n"
    try:
        posix.write(2, text.encode("utf-8", "replace"))
    except OSError:
        return refusal.status
    return refusal.status


if __name__ == "__main__":
    main()
