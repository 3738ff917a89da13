"""Accept a Plan: every field known, of its type and within bounds, before anything is done with it."""

from .errors import EntryError
from .linux.capabilities import ALL
from .linux.namespaces import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypedDict

    class PlannedTarget(TypedDict):
        """The process to enter, its container ('' for pid:N), and whose the engine is (0: root's)."""

        pid: int
        container: str
        owner: int
        name: str

    class PlannedCapabilities(TypedDict):
        """Which set to begin with, and bit sets to add and drop."""

        base: str
        add: int
        drop: int

    class PlannedEnvironment(TypedDict):
        """Where the environment comes from, and its NAME=VALUE words."""

        base: str
        set: list[str]

    from .hints import Line

    class PlannedTools(TypedDict):
        """Which tools: the host's, the root made of layers (uppermost first), or one static file; its PATH."""

        kind: str
        layers: list[str]
        path: list[str]

    class PlannedRecording(TypedDict):
        """The caller's file, and whether keys go into it."""

        file: str
        input: bool

    class Identity(TypedDict):
        """Who the command will be: USER[:GROUP] as docker reads it, None for the caller, and --group-add's words."""

        user: str | None
        groups: list[str]

    class Plan(Identity):
        """What stage 2 has to do; plain JSON."""

        version: int
        route: str
        target: PlannedTarget
        namespaces: list[str]
        capabilities: PlannedCapabilities
        seccomp: str
        filters: list[str]
        apparmor: str | None
        apparmor_needed: bool
        selinux: str | None
        no_new_privs: bool | None
        cgroups: bool
        limits: bool
        environment: PlannedEnvironment
        directory: str | None
        command: list[str]
        connect: list[str]
        hold: bool
        shell: str | None
        tty: bool
        stdin: bool
        detach: bool
        mounts: list[str]
        tools: PlannedTools | None
        debug: bool
        why: list[str]
        typed: Line
        record: PlannedRecording | None
        journal: dict[str, str]


# What the journal is told beside a number of the entry's own, and stage 2 can't know
CALLER = ("login_uid", "caller_uid", "sudo_user", "terminal", "host", "engine", "image")
# More words than the kernel takes: E2BIG is its answer
MOST_WORDS, LONGEST_WORD, LARGEST_PID, MOST_LAYERS = 1 << 20, 1 << 21, 1 << 22, 200


def _text(value: object) -> bool:
    if not isinstance(value, str) or len(value) > LONGEST_WORD or "\0" in value:
        return False
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which JSON can write and no system call can take
        return False
    return True


def _words(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MOST_WORDS and all(_text(word) for word in value)


def _boolean(value: object) -> bool:
    return isinstance(value, bool)


def _mask(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= ALL


def _one_of(*choices: str) -> "Callable[[object], bool]":
    return lambda value: isinstance(value, str) and value in choices


def _some_of(*choices: str) -> "Callable[[object], bool]":
    return lambda value: (
        isinstance(value, list)
        and len(value) <= len(choices)
        and all(isinstance(word, str) and word in choices for word in value)
    )


def _optional(check: "Callable[[object], bool]") -> "Callable[[object], bool]":
    return lambda value: value is None or check(value)


def _pid(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_PID


def _id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < (1 << 32) - 1


def _container(value: object) -> bool:
    return isinstance(value, str) and (not value or (len(value) == 64 and not value.strip("0123456789abcdef")))


def _label(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 4096 and value.isprintable()


def _filters(value: object) -> bool:
    """Accept programs of whole instructions, 16 hexadecimal digits each (BPF_MAXINSNS: 4096)."""
    return (
        isinstance(value, list)
        and _words(value)
        and all(0 < len(word) <= 4096 * 16 and not len(word) % 16 and _hex(word) for word in value)
    )


def _hex(word: str) -> bool:
    return not word.strip("0123456789abcdef")


def _path(value: object) -> bool:
    return isinstance(value, str) and _text(value) and value.startswith("/") and len(value) <= 4096


def _paths(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MOST_LAYERS and all(_path(word) for word in value)


def _why(value: object) -> bool:
    """Accept the line to type again, with an empty word before the container; nothing where --why was not said."""
    return value == [] or (_words(value) and isinstance(value, list) and "" in value[:-1])


def _line(value: object) -> bool:
    """Accept the line that was typed, with the places of its options and of CONTAINER in it."""
    places: dict[str, Callable[[object], bool]] = {"words": _words, "options": _count, "container": _count}
    return _record(places)(value)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_WORDS


def _entry(value: object) -> bool:
    return isinstance(value, str) and len(value) == 32 and _hex(value)


def _file(value: object) -> bool:
    return _path(value) and isinstance(value, str) and value.rpartition("/")[2] not in ("", ".", "..")


def _record(fields: "dict[str, Any]") -> "Callable[[object], bool]":
    return lambda value: isinstance(value, dict) and _first_wrong(value, fields) is None


FIELDS: "dict[str, Callable[[object], bool]]" = {
    "version": lambda value: value == 1 and type(value) is int,
    "route": _one_of("local", "helper"),
    "target": _record({"pid": _pid, "container": _container, "owner": _id, "name": _text}),
    "namespaces": _some_of(*NAMES),
    "capabilities": _record({"base": _one_of("container", "caller"), "add": _mask, "drop": _mask}),
    "seccomp": _one_of("container", "none", "unconfined", "inherited", "given"),
    "filters": _filters,
    "apparmor": _optional(_label),
    "apparmor_needed": _boolean,
    "selinux": _optional(_label),
    "no_new_privs": _optional(_boolean),
    "cgroups": _boolean,
    "limits": _boolean,
    "user": _optional(_text),
    "groups": _words,
    "environment": _record({"base": _one_of("given", "target"), "set": _words}),
    "directory": _optional(_path),
    "command": _words,
    "connect": _words,
    "hold": _boolean,
    "shell": _optional(_text),
    "tty": _boolean,
    "stdin": _boolean,
    "detach": _boolean,
    "mounts": _some_of("proc", "sys"),
    "tools": _optional(_record({"kind": _one_of("host", "tree", "file"), "layers": _paths, "path": _paths})),
    "debug": _boolean,
    "why": _why,
    "typed": _line,
    "record": _optional(_record({"file": _file, "input": _boolean})),
    "journal": _record({"entry": _entry, **dict.fromkeys(CALLER, _text)}),
}


def _first_wrong(value: "dict[str, object]", fields: "dict[str, Callable[[object], bool]]") -> "str | None":
    """Name the first field that is missing, unknown or unfit."""
    for name in [*fields, *value]:
        if name not in fields or name not in value or not fields[name](value[name]):
            return name
    return None


def validate(value: object) -> "Plan":
    """Return the Plan, or refuse it by the name of its first unfit field."""
    if not isinstance(value, dict):
        raise EntryError("the plan is not an object")
    wrong = _first_wrong(value, FIELDS)
    if wrong is not None:
        raise EntryError(f"the plan's field {ascii(wrong)[:60]} is missing, unknown or out of bounds")
    if (value["seccomp"] == "given") != bool(value["filters"]):
        raise EntryError("the plan's filters contradict its seccomp setting")
    plan: Plan = value  # type: ignore[assignment]
    return plan
