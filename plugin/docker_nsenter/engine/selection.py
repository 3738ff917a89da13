"""Choose several containers by names, patterns and docker ps's filters: one list, and one question for each chosen."""

from ..enter.jsonlite import loads
from ..enter.jsonwrite import dumps
from ..errors import CliError, again
from . import http, names
from .answers import odd
from .containers import Container, labels_of, owner, quote, read_container, refuse_unless_running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .endpoints import Endpoint
    from .names import Row

WILD = frozenset("*?[")
RUNS = ("running", "paused", "restarting")
HELPER = "com.github.docker-nsenter.helper"  # the label of our own helpers: nobody means them


class Chosen:
    """Hold the containers that can be entered, and why not for each of the others."""

    def __init__(self) -> None:
        """Begin with none."""
        self.containers: list[Container] = []
        self.failed: list[list[str]] = []  # name, sentence


def means_several(word: str) -> bool:
    """Tell whether CONTAINER is a list or a pattern: no name holds these characters."""
    return "," in word or not WILD.isdisjoint(word)


def find(endpoint: "Endpoint", word: str, filters: list[str], *, paused_ok: bool) -> Chosen:
    """Look up all that CONTAINER means and the filters leave; CliError for a name or a pattern that means none."""
    parts = word.split(",")
    _refuse_odd(word, parts)
    rows = _listed(endpoint, filters, every=any(WILD.isdisjoint(part) for part in parts))
    known: dict[str, object] = {}
    chosen: dict[str, Row] = {}
    for part in parts:
        meant = _meant(part, rows, endpoint, known)
        if not meant and not (filters and WILD.isdisjoint(part)):
            raise _nobody(part, word, rows, endpoint, known, filters)
        chosen.update((row["Id"], row) for row in meant)
    if not chosen:
        raise CliError(f"no running container is called {word} and passes the filters", again(docker=["ps"]))
    return _looked_up(endpoint, sorted(chosen.values(), key=names.name_of), paused_ok=paused_ok)


def _refuse_odd(word: str, parts: list[str]) -> None:
    if "" in parts:
        right = ",".join(part for part in parts if part) or "*"
        raise CliError(f"a name is missing in {word}", again(container=right))
    process = next((part for part in parts if part.startswith("pid:")), "")
    if process:
        raise CliError(f"{process} is a process, not a container: enter it alone", again(container=process))


def _listed(endpoint: "Endpoint", filters: list[str], *, every: bool) -> "list[Row]":
    """List what runs, or `every` container, as docker ps does; never our own helpers."""
    wanted: dict[str, list[str]] = {}
    for each in filters:
        key, equals, value = each.partition("=")
        if not equals:
            raise CliError(f"bad format of filter (expected name=value): {each}")
        wanted.setdefault(key.strip().lower(), []).append(value.strip())
    query = ([f"filters={quote(dumps(wanted))}"] if wanted else []) + (["all=1"] if every else [])
    status, listed = http.get(endpoint, "/containers/json" + ("?" if query else "") + "&".join(query))
    if status != 200:
        said = listed.get("message", "") if isinstance(listed, dict) else ""
        raise CliError(f"the engine says: {said or f'HTTP status {status}'}")
    if not isinstance(listed, list):
        raise odd(endpoint)
    return [row for row in listed if names.fit(row) and HELPER not in (row.get("Labels") or {})]


def _meant(part: str, rows: "list[Row]", endpoint: "Endpoint", known: dict[str, object]) -> "list[Row]":
    """List the containers that a part means: by a pattern those that run; else by name, by ID, by service."""
    wild = not WILD.isdisjoint(part)
    fits = (lambda name: matches(part, name)) if wild else (lambda name: name == part)
    rows = [row for row in rows if not wild or row.get("State", "running") in RUNS]
    found = [row for row in rows if fits(names.name_of(row))]
    if wild or not found:
        if not wild:
            found = [row for row in rows if row["Id"].startswith(part)]
        if len(found) > 1 and not wild:
            raise CliError(f"{len(found)} containers have IDs that begin with {part}", again(docker=["ps"]))
        found += [row for row in rows if row not in found and _has_spelling(row, fits, endpoint, known)]
    running = [row for row in found if row.get("State", "running") in RUNS]
    return running or found  # of a service those that run


def _has_spelling(row: "Row", fits: "names.Fits", endpoint: "Endpoint", known: dict[str, object]) -> bool:
    """Tell whether a compose service's or swarm task's name fits, which its image alone did not give it."""
    if not any(map(fits, names.spellings(row))):
        return False
    return any(map(fits, names.spellings(names.believable(row, lambda image: labels_of(endpoint, image), known))))


def _nobody(
    part: str, word: str, rows: "list[Row]", endpoint: "Endpoint", known: dict[str, object], filters: list[str]
) -> CliError:
    """Say that a part means no container."""
    if not WILD.isdisjoint(part):
        more = " that passes the filters" if filters else ""
        return CliError(f"no running container{more} is called {part}", again(docker=["ps"]))
    believed = [names.believable(row, lambda image: labels_of(endpoint, image), known) for row in rows]
    running = [row for row in believed if row.get("State", "running") in RUNS]
    return names.none(
        part, running, lambda right: ",".join(right if each == part else each for each in word.split(","))
    )


def _looked_up(endpoint: "Endpoint", rows: "list[Row]", *, paused_ok: bool) -> Chosen:
    """Ask for each what an entry needs; one that has ended meanwhile or can't be entered is told by name."""
    chosen, whose = Chosen(), owner(endpoint)
    answers = http.ask_all(endpoint, [f"/containers/{quote(row['Id'])}/json" for row in rows])
    for row, (status, body) in zip(rows, answers, strict=True):
        name = names.name_of(row)
        if status != 200:
            chosen.failed.append([name, "the container ended before it could be entered"])
            continue
        try:
            reply = loads(body)
            container = read_container(reply)
            container.owner = whose
            refuse_unless_running(container, reply, paused_ok=paused_ok)
        except ValueError:
            raise odd(endpoint) from None
        except CliError as problem:
            chosen.failed.append([name, problem.sentence])
            continue
        chosen.containers.append(container)
    return chosen


def matches(pattern: str, name: str) -> bool:
    """Match as a shell does: * and ? for anything but a slash, [a-z] and [!a-z] for one of some."""
    at = seen = 0
    star, retry = -1, 0
    while seen < len(name):
        width = _matches_one(pattern, at, name[seen])
        if at < len(pattern) and pattern[at] == "*":
            star, retry, at = at, seen, at + 1
        elif width:
            at, seen = at + width, seen + 1
        elif star >= 0 and name[retry] != "/":  # let the last star take one more
            retry += 1
            at, seen = star + 1, retry
        else:
            return False
    return not pattern[at:].strip("*")


def _matches_one(pattern: str, at: int, letter: str) -> int:
    """Tell how much of the pattern stands for this letter; 0 when it does not."""
    if at >= len(pattern) or pattern[at] == "*":
        return 0
    end = pattern.find("]", at + 2) if pattern[at] == "[" else -1
    if end < 0:
        return int(pattern[at] == letter or (pattern[at] == "?" and letter != "/"))
    inside = pattern[at + 1 : end]
    negative = inside[0] in "!^"
    inside = inside[negative:]
    found = False
    while inside:
        if inside[1:2] == "-" and inside[2:]:
            found |= inside[0] <= letter <= inside[2]
            inside = inside[3:]
        else:
            found |= inside[0] == letter
            inside = inside[1:]
    return (end + 1 - at) * (found != negative and letter != "/")
