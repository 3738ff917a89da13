"""Stage 1, what should happen: read the line, ask the engine, plan; then explain, or let stage 2 make it so."""

import posix
import sys

from .errors import Problem, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    from .cli.request import Request
    from .engine import containers, endpoints
    from .enter.validate import Plan

NAME = "nsenter"


def main() -> "NoReturn":
    """Do what sys.argv says, as docker or a person wrote it; never return."""
    _end(lambda: run(sys.argv[1:]))


def refuse_others_code() -> None:
    """Refuse to go on as root with code that others can change, before anything is asked or shown.

    An entry does so in stage 2, which looks at what is in its memory; here it is all that may be loaded later, too.
    """
    if posix.geteuid() != 0:
        return
    from .enter.errors import Refusal
    from .enter.hardening import secure_path

    try:
        secure_path.check(_may_be_loaded())
    except Refusal as refusal:
        raise Problem(refusal.sentence, refusal.hint) from None


def _may_be_loaded() -> "Iterator[str]":
    """Yield the package's files and the packages beside it, but for what is in those."""
    import os

    package = os.path.dirname(os.path.abspath(__file__))
    for directory, _, names in os.walk(package):
        yield directory
        yield from (f"{directory}/{name}" for name in names if name.endswith((".py", ".pyc", ".bundle")))
    for place in packages():
        yield from (f"{place}/{name}" for name in ("", *os.listdir(place)))


def plan_for(writer: int) -> "NoReturn":
    """Plan what sys.argv says and send that to the stage 2 that has been started ahead; never return."""
    _end(lambda: _send_plan(writer))


def _send_plan(writer: int) -> int:
    from .routes import local

    try:
        local.send(plan_of(sys.argv[1:]), writer)
    except Elsewhere:
        local.hand_over(writer)
    posix.close(writer)
    return 0


def _end(act: "Callable[[], int]") -> "NoReturn":
    """Act, word what goes wrong, and end with the status."""
    sys.excepthook = _unexpected
    try:
        status = act()
        sys.stdout.flush()
    except Problem as problem:
        status = report(problem)
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = 141
    except MemoryError:
        status = report(Problem("out of memory"))
    # Not sys.exit: finalisation costs a millisecond, and a failing flush would turn the status into 120.
    posix._exit(status)


def _unexpected(kind: type, value: object, trace: object) -> "NoReturn":
    """Report a defect of ours in one sentence; `docker -D nsenter` shows where."""
    if {"-D", "--debug"} & set(sys.argv):
        sys.__excepthook__(kind, value, trace)  # type: ignore[arg-type]
    posix._exit(
        report(Problem(f"unexpected {kind.__name__}: {value}", "docker -D nsenter ... shows where; please report it"))
    )


class Elsewhere(Exception):
    """Leave planning for the stage 2 that waits here: a helper has to enter."""


class Planned:
    """Hold all that stage 1 found out: the Plan, and what a helper needs besides."""

    def __init__(self, request: "Request", options: "endpoints.Globals", *, here: bool = False) -> None:
        """Look the container up, choose the route, plan; Elsewhere when it is the helper's and must be `here`."""
        from .planning.plan import make_plan
        from .routes import local

        self.request = request
        environ = callers_environment()
        self.container, self.endpoint = look_up(request, options, environ, here=here)
        route, self.why = local.choose(request.route, self.container, self.endpoint)
        if here and route == "helper":
            raise Elsewhere
        stdin_tty, stdout_tty = posix.isatty(0), posix.isatty(1)
        self.plan: Plan = make_plan(
            request, self.container, environ=environ, stdin_tty=stdin_tty, stdout_tty=stdout_tty
        )
        self.plan["route"] = route
        if request.tools is not None:
            add_tools(request, options, self.plan)


def plan_of(argv: list[str]) -> "Plan":
    """Read the line, ask the engine and plan: all that stage 1 is for. Elsewhere when a helper has to enter."""
    from .engine import endpoints

    options, _, rest = endpoints.split(argv)
    request = read_request(rest)
    assert request is not None  # the line does not ask for help
    _take_globals(request, options)
    return Planned(request, options, here=True).plan


def add_tools(request: "Request", options: "endpoints.Globals", plan: "Plan") -> None:
    """Find what --tools names."""
    from .planning import tools

    if "mnt" not in plan["namespaces"]:
        raise Problem("--tools goes with the container's files; without them this machine's programs are there already")
    plan["tools"] = tools.find(request.tools or "", options, local=plan["route"] == "local", only_look=request.dry_run)


def run(argv: list[str]) -> int:
    """Read the words and act; return the exit status of what does not enter."""
    completing = argv[:1] in (["__complete"], ["__completeNoDesc"])
    try:
        refuse_others_code()
    except Problem:
        if completing:  # which must not speak: no candidates, and no files either
            sys.stdout.write(":4\n")
            return 0
        raise
    if argv[:1] == ["install"]:
        from .commands import install

        return install.main(argv[1:])
    if completing:
        from .commands import complete

        return complete.main(argv)
    from .engine import endpoints

    options, command, rest = endpoints.split(argv)
    if command == "help" or options.help or options.version or not argv:
        return show_help()
    if command != NAME:
        raise Problem(f"this is a plugin of docker's, and {command!r} is not its name", "docker nsenter --help")
    request = read_request(rest)
    if request is None:
        return show_help()
    _take_globals(request, options)
    return act(request, options)


def _take_globals(request: "Request", options: "endpoints.Globals") -> None:
    """Take what docker's own options say for the entry: -D, and for --why's line the engine that was asked."""
    request.debug = options.debug
    if request.why:
        at = request.why.index("nsenter")
        request.why[at:at] = options.words


def read_request(words: list[str]) -> "Request | None":
    """Read the words behind `nsenter`: by the table where that is enough, else by typer; None when help is wanted."""
    from .cli.request import Request, parse

    plain = parse(words)
    if plain is not None:
        if plain[2] and plain[2][0].startswith("-") and plain[2][0] != "--":
            from .cli import suggestions

            suggestions.behind(plain[1], plain[2], words)
        return Request(*plain)
    from .cli import help

    if help.wanted(words):
        return None
    add_packages()
    from .cli import options

    try:
        return options.request_of(words)
    except options.HelpWanted:
        return None


def show_help() -> int:
    """Print the help, which needs no engine and no typer."""
    from .cli import help

    return help.show()


def add_packages() -> None:
    """Let docker, typer and rich be found: -S leaves the private venv's packages out until they are needed."""
    sys.path += [place for place in packages() if place not in sys.path]


def packages() -> list[str]:
    """List the directories that have them."""
    import os

    library = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    base = os.path.dirname(library)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    places = [f"{base}/{name}/lib/{version}/site-packages" for name in ("venv", ".venv")]
    return [place for place in places if os.path.isdir(place)] + ([library] if library.endswith("-packages") else [])


def act(request: "Request", options: "endpoints.Globals") -> int:
    """Look the container up, plan, and explain or enter."""
    if not sys.platform.startswith("linux"):
        raise Problem(
            "entering needs the engine's own Linux machine; here only --help works", "docker exec works from anywhere"
        )
    if request.listing:
        from . import look

        return look.show_listing(request, options)
    planned = Planned(request, options)
    if request.dry_run:
        from . import look

        return look.explain(planned)
    if planned.plan["route"] == "local":
        from .routes import local

        return local.enter(planned.plan, planned.container.runtime)
    add_packages()
    from .routes.helper import helper

    return helper.enter(planned)


def callers_environment() -> dict[str, str]:
    """Take the environment as it was given: Python may have added LC_CTYPE to it (PEP 538)."""
    from .engine.endpoints import environment

    environ = environment()
    if "LC_CTYPE" in environ:
        with open("/proc/self/environ", "rb") as file:
            if b"\0LC_CTYPE=" not in b"\0" + file.read():
                del environ["LC_CTYPE"]
    return environ


def look_up(
    request: "Request", options: "endpoints.Globals", environ: dict[str, str], *, here: bool = False
) -> "tuple[containers.Container, endpoints.Endpoint | None]":
    """Ask the engine; none where there is none to ask: pid:N is taken at its word, a dead engine's state is read."""
    from .engine import containers, endpoints

    word = request.container
    if word.startswith("pid:"):
        return containers.process(word), None
    endpoint = endpoints.endpoint(options, environ)
    if not containers.is_local(endpoint):
        if here and request.route != "local":
            raise Elsewhere
        add_packages()  # the docker SDK speaks TCP, TLS and ssh
    inside = {"mnt", "pid"} & set(request.namespaces)
    try:
        return containers.find(endpoint, word, paused_ok=not (inside and request.join_cgroup)), endpoint
    except containers.Silent as silent:
        return without_engine(endpoint, word, silent), None


def without_engine(endpoint: "endpoints.Endpoint", word: str, silent: "containers.Silent") -> "containers.Container":
    """Find the container in the state of an engine that does not answer, which root may read; say so."""
    if posix.geteuid() != 0:
        raise silent
    from .engine import state_on_disk

    found = state_on_disk.find(endpoint, word)
    if found is None:
        raise silent
    container, directory = found
    report(Problem(f"{silent.sentence}; found {container.name} in its state: {directory}"))
    return container
