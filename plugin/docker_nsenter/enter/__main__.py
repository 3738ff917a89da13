"""Read the Plan, run the steps, watch over the command: the whole of stage 2."""

import posix
import sys

from . import jsonlite, stdio
from .channel import Channels
from .entry import Entry
from .errors import Refusal, printable, say
from .hardening import exeseal, readonly_host
from .linux import syscalls
from .processes import start
from .session import client
from .session.status import exit_status
from .steps import PREPARE
from .validate import accept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Enter by the Plan in descriptor argv[1]; never return.

    argv[2] is the process that sends the Plan, a child of ours, or 0; argv[3] names docker's plugin socket, or is '';
    argv[4] is the host's mount namespace when this is the second start, in a shelter.
    """
    serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else -1)


def serve(
    plan_fd: int, planner: int, socket: str, home: int = -1, files: str = "/", *, sealed: bool = False, parent: int = 0
) -> "NoReturn":
    """Enter by the Plan that can be read from a descriptor; never return.

    `files` leads to the root directory of the mount namespace `home`; `sealed` tells that this interpreter is; `parent`
    is docker's process where that has started us, or 0.
    """
    status = 125
    try:
        _protect(sealed=sealed)
        docker = client.connect(socket)
        text = client.receive(plan_fd, docker, planner, parent)
        # Who has sent a whole Plan need not be waited for: its end takes a millisecond
        failed = 0 if text.endswith(b"}") else _planned(planner)
        if text.startswith(b"\0") and not failed:
            execute_instead(text)
        status = failed or enter(text, socket, docker, home, files)
    except Refusal as refusal:
        status = _report(refusal)
    except OSError as problem:
        status = _report(Refusal(f"cannot enter: {problem.filename or 'system call'}: {problem.strerror}"))
    except ValueError as problem:
        status = _report(Refusal(f"the plan cannot be read: {problem}"))
    except MemoryError:
        status = _report(Refusal("out of memory"))
    except KeyboardInterrupt:
        status = 130
    # Not sys.exit: finalisation costs a millisecond.
    posix._exit(status)


def _protect(*, sealed: bool) -> None:
    """Be unreadable for others and sealed, keep nothing open across execve, and collect orphans of our own."""
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    sys.excepthook = _unexpected
    if not sealed and not exeseal.sealed("self"):
        exeseal.in_place()
    stdio.fill_standard()
    syscalls.close_range(3, 0xFFFFFFFF, syscalls.CLOSE_RANGE_CLOEXEC)
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)


def _planned(planner: int) -> int:
    """Wait for the process that sent the Plan; its exit status is ours when it said why there is none."""
    return exit_status(posix.waitpid(planner, 0)[1]) if planner else 0


def _unexpected(kind: type, value: object, trace: object) -> None:
    """Report a defect of ours without opening source files, which could be the container's by now."""
    _report(Refusal(f"unexpected {kind.__name__}: {value}"))
    posix._exit(125)


def execute_instead(text: bytes) -> None:
    """Execute what the planner sent in the place of a Plan: NUL, a count, so many words, the environment."""
    count, *words = text[1:].split(b"\0")
    size = int(count)
    posix.execve(words[0], words[:size], dict(word.split(b"=", 1) for word in words[size:]))


def enter(text: bytes, socket: str, docker: int, home: int, files: str) -> int:
    """Accept the Plan, prepare, run; return the command's exit status. `docker` is the connection to it, or -1."""
    try:
        plan = accept(jsonlite.loads(text))
    except ValueError:
        raise Refusal("the plan is not JSON") from None
    entry = Entry(plan, home, files)
    entry.start_again = lambda: readonly_host.start_again(text, socket)
    if plan["debug"]:
        say(f"route: {plan['route']}")
    if plan["why"]:
        from .tracing.tracer import Observer  # before anything is joined, and only for --why: it costs a millisecond
    for label, action in PREPARE:
        if plan["debug"]:
            say(label)
        try:
            action(entry)
        except OSError as problem:
            call = problem.filename if isinstance(problem.filename, str) else "system call"
            raise Refusal(f"cannot {label}: {call}: {problem.strerror}") from problem
    channels = Channels()
    installer, inside = start(entry, channels)
    from .launch import Launch  # in the host's process, while its child works

    launch = Launch(entry, docker, channels, installer, inside=inside)
    if plan["why"]:
        launch.observer = Observer(entry.filter_count, plan["why"])
    return launch.run()


def end(sentence: str) -> "NoReturn":
    """Refuse before anything was begun."""
    posix._exit(_report(Refusal(sentence)))


def _report(refusal: Refusal) -> int:
    """Write the sentence and the hint to standard error and return the status."""
    hint = f"\nhint: {printable(refusal.hint)}" if refusal.hint else ""
    say(printable(refusal.sentence) + hint)
    return refusal.status


if __name__ == "__main__":
    main()
