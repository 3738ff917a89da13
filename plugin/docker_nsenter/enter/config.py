"""Read what the owner of this machine demands of every entry: /etc/docker-nsenter/config.json, root's alone."""

import posix
from _stat import S_ISREG

from . import jsonlite
from .errors import EntryError
from .linux.procfs import read_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Setting = tuple[object, Callable[[object], bool]]
    Config = dict[str, Any]

PATH = "/etc/docker-nsenter/config.json"
LARGEST, LEAST_BYTES, MOST_BYTES = 65536, 1 << 20, 1 << 50
ENOENT, ENOTDIR = 2, 20


def _bytes(value: object) -> bool:
    return type(value) is int and LEAST_BYTES <= value <= MOST_BYTES


def _directory(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and value.isprintable() and len(value) < 4096


# name: what it is where the file does not say, and what it may be
SETTINGS: "dict[str, Setting]" = {
    "journal": ("wanted", lambda value: value in ("wanted", "required")),
    "record": ("asked", lambda value: value in ("asked", "relaxed")),
    "record_directory": ("/var/lib/docker-nsenter", _directory),
    "record_bytes": (64 << 20, _bytes),
    "record_total_bytes": (1 << 30, _bytes),
}
DEFAULTS = {name: default for name, (default, _) in SETTINGS.items()}


def load(files: str) -> "Config":
    """Read the file below `files`, the way to the host's root directory; EntryError for one that can't be relied on."""
    try:
        fd = posix.open(below(files, PATH), posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK)
    except OSError as problem:
        if problem.errno in (ENOENT, ENOTDIR):
            return DEFAULTS
        raise EntryError(f"cannot read {PATH}: {problem.strerror}") from None
    try:
        if not S_ISREG(posix.fstat(fd).st_mode):
            raise EntryError(f"{PATH} is not a file")
        trust(files, PATH, fd)
        text = read_all(fd, LARGEST)
    except OSError as problem:
        raise EntryError(f"cannot read {PATH}: {problem.strerror}") from None
    finally:
        posix.close(fd)
    return {**DEFAULTS, **_checked(text)}


def _checked(text: bytes) -> "Config":
    """Parse it, and take known settings only: one that is misspelt would demand nothing."""
    try:
        found = jsonlite.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise EntryError(f"{PATH} is not a JSON object")
    for name, value in found.items():
        if name not in SETTINGS:
            raise EntryError(f"{PATH}: unknown setting {ascii(name)[:60]}")
        if not SETTINGS[name][1](value):
            raise EntryError(f"{PATH}: {name} can't be {ascii(value)[:60]}")
    return found


def below(files: str, path: str) -> str:
    """Name a path of the host's where its root directory is `files`."""
    return files.rstrip("/") + path


def trust(files: str, path: str, fd: int) -> None:
    """Refuse a path that others than root could change, by its name and by where that really leads."""
    from .hardening import secure_path  # only where there is such a file

    real = posix.readlink(f"/proc/self/fd/{fd}")
    place = secure_path.open_to_others([below(files, path), below(files, real)])
    if place is not None:
        raise EntryError(f"{path} can't be relied on: {place.removeprefix(files) or '/'} is not root's alone")
