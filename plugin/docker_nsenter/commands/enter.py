"""Enter a container: look it up, choose the route, plan, and let the route make it so."""

import posix
import sys

from ..cli.request import Request
from ..engine import answers, containers, endpoints, http
from ..enter.linux.procfs import read
from ..errors import CliError, again, report
from ..packages import add_packages
from ..planning.plan import make_plan
from ..planning.planned import Planned
from ..routes import local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..enter.plan import Plan


NOBODY = "4294967295"  # the login uid of what no login began


class Elsewhere(Exception):
    """Leave planning for the stage 2 that waits here: a helper has to enter."""


def plan(request: Request, options: endpoints.Globals, *, here: bool = False) -> Planned:
    """Look the container up, choose the route, plan; Elsewhere when it is the helper's and must be `here`."""
    environ = callers_environment()
    container, endpoint = look_up(request, options, environ, here=here)
    route, why = local.choose(request.route, container, endpoint)
    if here and route == "helper":
        raise Elsewhere
    if request.why and endpoint:
        container.updates = containers.updates(endpoint, container)
    made = make_plan(request, container, environ=environ, stdin_tty=posix.isatty(0), stdout_tty=posix.isatty(1))
    made["route"] = route
    made["journal"].update(asks(environ, endpoint))
    if not (request.command or made["stdin"] or request.detach or request.dry_run):
        hint = again(add=["-it" if request.tty is None else "-i"])
        raise CliError("a shell needs a terminal, and gets none while its output goes elsewhere", hint)
    if request.tools is not None:
        add_tools(request, options, made)
    return Planned(request, container, endpoint, made, why)


def asks(environ: dict[str, str], endpoint: "endpoints.Endpoint | None") -> dict[str, str]:
    """Say who asks, from where, and which engine: what the journal is told."""
    try:
        login = read("/proc/self/loginuid").decode()
    except FileNotFoundError:  # a kernel without audit
        login = NOBODY
    return {
        "entry": posix.urandom(16).hex(),
        "login_uid": "" if login == NOBODY else login,
        "caller_uid": str(posix.getuid()),
        "sudo_user": environ.get("SUDO_USER", ""),
        "terminal": _terminal(),
        "host": posix.uname().nodename,
        "engine": endpoint.host if endpoint else "",
    }


def _terminal() -> str:
    """Name the caller's terminal, as pts/3; '' for none, or one of another machine's or container's."""
    try:
        return next((posix.ttyname(fd).removeprefix("/dev/") for fd in (0, 1, 2) if posix.isatty(fd)), "")
    except OSError:
        return ""


def enter(planned: Planned) -> int:
    """Enter by the Plan's route; return the command's exit status."""
    if planned.plan["route"] == "local":
        return local.enter(planned.plan, planned.container.runtime)
    show_pulls()
    from ..routes.helper import helper  # 20 ms with what it imports, which the local route does without

    return helper.enter(planned)


def add_tools(request: Request, options: endpoints.Globals, plan: "Plan") -> None:
    """Find what --tools names."""
    from ..planning import tools

    if "mnt" not in plan["namespaces"]:
        raise CliError("--tools needs the container's files: without them you already have this machine's programs")
    show_pulls()
    plan["tools"] = tools.find(request.tools or "", options, local=plan["route"] == "local", only_look=request.dry_run)


def show_pulls() -> None:
    """Let a pull be drawn, should there be one; rich is imported then and not before."""
    add_packages()
    from ..engine import images

    def draw(name: str, events: "Iterator[dict[str, Any]]") -> None:
        from ..formatting import progress

        progress.pull(name, events)

    images.watch = draw


def callers_environment() -> dict[str, str]:
    """Take the environment as it was given: Python may have added LC_CTYPE to it (PEP 538)."""
    environ = endpoints.environment()
    if sys.platform != "linux":
        environ.pop("LC_CTYPE", None)  # nothing here tells who set it; a Mac's UTF-8 is no locale to Linux
    elif "LC_CTYPE" in environ:
        with open("/proc/self/environ", "rb") as file:
            if b"\0LC_CTYPE=" not in b"\0" + file.read():
                del environ["LC_CTYPE"]
    return environ


def look_up(
    request: Request, options: endpoints.Globals, environ: dict[str, str], *, here: bool = False
) -> tuple[containers.Container, endpoints.Endpoint | None]:
    """Ask the engine; none where there is none to ask: pid:N is taken at its word, a dead engine's state is read."""
    word = request.container
    if word.startswith("pid:"):
        containers.refuse_elsewhere(word)
        return containers.process(word), None
    endpoint = endpoints.endpoint(options, environ)
    if not http.by_socket(endpoint):
        if here and request.route != "local":
            raise Elsewhere
        add_packages()  # the docker SDK speaks TCP, TLS and ssh
    inside = {"mnt", "pid"} & set(request.namespaces)
    paused_ok = not (inside and request.join_cgroup)
    if (request.at_exit or request.at_start) and not request.dry_run:
        from ..engine import starts

        return starts.find(endpoint, word, paused_ok=paused_ok), endpoint
    try:
        return containers.find(endpoint, word, paused_ok=paused_ok), endpoint
    except answers.Silent as silent:
        return without_engine(endpoint, word, silent), None


def without_engine(endpoint: endpoints.Endpoint, word: str, silent: answers.Silent) -> containers.Container:
    """Find the container in the state of an engine that does not answer, which root may read; say so."""
    if posix.geteuid() != 0 or sys.platform != "linux":
        raise silent
    from ..engine import state_on_disk  # only where no engine answers

    found = state_on_disk.find(endpoint, word)
    if found is None:
        raise silent
    container, directory = found
    report(CliError(f"{silent.sentence}; found {container.name} in the engine's files: {directory}"))
    return container
