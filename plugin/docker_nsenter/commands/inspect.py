"""Show everything about one container, as the kernel sees it: --inspect, --list CONTAINER."""

from ..engine import containers, endpoints, http
from ..enter.linux.procfs import lines, read
from ..formatting import output
from .list import describe, listing, reachable, relate, while_it_lives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..cli.request import Request
    from ..engine.containers import Container
    from ..enter.target import Target

    Row = dict[str, Any]

SCHEMA = "docker-nsenter.card/1"


def show(request: "Request", options: endpoints.Globals) -> int:
    """Show one container's card."""
    as_json = request.format == "json"
    if request.container.startswith("pid:"):
        containers.refuse_elsewhere(request.container)
        return output.show(card(containers.process(request.container), [], local=True), "card", as_json=as_json)
    endpoint = reachable(options)
    container = containers.find(endpoint, request.container, paused_ok=True)
    found = card(container, containers.running(endpoint), local=http.is_local(endpoint))
    return output.show(found, "card", as_json=as_json)


def card(container: "Container", others: "Iterable[Container]", *, local: bool) -> "Row":
    """Describe one container in full."""
    everything = listing(others, local=local)
    row: Row = next((each for each in everything["containers"] if each["id"] == container.id), {})
    if not row:  # pid:N
        row = describe(container, local=local)
        relate([row, *everything["containers"]])
    row = {"schema": SCHEMA, **row}
    if row["mapping"] is not None:
        row.update(while_it_lives(container, row, _everything) or {})
    for name, who in row.pop("owners", {}).items():
        row["namespaces"][name]["owner"] = {"user_namespace": who[0], "uid": who[1]} if who else None
    return row


def _everything(target: "Target") -> "Row":
    """Read all that can be told of a process."""
    from . import restrictions

    return {
        **restrictions.of_process(target),
        "owners": {name: restrictions.owner(target, name) for name in restrictions.kinds()},
        "uid_map": restrictions.id_map(target, "uid_map"),
        "gid_map": restrictions.id_map(target, "gid_map"),
        "cgroup_limits": _cgroup_limits(target),
    }


# Files of a cgroup that hold a limit, v1 and v2, and what holds when they say it
CGROUP_LIMITS = (
    "memory.max",
    "memory.high",
    "memory.swap.max",
    "memory.limit_in_bytes",
    "pids.max",
    "cpu.max",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.shares",
    "cpu.weight",
    "cpuset.cpus",
    "cpuset.cpus.effective",
)


def _cgroup_limits(target: "Target") -> dict[str, str]:
    """Read the limits of the process's cgroups, below the mounts of this machine."""
    from ..enter.linux import cgroups

    hierarchies = cgroups.mounts(lines("/proc/self/mountinfo"))
    found = {}
    for controllers, path in cgroups.parse(target.read("cgroup")):
        try:
            place = cgroups.directory(hierarchies, controllers, path)
        except OSError as problem:
            if problem.errno != 2:
                raise
            continue
        for name in CGROUP_LIMITS:
            try:
                found[name] = read(f"{place}/{name}").decode("ascii", "replace").strip()
            except OSError as problem:
                if problem.errno not in (2, 13, 20, 95):  # no such controller here
                    raise
    return found
