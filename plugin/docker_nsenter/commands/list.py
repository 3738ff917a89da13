"""Show the running containers as the kernel sees them: which namespaces, whose, and how restricted: --list."""

import os
import sys

from ..engine import containers, endpoints, http
from ..enter.errors import EntryError
from ..enter.linux.capabilities import ALL, NUMBERS, names
from ..enter.linux.procfs import read
from ..formatting import output
from ..packages import add_packages
from ..planning import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from ..cli.request import Request
    from ..engine.containers import Container
    from ..enter.target import Target

    Row = dict[str, Any]

SCHEMA = "docker-nsenter.list/1"
OWN: dict[str, int] = {}
NAMES = ("user", "cgroup", "ipc", "uts", "net", "pid", "time", "mnt")
EVERY_ID = [[0, 0, (1 << 32) - 1]]  # the map of the first user namespace
ENDED = (2, 3, 22)  # ENOENT, ESRCH; EINVAL: a zombie's mounts
# Where the engine says what the kernel only tells root
MODES = {"net": "network_mode", "pid": "pid_mode", "ipc": "ipc_mode", "uts": "uts_mode", "user": "userns_mode"}


def show(request: "Request", options: endpoints.Globals) -> int:
    """Show all running containers."""
    endpoint = reachable(options)
    found = listing(containers.running(endpoint), local=http.is_local(endpoint))
    return output.show(found, "listing", as_json=request.format == "json")


def reachable(options: endpoints.Globals) -> endpoints.Endpoint:
    """Find the engine that docker would ask, and bring what asking it takes."""
    endpoint = endpoints.endpoint(options, os.environ)
    if not http.by_socket(endpoint):
        add_packages()  # the docker SDK
    return endpoint


def listing(them: "Iterable[Container]", *, local: bool) -> "Row":
    """Describe the running containers; `local` tells whether their processes may be this machine's."""
    found = [describe(each, local=local) for each in them]
    relate(found)
    notes = sorted({note for row in found for note in row["notes"]})
    return {"schema": SCHEMA, "containers": found, "notes": notes}


def describe(container: "Container", *, local: bool) -> "Row":
    """Describe one container by its first process, and by the engine's word where that can't be read."""
    row: Row = {
        "name": container.name,
        "id": container.id,
        "image": container.image,
        "status": container.status,
        "pid": container.pid,
        "privileged": container.privileged,
        "user": container.user,
        "memory": container.memory or None,
        "notes": [],
    }
    if not local:
        row["notes"].append("the engine is on another machine: this is what it says, not what the kernel says")
    seen = while_it_lives(container, row, lambda target: _facts(target, container)) if local else None
    row["notes"] += (seen := seen or _facts(None, container)).pop("notes")
    row.update(seen)
    bounding = sum(1 << NUMBERS[name] for name in row["bounding"] if name in NUMBERS)
    row["beyond_default"] = names(bounding & ~defaults.CAPABILITIES)
    row["below_default"] = names(defaults.CAPABILITIES & ~bounding)
    return row


def _facts(target: "Target | None", container: "Container") -> "Row":
    """Tell what restricts a container, by its process or by the engine's word; with notes of its own."""
    notes: list[str] = []
    found = _restrictions(target, container)
    found["namespaces"] = _namespaces(target, container, notes)
    found["mapping"] = _id_map(target) if target else None
    return {**found, "notes": notes}


def while_it_lives(container: "Container", row: "Row", look: "Callable[[Target], Row]") -> "Row | None":
    """Look at the container's process; None, and a note, when it ends meanwhile: that costs one row, not the list."""
    target = None
    try:
        target = process_of(container, row)
        return look(target) if target else None
    except OSError as problem:
        if problem.errno not in ENDED:
            raise
        row["notes"].append(f"{container.name}: its first process has ended: this is what the engine says")
        return None
    finally:
        if target:
            os.close(target.pidfd)
            os.close(target.proc)


def every_capability() -> int:
    """Make the set of all capabilities that this kernel has."""
    return (2 << int(read("/proc/sys/kernel/cap_last_cap"))) - 1 if sys.platform == "linux" else ALL


def process_of(container: "Container", row: "Row") -> "Target | None":
    """Open the container's process; None, and a note, when it is no process of this machine's."""
    from ..enter.membership import belongs
    from ..enter.target import Target

    try:
        target = Target(container.pid)
        if os.geteuid() == 0 and not belongs(target.proc, target.text, container.id, container.owner):
            row["notes"].append(f"{container.name}: its processes run on another kernel: this is what the engine says")
            return None
    except EntryError:
        row["notes"].append(f"{container.name}: its process has ended, or runs on another kernel")
        return None
    return target


def _restrictions(target: "Target | None", container: "Container") -> "Row":
    """Read the process's sets, filters and label; without a process take the engine's word."""
    if target:
        from . import restrictions

        found = restrictions.of_status(target.status)
        return {
            "bounding": found["bounding"],
            "seccomp_filters": found["seccomp_filters"],
            "no_new_privs": found["no_new_privs"],
            "label": restrictions.label(target),
        }
    unconfined = container.privileged or "seccomp=unconfined" in container.security_opt
    return {
        "bounding": names(defaults.granted(container, every_capability())),
        "seccomp_filters": 0 if unconfined else 1,
        "no_new_privs": any(word.startswith("no-new-privileges") for word in container.security_opt),
        "label": container.apparmor or container.selinux or "",
    }


def _namespaces(target: "Target | None", container: "Container", notes: list[str]) -> "Row":
    """Tell each namespace by inode and whose it is; the host's are those of this very process."""
    inodes = _inodes(target) if target else {}
    found: Row = {}
    for name in NAMES:
        inode = inodes.get(name)
        if inode is not None:
            relation = "host" if inode == own_namespaces().get(name) else "own"
            found[name] = {"inode": inode, "of": relation, "with": [], "joined": ""}
        else:
            found[name] = {"inode": None, "of": _by_mode(container, name), "with": [], "joined": ""}
        mode = getattr(container, MODES.get(name, ""), "")
        if mode.startswith("container:"):
            found[name]["joined"] = mode.partition(":")[2]
    if target and inodes.get("user") is None:
        found["user"]["of"] = "host" if _id_map(target) == EVERY_ID else "own"
    if target and None in inodes.values():
        notes.append("the namespaces are as the engine says; only root can ask the kernel (sudo)")
    return found


def _inodes(target: "Target") -> "dict[str, int | None]":
    from . import restrictions

    return restrictions.of_namespaces(target)


def _id_map(target: "Target") -> list[list[int]]:
    from . import restrictions

    return restrictions.id_map(target, "uid_map")


def own_namespaces() -> dict[str, int]:
    """Tell this process's own namespaces by inode, read once."""
    from ..enter.linux.namespaces import ours
    from . import restrictions

    if not OWN:
        OWN.update({name: restrictions.number(ours(name)) for name in restrictions.kinds()})
    return OWN


def _by_mode(container: "Container", name: str) -> str:
    """Tell whose a namespace is by what the engine was asked for."""
    mode = container.cgroupns_mode if name == "cgroup" else getattr(container, MODES.get(name, ""), "")
    if mode == "host" or name == "time":
        return "host"
    if name == "user":
        return "unknown"  # the engine's own default decides
    return "shared" if mode.startswith("container:") else "own"


def relate(found: "list[Row]") -> None:
    """Say which containers share a namespace, and whose it was first."""
    by_id = {row["id"]: row["name"] for row in found}
    members: dict[tuple[str, object], list[str]] = {}
    for row, name, space in _spaces(found):
        if space["joined"]:
            space["joined"] = by_id.get(space["joined"], space["joined"][:12])
        if space["of"] != "host":
            members.setdefault((name, _which(row, space)), []).append(row["name"])
    for row, name, space in _spaces(found):
        others = [each for each in members.get((name, _which(row, space)), []) if each != row["name"]]
        if others or space["joined"]:
            space["of"] = "shared"
            space["with"] = others or [space["joined"]]


def _which(row: "Row", space: "Row") -> object:
    """Tell namespaces of a kind apart: by the kernel's number, else by the container whose it was first."""
    return space["inode"] or space["joined"] or row["name"]


def _spaces(found: "list[Row]") -> "Iterator[tuple[Row, str, Row]]":
    for row in found:
        for name, space in row["namespaces"].items():
            yield row, name, space
