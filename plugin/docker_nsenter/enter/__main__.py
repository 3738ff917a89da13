"""Read the Plan, run the steps, watch over the command: the whole of stage 2."""

import posix
import sys
from _signal import SIG_UNBLOCK, SIGINT, pthread_sigmask

from . import errors, jsonlite, processes, stdio
from .channel import Channels
from .entry import Entry, Own
from .errors import EntryError, printable, say
from .hardening import exeseal, readonly_host
from .linux import capset, syscalls
from .session import client
from .session.status import exit_status
from .start import SEVERAL, Start, read
from .steps import PREPARE
from .target import ended
from .validate import validate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from typing import NoReturn

    from .plan import Plan

ESRCH = 3


def main() -> "NoReturn":
    """Run a command by the words of start.py in sys.argv; never return."""
    serve(read(sys.argv[1:]))


def serve(start: Start) -> "NoReturn":
    """Run a command by the Plan that is sent; never return."""
    status = 125
    try:
        pthread_sigmask(SIG_UNBLOCK, [SIGINT])
        words = _protect(sealed=start.sealed)
        docker = client.connect(start.docker)
        own = Own(words)
        text = client.receive(start.plan_fd, docker, start.planner, start.parent)
        # Who has sent a whole Plan need not be waited for: its end takes a millisecond
        whole = text.endswith((b"}", SEVERAL)) or not start.planner
        status = 0 if whole else exit_status(posix.waitpid(start.planner, 0)[1])
        if text == SEVERAL and not status:
            from . import launch, many  # noqa: F401 - once for all that are forked, and in the order of their bundles

            text, docker = many.each(start, docker)
        status = status or enter(text, start, own, docker)
    except EntryError as refusal:
        status = _report(refusal)
    except OSError as problem:
        status = _report(EntryError(f"cannot enter: {problem.filename or 'system call'}: {problem.strerror}"))
    except ValueError as problem:
        status = _report(EntryError(f"the plan cannot be read: {problem}"))
    except MemoryError:
        status = _report(EntryError("out of memory"))
    except KeyboardInterrupt:
        status = 130
    # Not sys.exit: finalisation costs a millisecond.
    posix._exit(status)


def _protect(*, sealed: bool) -> tuple[int, int, int]:
    """Be unreadable for others and sealed, keep nothing open across execve, and collect orphans of our own.

    Forget the caller's environment: who may trace the command's process reads its memory, too. Return where our words
    stand.
    """
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    exeseal.name()
    sys.excepthook, sys.unraisablehook = _unexpected, _unraisable
    if not sealed and not exeseal.sealed("self"):
        exeseal.in_place()
    stdio.fill_standard()
    syscalls.close_range(3, 0xFFFFFFFF, syscalls.CLOSE_RANGE_CLOEXEC)
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    return exeseal.forget()


def _unexpected(kind: type, value: object, trace: object) -> None:
    """Report a defect of ours without opening source files, which could be the container's by now."""
    if kind is KeyboardInterrupt:
        posix._exit(130)
    _report(EntryError(f"unexpected {kind.__name__}: {value}"))
    posix._exit(125)


def _unraisable(told: "UnraisableHookArgs") -> None:
    """End by what a clean-up raised that nobody called, as a generator's: Python would print it and go on."""
    _unexpected(told.exc_type, told.exc_value, told.exc_traceback)


def _give_way(found: object) -> None:
    """Execute what the planner sent in the place of a Plan, where a helper has to enter: words and an environment."""
    instead = found.get("instead") if isinstance(found, dict) else None
    if instead is not None:
        words, environment = ([text.encode("utf-8", "surrogateescape") for text in each] for each in instead)
        posix.execve(words[0], words, dict(word.split(b"=", 1) for word in environment))


def enter(text: bytes, start: Start, own: Own, docker: int) -> int:
    """Check the Plan, prepare, run; return the command's exit status. `docker` is the connection to it, or -1."""
    try:
        found = jsonlite.loads(text)
    except ValueError:
        raise EntryError("the plan is not JSON") from None
    _give_way(found)
    plan = validate(found)
    try:
        return _take_steps(plan, text, start, own, docker)
    except EntryError as refusal:
        if refusal.change and not refusal.hint:
            from .hints import word  # only where nothing will run; while this process may still read its own files

            capset.hold(0)
            word(refusal, plan["typed"])
        raise


def _take_steps(plan: "Plan", text: bytes, start: Start, own: Own, docker: int) -> int:
    """Take the steps of a Plan that was checked."""
    entry = Entry(plan, own, start.host_mounts, start.host_root)
    entry.docker = docker
    entry.start_again = lambda: readonly_host.start_again(text, start)
    if plan["debug"]:
        say(f"route: {plan['route']}")
    if plan["why"]:
        from .tracing.tracer import Tracer  # before anything is joined, and only for --why: it costs a millisecond
    for label, action in PREPARE:
        if plan["debug"]:
            say(label)
        try:
            action(entry)
        except OSError as problem:
            if problem.errno == ESRCH:  # of a file in the process's /proc directory
                raise ended() from None
            call = problem.filename if isinstance(problem.filename, str) else "system call"
            raise EntryError(f"cannot {label}: {call}: {problem.strerror}") from problem
    channels = Channels()
    installer, inside = processes.start(entry, channels)
    from .launch import Launch  # in the host's process, while its child works

    launch = Launch(entry, docker, channels, installer, inside=inside)
    if plan["why"]:
        launch.tracer = Tracer(entry.filters, entry.filter_count, plan, entry.own.status["CapEff"][0])
    return launch.run()


def end(sentence: str) -> "NoReturn":
    """Refuse before anything was begun."""
    posix._exit(_report(EntryError(sentence)))


def _report(refusal: EntryError) -> int:
    """Write the sentence and the hint to standard error and return the status."""
    hint = f"\nhint: {refusal.hint}" if refusal.hint else ""
    say(printable(refusal.sentence) + hint, errors.reports)
    return refusal.status


if __name__ == "__main__":
    main()
