"""Start: stage 2 at once where the line can only end in an entry, else stage 1 alone.

`os` and all that needs it is imported by stage 1 only: the process that enters has as little in its memory as can be.
"""

import posix
import sys
from _signal import (
    SIG_BLOCK,
    SIG_IGN,
    SIG_UNBLOCK,
    SIGINT,
    SIGKILL,
    default_int_handler,
    getsignal,
    pthread_sigmask,
    signal,
)

from .loader import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from typing import NoReturn

# Words after which nothing is entered, or only after a question to typer
NO_ENTRY = {"--help", "-h", "--version", "--dry-run", "--list", "--inspect", "--route=helper"}
# Set by a planner that found that a helper has to enter: its words are executed once more, for stage 1 alone
HANDED_OVER = b"DOCKER_NSENTER_HANDED_OVER"
# docker's own options that may stand before `nsenter`, and how many words each takes; endpoints.py reads them
DOCKERS = dict.fromkeys(("--context", "-c", "--host", "-H", "--config", "--log-level", "-l"), 2) | {
    "--debug": 1,
    "-D": 1,
}


def main() -> "NoReturn":
    """Do what sys.argv says, as docker or a person wrote it; never return."""
    planner = -1
    try:
        if getsignal(SIGINT) != SIG_IGN:  # the launcher's ends at once; here something may have to be tidied up
            signal(SIGINT, default_int_handler)
            sys.unraisablehook = _unraisable
        if not enters_surely(sys.argv[1:]):
            from .commands import dispatch

            dispatch.main()
        parent = posix.getppid()
        reader, writer = posix.pipe()
        pthread_sigmask(SIG_BLOCK, [SIGINT])  # a fork forgets a signal that Python has yet to handle
        planner = posix.fork()
        pthread_sigmask(SIG_UNBLOCK, [SIGINT])
        if planner:
            load("enter")
            from .routes import bootstrap

            posix.close(writer)
            bootstrap.become(reader, planner, parent)
        load("plan")
        from .commands import dispatch

        posix.close(reader)
        dispatch.plan_for(writer)
    except OSError as problem:
        _end(planner, problem.strerror or "")
    except MemoryError:
        _end(planner, "out of memory")
    except KeyboardInterrupt:
        if planner > 0:
            posix.kill(planner, SIGKILL)
        posix._exit(130)


def _unraisable(told: "UnraisableHookArgs") -> None:
    """End where ^C came in code that nobody called, as an import's own clean-up: Python would print it and go on."""
    if told.exc_type is KeyboardInterrupt:
        posix._exit(130)
    sys.__unraisablehook__(told)


def _end(planner: int, reason: str) -> "NoReturn":
    """Say why nothing could be started, unless the process that plans, which wants as much, has said so."""
    if planner > 0:
        posix.kill(planner, SIGKILL)
    if planner <= 0 or posix.waitpid(planner, 0)[1] in (0, SIGKILL):
        posix.write(2, f"docker nsenter: cannot start: {reason}\n".encode())
    posix._exit(125)


def enters_surely(argv: list[str]) -> bool:
    """Tell whether the line can only end in an entry or an error, so that stage 2 may start while this one asks."""
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        name, equals, _ = argv[at].partition("=")
        if name not in DOCKERS:
            return False
        at += 1 if equals else DOCKERS[name]
    words = argv[at:]
    if words[:1] != ["nsenter"] or len(words) == 1 or posix.geteuid() != 0 or sys.platform != "linux":
        return False
    by_helper = ("--route", "helper") in zip(words, words[1:], strict=False)
    return not by_helper and not NO_ENTRY & set(words) and HANDED_OVER not in posix.environ


if __name__ == "__main__":
    main()
