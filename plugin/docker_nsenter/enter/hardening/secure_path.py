"""Refuse to act as root with code that others can change: who can write it would be root at the next entry.

Such a start is no attack yet, but a habit of it is one waiting to happen: `sudo -E docker nsenter` with a plugin in the
user's own ~/.docker runs whatever has got hold of that user's files. Access control lists are not looked at.
"""

import posix
import sys
from _frozen_importlib import FrozenImporter

from ..errors import EntryError
from ..linux.procfs import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OVERFLOW_ID = 65534
PACKAGE = __file__.rpartition("/enter/")[0]
TRUSTED_GROUPS = (0, 50)  # root, and Debian's staff, which may write /usr/local and thereby root's PATH
# How many modules had been loaded when all was in order: it is once for all that are forked then
_checked: list[int] = []
S_IWGRP, S_IWOTH, S_ISVTX = 0o020, 0o002, 0o1000
S_IFMT, S_IFLNK = 0o170000, 0o120000


def check(more: "Iterable[str]" = ()) -> None:
    """Refuse when a file that this process took code from, or a directory above one, is not root's alone.

    `more` are those that it may yet take code from.
    """
    modules = len(sys.modules)
    if posix.geteuid() != 0 or (_checked == [modules] and not more):
        return
    place = open_to_others((*_files(), *more))
    if place is not None:
        refusal = EntryError(f"refusing to run code as root that others can change: {place}")
        refusal.hint = "sudo scripts/install --system"
        raise refusal
    _checked[:] = [modules]


def open_to_others(files: "Iterable[str]") -> "str | None":
    """Name the first of these files, of the directories above, and of what links lead to, that is not root's alone."""
    seen: set[str] = set()
    for file in (places := [*files]):
        place = file
        while place not in seen:
            seen.add(place)
            # the links of /proc are no paths of ours: they are followed to the files of another root
            found = posix.stat(place) if place.startswith("/proc/") else posix.lstat(place or "/")
            if _open_to_others(found):
                return place
            above = place.rpartition("/")[0]
            if found.st_mode & S_IFMT == S_IFLNK:
                to = posix.readlink(place)
                places.append(to if to.startswith("/") else f"{above}/{to}")
            place = above
    return None


def _files() -> "Iterator[str]":
    """Yield the files whose code runs here, by the names they were loaded by."""
    yield sys.executable
    directories: set[str] = set()
    bundled = False
    for module in tuple(sys.modules.values()):
        file: str | None = getattr(module, "__file__", None)
        loader = getattr(module, "__loader__", None)
        if not file or loader is FrozenImporter:  # frozen: it is a part of the program
            continue
        directory = file.rpartition("/")[0]
        if hasattr(loader, "bundled"):  # not this file was run, but it would be if it changed
            yield directory
            bundled = True
        else:
            yield file
            directories.add(directory)
    for directory in {*directories, PACKAGE}:
        if PACKAGE in directory:
            yield from _compiled(f"{directory}/__pycache__", ".bundle" if bundled and directory == PACKAGE else "")


def _compiled(directory: str, kind: str) -> "Iterator[str]":
    """Yield a directory of compiled files of the package, and those of a kind, which may be what is really run."""
    try:
        names = posix.listdir(directory)
    except FileNotFoundError:
        return
    yield directory
    yield from (f"{directory}/{name}" for name in names if name.endswith(kind))


def _open_to_others(found: posix.stat_result) -> bool:
    """Tell whether others than root may write a file, put another into a directory, or replace a link."""
    mode = found.st_mode if found.st_mode & S_IFMT != S_IFLNK else 0
    if mode & S_IWOTH and not mode & S_ISVTX:
        return True
    group = found.st_gid if mode & S_IWGRP else 0
    if found.st_uid == 0 and group in TRUSTED_GROUPS:
        return False
    nameless = _nameless()
    return found.st_uid not in (0, *nameless) or group not in (*TRUSTED_GROUPS, *nameless)


def _nameless() -> "tuple[int, ...]":
    """Name the number of the host's root in a user namespace (rootless engines) that has none for him.

    The root of such a namespace has no power of the host's that others could take over.
    """
    whole = int(read("/proc/self/uid_map").split()[2]) == (1 << 32) - 1
    return () if whole else (OVERFLOW_ID,)
