"""Explain a Plan: what the process has now, what docker exec, this plugin and raw nsenter would give.

docs/looking.md describes the result, which is what --format json prints.
"""

from ..cli.grammar import DEFAULTS, FLAGS, VALUES
from ..cli.request import NAMESPACES, Request
from ..enter.linux.capabilities import NUMBERS, names
from ..errors import CliError
from . import defaults
from .plan import make_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..engine.containers import Container
    from ..enter.plan import Plan

    Facts = dict[str, Any]

SCHEMA = "docker-nsenter.dry-run/1"
COLUMNS = ("pid1", "docker_exec", "you", "nsenter")
NO_CHANGE = (
    *("dry_run", "format", "listing", "inspect", "verbose", "why", "route", "helper_image"),
    *("forward", "at_exit", "at_start"),  # they have members of their own
)
# Docker's word for an rlimit, and the kernel's
ULIMITS = {
    "core": "core file size",
    "cpu": "cpu time",
    "data": "data size",
    "fsize": "file size",
    "locks": "file locks",
    "memlock": "locked memory",
    "msgqueue": "msgqueue size",
    "nice": "nice priority",
    "nofile": "open files",
    "nproc": "processes",
    "rss": "resident set",
    "rtprio": "realtime priority",
    "rttime": "realtime timeout",
    "sigpending": "pending signals",
    "stack": "stack size",
}
LETTERS = {"mnt": "-m", "uts": "-u", "ipc": "-i", "net": "-n", "pid": "-p", "cgroup": "-C", "user": "-U", "time": "-T"}


class Circumstances:
    """Hold what a Plan is made of besides the Request and the container."""

    def __init__(self, environ: "Mapping[str, str]", *, stdin_tty: bool, stdout_tty: bool) -> None:
        """Take the caller's environment, and whether he sits at a terminal."""
        self.environ = environ
        self.terminal = {"stdin_tty": stdin_tty, "stdout_tty": stdout_tty}

    def plan(self, request: Request, container: "Container") -> "Plan":
        """Plan a request under these circumstances."""
        return make_plan(request, container, environ=self.environ, **self.terminal)


def exec_request(request: Request) -> Request:
    """Keep of a request what docker exec has, too."""
    values: dict[str, Any] = {**DEFAULTS}
    for name in ("user", "workdir", "privileged", "env", "env_file", "tty", "interactive", "detach"):
        values[name] = request.values[name]
    return Request(values, request.container, request.command)


def explanation(
    request: Request,
    container: "Container",
    plan: "Plan",
    circumstances: Circumstances,
    found: "Facts | None",
    by_exec: "Facts | None",
    why: str = "as --route says",
) -> "Facts":
    """Put everything together; `found` and `by_exec` are surveys of both plans, None where nobody may look."""
    columns: Facts = {name: found[name] for name in ("pid1", "you", "nsenter")} if found else {}
    if found and by_exec and container.id:
        columns["docker_exec"] = of_exec(request, container, found, by_exec)
    return {
        "schema": SCHEMA,
        "plan": plan,
        "docker_exec_plan": circumstances.plan(exec_request(request), container),
        "route": {"name": plan["route"], "why": why, "ready": found is not None or plan["route"] == "helper"},
        "namespaces": found["namespaces"] if found else None,
        "restrictions": {column: columns.get(column) for column in COLUMNS},
        "guard": found["guard"] if found else None,
        "waits_for": "exit" if request.at_exit else "start" if request.at_start else None,
        "forward": [
            {"option": f"--forward {each.word}", "listens": each.listens(), "leads_to": each.shown()}
            for each in request.forward
        ],
        "options": changes(request, container, plan, circumstances),
        "profile": profile_words(request, container),
        "nsenter": raw_command(plan, found),
    }


def profile_words(request: Request, container: "Container") -> list[str]:
    """List the options that --profile stands for."""
    if not request.profile:
        return []
    from .profiles import words

    return words(request, container)


def of_exec(request: Request, container: "Container", found: "Facts", by_exec: "Facts") -> "Facts":
    """Work out what docker exec gives from what the engine was told, where that differs from the process of now."""
    column: Facts = {**by_exec["you"]}
    ceiling = sum(1 << NUMBERS[name] for name in found["nsenter"]["bounding"] if name in NUMBERS)
    granted = names(ceiling if request.privileged else defaults.granted(container, ceiling))
    held = granted if by_exec["uid"] == 0 else []
    column.update(bounding=granted, permitted=held, effective=held, inheritable=[], ambient=[])
    column["oom_score_adj"] = container.oom_score_adj
    column["limits"] = _exec_limits(container, found)
    return column


def _exec_limits(container: "Container", found: "Facts") -> "dict[str, list[int | None]]":
    """Work out the limits of a new process: --ulimit's, else what the runtime inherits.

    A hard limit that is neither comes from the engine's own defaults: then the process has it still.
    """
    told = {ULIMITS.get(name, name): [soft, hard] for name, soft, hard in container.ulimits}
    inherited = found["inherited_limits"] or {}
    limits = {}
    for name, now in found["pid1"]["limits"].items():
        if name in told:
            limits[name] = [None if value < 0 else value for value in told[name]]
        else:
            before = inherited.get(name, now)
            limits[name] = before if before[1] == now[1] else now
    return limits


def changes(
    request: Request, container: "Container", plan: "Plan", circumstances: Circumstances
) -> "list[dict[str, Any]]":
    """Say of each option what the Plan would be without it: {option, changes: {field: [without, with]}}."""
    found = []
    for name, value in request.values.items():
        if value == DEFAULTS.get(name) or name in NO_CHANGE:
            continue
        try:
            without = Request({**request.values, name: DEFAULTS[name]}, request.container, request.command)
            other: Facts = dict(circumstances.plan(without, container))
        except CliError:  # the rest contradicts itself without this option
            continue
        # decided after the rest, whatever the option
        late = {"route", "journal"} if name == "tools" else {"route", "journal", "tools"}
        differing = {
            field: [other[field], now] for field, now in dict(plan).items() if other[field] != now and field not in late
        }
        found.append({"option": spelled(name, value), "changes": differing})
    return found


def spelled(name: str, value: "Any") -> str:
    """Write an option as it could have been typed."""
    flags = [word for word, row in FLAGS.items() if row == (name, value) and word.startswith("--")]
    if flags:
        return flags[0]
    word = next(word for word, row in VALUES.items() if row[0] == name)
    return " ".join(f"{word} {each}" for each in (value if isinstance(value, list) else [value]))


def raw_command(plan: "Plan", found: "Facts | None") -> list[str]:
    """Write the nearest nsenter(1) line, which keeps all the caller's power."""
    wanted = plan["namespaces"]
    words = ["nsenter", "-t", str(plan["target"]["pid"])]
    if found:
        wanted = [name for name, space in found["namespaces"].items() if space["joined"]]
        if wanted == [name for name, space in found["namespaces"].items() if space["pid1"] != space["yours"]]:
            wanted = [row[2] for row in NAMESPACES]
    words += ["-a"] if len(wanted) == len(NAMESPACES) else [LETTERS[name] for name in LETTERS if name in wanted]
    if found and plan["user"] is not None and (found["uid"], found["gid"]) != (0, 0):
        words += ["-S", str(found["uid"]), "-G", str(found["gid"])]
    if plan["directory"] not in (None, "/"):
        words.append(f"--wdns={plan['directory']}")
    if plan["connect"]:
        first = plan["connect"][0]
        return [*words, "--", "nc", *(["-U", first] if first.startswith("/") else first.split())]
    return [*words, "--", *(plan["command"] or [plan["shell"] or "sh"])]
