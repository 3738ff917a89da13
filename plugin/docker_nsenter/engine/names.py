"""Find what no container is called: a compose service or a swarm task by its labels, or else the nearest name.

All from one list of the engine's, asked for only after it said that there is no such container.
"""

from ..errors import CliError, again, near

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Row = dict[str, Any]
    Fits = Callable[[str], bool]

COMPOSE, SWARM = "com.docker.compose.", "com.docker.swarm."
# What only these tools write, to each container that they make
MARKS = {
    COMPOSE: (COMPOSE + "container-number", COMPOSE + "config-hash"),
    SWARM: (SWARM + "task.id", SWARM + "task.name"),
}
LIST = "/containers/json?all=1"
MOST_NAMED = 5  # candidates in one sentence


def choose(name: str, listed: object, labels_of: "Callable[[str], object]") -> "tuple[str, str]":
    """Return the one container that a service's or task's name means, id and name; CliError for none or several.

    `labels_of` tells an image's own labels, given its id.
    """
    rows = [row for row in listed if fit(row)] if isinstance(listed, list) else []
    known: dict[str, object] = {}
    meant = [believable(row, labels_of, known) for row in rows if name in spellings(row)]
    meant = [row for row in meant if name in spellings(row)]
    running = [row for row in meant if row.get("State", "running") not in ("created", "exited", "dead")]
    if len(running) == 1:
        return str(running[0]["Id"]), name_of(running[0])
    if running:
        raise _several(name, running)
    if meant:
        state = meant[0].get("State") or "stopped"
        first = name_of(meant[0])
        raise CliError(f"no container of {name} is running ({first}: {state})", again(docker=["start", first]))
    running = [row for row in rows if row.get("State", "running") in ("running", "paused", "restarting")]
    raise none(name, [believable(row, labels_of, known) for row in running])


def believable(row: "Row", labels_of: "Callable[[str], object]", known: "dict[str, object]") -> "Row":
    """Leave out the labels that a container has from its image alone, whose maker must not choose what it is called.

    `docker compose build` writes the project and the service into images, too: what tells is that the container has its
    number, or a hash of its settings, or its task, as nobody but compose and swarm give them. `known` saves questions.
    """
    labels = row.get("Labels")
    if not isinstance(labels, dict) or not any(mark in labels for marks in MARKS.values() for mark in marks):
        return {**row, "Labels": {}}
    image = str(row.get("ImageID") or row.get("Image"))
    images = known[image] = known[image] if image in known else labels_of(image)
    if not isinstance(images, dict):
        return {**row, "Labels": {}}
    given = {prefix for prefix, marks in MARKS.items() for mark in marks if labels.get(mark) != images.get(mark)}
    return {**row, "Labels": {key: value for key, value in labels.items() if any(map(key.startswith, given))}}


def spellings(row: "Row") -> set[str]:
    """List the names, from the shortest on, that a container's labels give it besides its own."""
    labels = row.get("Labels")
    labels = labels if isinstance(labels, dict) else {}
    found = set()
    service, project = labels.get(COMPOSE + "service"), labels.get(COMPOSE + "project")
    number = labels.get(COMPOSE + "container-number")
    if (
        service and project and number and labels.get(COMPOSE + "oneoff") != "True"
    ):  # what `docker compose run` started is no replica
        found |= {service, f"{project}/{service}", f"{project}/{service}/{number}"}
    task, service = labels.get(SWARM + "task.name"), labels.get(SWARM + "service.name")
    if task:
        found |= {task, task.rpartition(".")[0]}  # service.slot.id, and without the id
    if service:
        found.add(service)
    return found


def fit(row: object) -> bool:
    """Tell whether a row of the engine's list is one."""
    return isinstance(row, dict) and isinstance(row.get("Id"), str)


def name_of(row: "Row") -> str:
    """Name a container as the user would: links to it from others (/web/db) are no names of its own."""
    names = [str(word).lstrip("/") for word in row.get("Names") or []]
    return next((word for word in names if "/" not in word), row["Id"][:12])


def _longest(row: "Row") -> str:
    """Spell a container as exactly as its labels can."""
    return max(spellings(row), key=lambda word: (word.count("/"), word.count("."), word))


def _several(name: str, rows: "list[Row]") -> CliError:
    """List the candidates by names that mean one each."""
    exact = sorted(_longest(row) for row in rows)
    if len(set(exact)) < len(exact):
        exact = sorted(name_of(row) for row in rows)
    return CliError(f"{name} matches {len(rows)} running containers: {_shown(exact)}", again(container=exact[0]))


def _shown(words: list[str]) -> str:
    """List some words, and how many more there are."""
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return ", ".join(words[:MOST_NAMED]) + more


def none(name: str, rows: "list[Row]", spelled: "Callable[[str], str]" = str) -> CliError:
    """Name the services of a project, or the nearest running container or service, for what does not exist."""
    inside = sorted({word for row in rows for word in spellings(row) if word.startswith(f"{name}/")})
    inside = [word for word in inside if word.count("/") == 1]
    if inside:
        right = again(container=spelled(inside[0]))
        return CliError(f"{name} is a compose project: name one of its services, {_shown(inside)}", right)
    guesses = near(name, {name_of(row) for row in rows} | {word for row in rows for word in spellings(row)})
    if not guesses:
        return CliError(f"no such container: {name}", again(docker=["ps"]))
    if len(guesses) > 1:
        alike = f"no such container: {name}; similar names: {_shown(guesses)}"
        return CliError(alike, again(docker=["ps"]))
    return CliError(f"no such container: {name}; did you mean {guesses[0]}?", again(container=spelled(guesses[0])))
