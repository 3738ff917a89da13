"""Enter many containers: one look-up, a Plan for each, one stage 2 or one helper for all of them."""

import posix
import sys

from ..cli.request import Request
from ..engine import containers, endpoints, http, selection
from ..enter.session.frames import several
from ..errors import CliError, report
from ..packages import add_packages
from ..planning import plan as planning
from ..planning.planned import Planned
from ..routes import local
from .enter import Elsewhere, add_tools, asks, callers_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..engine.containers import Container
    from ..engine.endpoints import Endpoint
    from ..enter.plan import PlannedTools


class Many:
    """Hold a Plan for each container, and why there is none for some."""

    def __init__(self, request: Request, chosen: selection.Chosen) -> None:
        """Begin without Plans."""
        self.request, self.failed = request, chosen.failed
        self.planned: list[Planned] = []

    def document(self) -> bytes:
        """Write what stage 2 reads."""
        request = self.request
        head = {
            "parallel": request.parallel or at_once(),
            "fail_fast": request.fail_fast,
            "json": request.format == "json",
        }
        shown = {
            "names": [each.container.name for each in self.planned],
            "failed": self.failed,
            "prefix": request.prefix,
            "colors": _shows(1) and not posix.environ.get(b"NO_COLOR"),
            "progress": _shows(2),
        }
        return several([local.document(each) for each in (head, shown, *(each.plan for each in self.planned))])


def at_once() -> int:
    """Choose how many run at once: most of an entry is the kernel's work, some of it waiting."""
    if sys.platform == "linux":
        return max(4, min(32, 2 * len(posix.sched_getaffinity(0))))
    return max(4, min(32, 2 * (posix.cpu_count() or 1)))


def _shows(fd: int) -> bool:
    """Tell whether a descriptor is a terminal that moves its cursor."""
    return posix.isatty(fd) and posix.environ.get(b"TERM", b"dumb") != b"dumb"


def plan(request: Request, options: endpoints.Globals, *, here: bool = False) -> Many:
    """Look all containers up, choose one route, plan for each; Elsewhere when a helper's is needed, and not `here`."""
    environ = callers_environment()
    endpoint = endpoints.endpoint(options, environ)
    if not http.by_socket(endpoint):
        if here and request.route != "local":
            raise Elsewhere
        add_packages()  # the docker SDK
    inside = {"mnt", "pid"} & set(request.namespaces)
    paused_ok = not (inside and request.join_cgroup)
    chosen = selection.find(endpoint, request.container, request.filter, paused_ok=paused_ok)
    many = Many(request, chosen)
    if not chosen.containers:
        return many
    route, why = _choose(request.route, chosen.containers, endpoint)
    if here and route == "helper":
        raise Elsewhere
    _read_files_once(request, environ)
    tools: PlannedTools | None = None
    updates = not request.why or containers.updates(endpoint, chosen.containers[0])  # they are of one engine
    for container in chosen.containers:
        container.updates = updates
        made = planning.make_plan(request, container, environ=environ, stdin_tty=True, stdout_tty=False)
        made["route"], made["stdin"] = route, False
        made["journal"].update(asks(environ, endpoint))
        if request.tools is not None and tools is None:
            add_tools(request, options, made)
            tools = made["tools"]
        made["tools"] = tools
        if made["why"]:
            again = made["why"]["again"]
            made["why"]["again"] = [container.name if word == request.container else word for word in again]
        many.planned.append(Planned(request, container, endpoint, made, why))
    return many


def _choose(wanted: str, them: "list[Container]", endpoint: "Endpoint") -> tuple[str, str]:
    """Choose one route for all: of one engine's containers all are here, but for those that end just now."""
    for container in them:
        route, why = local.choose(wanted, container, endpoint)
        if route == "local":
            break
    return route, why


def _read_files_once(request: Request, environ: dict[str, str]) -> None:
    """Read --env-file for all of them: it may be a pipe."""
    request.env = [word for path in request.env_file for word in planning.read_env_file(path)] + request.env
    request.env_file = []


def act(request: Request, options: endpoints.Globals) -> int:
    """Plan, and explain or enter; return the worst exit status."""
    many = plan(request, options)
    if request.dry_run:
        return _explain(many)
    if not many.planned:
        for name, sentence in many.failed:
            report(CliError(f"{name}: {sentence}"))
        return 125
    first, *others = many.planned
    if first.plan["route"] == "local":
        local.prepare([(each.plan, each.container.runtime) for each in many.planned])
        local.execute(many.document())
    add_packages()
    from ..routes.helper import helper

    return helper.enter(first, others, many.document)


def _explain(many: Many) -> int:
    """Show each container's --dry-run; those that could not be entered come last."""
    from . import dry_run

    for planned in many.planned:
        try:
            dry_run.show(planned)
        except CliError as problem:
            many.failed.append([planned.container.name, problem.sentence])
    for name, sentence in many.failed:
        report(CliError(f"{name}: {sentence}"))
    return 125 if many.failed else 0
