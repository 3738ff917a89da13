"""Do what a line asks for: find the command, run it, word what goes wrong, end with its exit status."""

import posix
import sys

from .. import packages
from ..errors import CliError, again, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    from ..cli.request import Request
    from ..engine import endpoints

NAME = "nsenter"
DIRECT = ("install", "uninstall", "version")  # what a person asks of docker-nsenter itself


def main() -> "NoReturn":
    """Do what sys.argv says, as docker or a person wrote it; never return."""
    _end(lambda: run(sys.argv[1:]))


def refuse_others_code() -> None:
    """Refuse to go on as root with code that others can change, before anything is asked or shown.

    An entry does so in stage 2, which looks at what is in its memory; here it is all that may be loaded later, too.
    """
    if posix.geteuid() != 0 or sys.platform != "linux":  # elsewhere no namespace is joined, and nobody needs root
        return
    from ..enter.errors import EntryError
    from ..enter.hardening import secure_path

    try:
        secure_path.check(_may_be_loaded())
    except EntryError as refusal:
        raise CliError(refusal.sentence, refusal.hint) from None


def _may_be_loaded() -> "Iterator[str]":
    """Yield the package's files and the packages beside it, but for what is in those."""
    import os

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for directory, _, names in os.walk(package):
        yield directory
        yield from (f"{directory}/{name}" for name in names if name.endswith((".py", ".pyc", ".bundle")))
    for place in packages.places():
        yield from (f"{place}/{name}" for name in ("", *os.listdir(place)))


def plan_for(writer: int) -> "NoReturn":
    """Plan what sys.argv says and send that to the stage 2 that has been started ahead; never return."""
    _end(lambda: _send_plan(writer))


def _send_plan(writer: int) -> int:
    from ..routes import local
    from .enter import Elsewhere

    try:
        local.send(plans_of(sys.argv[1:]), writer)
    except Elsewhere:
        local.hand_over(writer)
    posix.close(writer)
    return 0


def plans_of(argv: list[str]) -> bytes:
    """Read the line, ask the engine and plan, for one container or many. Elsewhere when a helper has to enter."""
    from ..cli.read import read_request
    from ..engine import endpoints
    from ..routes import local
    from . import enter

    options, _, rest = endpoints.split(argv)
    request = read_request(rest, options.words)
    assert request is not None  # the line does not ask for help
    _take_globals(request, options)
    if request.forward:
        raise enter.Elsewhere  # the processes of --forward begin with another one
    if request.several:
        from . import many

        return many.plan(request, options, here=True).document()
    return local.document(enter.plan(request, options, here=True).plan)


def _end(act: "Callable[[], int]") -> "NoReturn":
    """Act, word what goes wrong, and end with the status."""
    sys.excepthook = _unexpected
    try:
        status = act()
        sys.stdout.flush()
    except CliError as problem:
        status = report(problem)
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = 141
    except MemoryError:
        status = report(CliError("out of memory"))
    # Not sys.exit: finalisation costs a millisecond, and a failing flush would turn the status into 120.
    posix._exit(status)


def _unexpected(kind: type, value: object, trace: object) -> "NoReturn":
    """Report a defect of ours in one sentence; `docker -D nsenter` shows where."""
    if {"-D", "--debug"} & set(sys.argv):
        sys.__excepthook__(kind, value, trace)  # type: ignore[arg-type]
    posix._exit(
        report(
            CliError(
                f"unexpected {kind.__name__}: {value}: please report it, with what -D shows", again(globally=["-D"])
            )
        )
    )


def run(argv: list[str]) -> int:
    """Read the words and act; return the exit status of what does not enter."""
    completing = argv[:1] in (["__complete"], ["__completeNoDesc"])
    try:
        refuse_others_code()
    except CliError:
        if completing:  # which must not speak: no candidates, and no files either
            sys.stdout.write(":4\n")
            return 0
        raise
    if argv[:1] and argv[0] in DIRECT or argv == ["--version"]:
        from . import install

        return install.main(argv)
    if completing:
        from . import complete

        return complete.main(argv)
    from ..cli.read import read_request, show_help
    from ..engine import endpoints

    options, command, rest = endpoints.split(argv)
    if not command and not options.version:  # docker always names the plugin
        from . import install

        return install.main(["--help"])
    if command == "help" or options.help or options.version:
        return show_help(["--version" if options.version else "--help"])
    if command != NAME:
        raise CliError(f"{command!r} is not a command of this docker plugin", again(words=["--help"]))
    request = read_request(rest, options.words)
    if request is None:
        return show_help(rest)
    _take_globals(request, options)
    return act(request, options)


def _take_globals(request: "Request", options: "endpoints.Globals") -> None:
    """Take what docker's own options say for the entry: -D."""
    request.debug = options.debug


def act(request: "Request", options: "endpoints.Globals") -> int:
    """Look the container up, plan, and explain or enter."""
    if request.listing:
        if request.container:
            from . import inspect

            return inspect.show(request, options)
        from . import list as listing

        return listing.show(request, options)
    if request.several:
        from . import many

        return many.act(request, options)
    if request.forward:
        if sys.platform != "linux":
            raise CliError("--forward does not work from this machine yet: its process that listens needs Linux")
        from . import forward

        return forward.act(request, options, _end)
    from . import enter

    planned = enter.plan(request, options)
    if request.dry_run:
        from . import dry_run

        return dry_run.show(planned)
    return enter.enter(planned)
