"""Accept a Plan: every field known, of its type and within bounds, before anything is done with it."""

from .errors import EntryError
from .linux.capabilities import ALL
from .linux.namespaces import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .plan import Plan

    Check = Callable[[object], bool]

# What the journal is told beside a number of the entry's own, and stage 2 can't know
CALLER = ("login_uid", "caller_uid", "sudo_user", "terminal", "host", "engine", "image")
# More words than the kernel takes: E2BIG is its answer
MOST_WORDS, LONGEST_WORD, LARGEST_PID, MOST_LAYERS = 1 << 20, 1 << 21, 1 << 22, 200
LARGEST_PROGRAM = 4096 * 16  # BPF_MAXINSNS whole instructions, 16 hexadecimal digits each


def _boolean(value: object) -> bool:
    return isinstance(value, bool)


def _number(least: int, most: int) -> "Check":
    return lambda value: type(value) is int and least <= value <= most


def _text(value: object) -> bool:
    if not isinstance(value, str) or len(value) > LONGEST_WORD or "\0" in value:
        return False
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which JSON can write and no system call can take
        return False
    return True


def _words(value: "Any") -> bool:
    """Accept a list of texts: together, for there are many."""
    fit = isinstance(value, list) and len(value) <= MOST_WORDS and {*map(type, value)} <= {str}
    return fit and (_text("".join(value)) or all(map(_text, value)))


def _text_that(fits: "Callable[[str], bool]") -> "Check":
    return lambda value: isinstance(value, str) and _text(value) and fits(value)


def _one_of(*choices: str) -> "Check":
    return _text_that(lambda value: value in choices)


def _list(check: "Check", most: int = MOST_WORDS) -> "Check":
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(check, value))


def _some_of(*choices: str) -> "Check":
    return _list(_one_of(*choices), len(choices))


def _optional(check: "Check") -> "Check":
    return lambda value: value is None or check(value)


def _record(**fields: "Check") -> "Check":
    return lambda value: isinstance(value, dict) and _first_wrong(value, fields) is None


def _hex(word: str) -> bool:
    return not word.strip("0123456789abcdef")


def _why(value: object) -> bool:
    """Accept the line to type again, with an empty word before the container."""
    return isinstance(value, list) and _words(value) and "" in value[:-1]


_path = _text_that(lambda path: path.startswith("/") and len(path) <= 4096)
_paths = _list(_path, MOST_LAYERS)
_mask, _count = _number(0, ALL), _number(0, MOST_WORDS)
_label = _optional(_text_that(lambda label: len(label) <= 4096 and label.isprintable()))

FIELDS: "dict[str, Check]" = {
    "version": _number(1, 1),
    "route": _one_of("local", "helper"),
    "target": _record(
        pid=_number(1, LARGEST_PID),
        container=_text_that(lambda name: len(name) in (0, 64) and _hex(name)),
        owner=_number(0, (1 << 32) - 2),
        name=_text,
    ),
    "namespaces": _some_of(*NAMES),
    "capabilities": _record(base=_one_of("container", "caller"), add=_mask, drop=_mask),
    "seccomp": _one_of("container", "none", "unconfined", "inherited", "given"),
    "filters": _list(_text_that(lambda word: 0 < len(word) <= LARGEST_PROGRAM and not len(word) % 16 and _hex(word))),
    "apparmor": _label,
    "apparmor_needed": _boolean,
    "selinux": _label,
    "no_new_privs": _optional(_boolean),
    "cgroups": _boolean,
    "limits": _boolean,
    "user": _optional(_text),
    "groups": _words,
    "environment": _record(base=_one_of("given", "target"), set=_words),
    "directory": _optional(_path),
    "command": _words,
    "connect": _words,
    "hold": _boolean,
    "shell": _optional(_text),
    "tty": _boolean,
    "stdin": _boolean,
    "detach": _boolean,
    "mounts": _some_of("proc", "sys"),
    "tools": _optional(_record(kind=_one_of("host", "tree", "file"), layers=_paths, path=_paths)),
    "debug": _boolean,
    "why": _optional(_record(again=_why, updates=_boolean)),
    "typed": _record(words=_words, options=_count, container=_count),  # the line, and where these are in it
    "record": _optional(
        _record(
            file=_text_that(lambda path: _path(path) and path.rpartition("/")[2] not in ("", ".", "..")),
            input=_boolean,
        )
    ),
    "journal": _record(entry=_text_that(lambda word: len(word) == 32 and _hex(word)), **dict.fromkeys(CALLER, _text)),
}


def _first_wrong(value: "dict[str, object]", fields: "dict[str, Check]") -> "str | None":
    """Name the first field that is missing, unknown or unfit."""
    for name, fits in fields.items():
        if name not in value or not fits(value[name]):
            return name
    return None if len(value) == len(fields) else next(name for name in value if name not in fields)


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
