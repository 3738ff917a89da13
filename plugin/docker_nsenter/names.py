"""Find what no container is called: a compose service or a swarm task by its labels, or else the nearest name.

All from one list of the engine's, asked for only after it said that there is no such container.
"""

from .errors import Problem, instead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]

COMPOSE, SWARM = "com.docker.compose.", "com.docker.swarm."
LIST = "/containers/json?all=1"
MOST_NAMED = 5  # candidates in one sentence


def choose(name: str, listed: object) -> str:
    """Return the id of the one container that a service's or task's name means; Problem for none or several."""
    rows = [row for row in listed if _fit(row)] if isinstance(listed, list) else []
    meant = [row for row in rows if name in spellings(row)]
    running = [row for row in meant if row.get("State", "running") not in ("created", "exited", "dead")]
    if len(running) == 1:
        return str(running[0]["Id"])
    if running:
        raise _several(name, running)
    if meant:
        state = meant[0].get("State") or "stopped"
        first = _name(meant[0])
        raise Problem(f"no container of {name} is running ({first}: {state})", f"docker start {first}")
    raise _none(name, rows)


def spellings(row: "Row") -> set[str]:
    """List the names, from the shortest on, that a container's labels give it besides its own."""
    labels = row.get("Labels")
    labels = labels if isinstance(labels, dict) else {}
    found = set()
    service, project = labels.get(COMPOSE + "service"), labels.get(COMPOSE + "project")
    number = labels.get(COMPOSE + "container-number")
    if service and labels.get(COMPOSE + "oneoff") != "True":  # what `docker compose run` started is no replica
        found |= {service, f"{project}/{service}", f"{project}/{service}/{number}"}
    task, service = labels.get(SWARM + "task.name"), labels.get(SWARM + "service.name")
    if task:
        found |= {task, task.rpartition(".")[0]}  # service.slot.id, and without the id
    if service:
        found.add(service)
    return found


def _fit(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("Id"), str)


def _name(row: "Row") -> str:
    """Name a container as the user would: links to it from others (/web/db) are no names of its own."""
    names = [str(word).lstrip("/") for word in row.get("Names") or []]
    return next((word for word in names if "/" not in word), row["Id"][:12])


def _longest(row: "Row") -> str:
    """Spell a container as exactly as its labels can."""
    return max(spellings(row), key=lambda word: (word.count("/"), word.count("."), word))


def _several(name: str, rows: "list[Row]") -> Problem:
    """List the candidates by names that mean one each."""
    exact = sorted(_longest(row) for row in rows)
    if len(set(exact)) < len(exact):
        exact = sorted(_name(row) for row in rows)
    shown = ", ".join(exact[:MOST_NAMED]) + (f" and {len(exact) - MOST_NAMED} more" if len(exact) > MOST_NAMED else "")
    return Problem(f"{name} means {len(rows)} running containers: {shown}", f"docker nsenter {exact[0]}")


def _none(name: str, rows: "list[Row]") -> Problem:
    """Name the nearest running container or service when the one asked for does not exist."""
    running = [row for row in rows if row.get("State", "running") in ("running", "paused", "restarting")]
    names = sorted({_name(row) for row in running} | {word for row in running for word in spellings(row)})
    from difflib import get_close_matches

    near = get_close_matches(name, names, 1, 0.5)
    if not near:
        return Problem(f"no such container: {name}", "docker ps")
    return Problem(f"no such container: {name}; did you mean {near[0]}?", instead(name, near[0]))
