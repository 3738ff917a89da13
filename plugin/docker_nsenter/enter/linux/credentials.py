"""Find out which uid, gid, groups, home and shell a user has in the container, from its own files, by our own parser.

Never NSS: pwd and grp would load the host's libraries by the container's configuration. The files are the container's
and thus hostile: regular files only, one MiB at most, links followed inside its root and never through /proc
(openat2(2), Linux 5.6; CVE-2019-14271 is what library loading there leads to).
"""

import posix
from _stat import S_ISREG
from time import monotonic, sleep

from ..errors import EXEC, EntryError, printable
from . import syscalls
from .procfs import read_all

LARGEST_FILE = 1 << 20
LEASE_PATIENCE = 2.0  # seconds for who has to end a lease
LARGEST_ID = (1 << 31) - 1  # docker's own bound for -u


class Credentials:
    """Say who the command will be; ids as seen inside the container's user namespace."""

    def __init__(self, uid: int, gid: int, groups: list[int], home: str, shell: str) -> None:
        """Hold what the look-up found; home and shell may be empty."""
        self.uid, self.gid, self.groups = uid, gid, groups
        self.home, self.shell = home, shell


def read_inside(root: int, path: bytes) -> bytes:
    """Read a small regular file below the container's root; empty when it is missing or unfit."""
    flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
    resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
    try:
        # O_PATH first: opening a FIFO or a device could already do something
        probe = syscalls.openat2(root, path, posix.O_PATH | posix.O_CLOEXEC, resolve)
        try:
            found = posix.fstat(probe)
            if not S_ISREG(found.st_mode) or not found.st_size:  # /proc/kmsg is regular, of size 0, and blocks
                return b""
            fd = _open_leased(probe, path, flags)
        finally:
            posix.close(probe)
    except OSError as problem:
        if problem.errno in (2, 13, 20, 40, 6, 18):  # missing, unreadable, not a directory, link loop, …
            return b""
        raise
    try:
        if posix.fstat(fd).st_size > LARGEST_FILE:
            raise EntryError(f"{path.decode()} of the container is larger than 1 MiB")
        return read_all(fd, LARGEST_FILE)
    finally:
        posix.close(fd)


def _open_leased(probe: int, path: bytes, flags: int) -> int:
    """Open a file that a process in the container may hold a lease on (F_SETLEASE), which our opening asks it to end.

    An honest holder does so at once; one that does not loses it after /proc/sys/fs/lease-break-time, and can take the
    next. So docker exec may hang there, and we don't take a file that can't be read for one that is not there.
    """
    deadline = monotonic() + LEASE_PATIENCE
    while True:
        try:
            return posix.open(f"/proc/self/fd/{probe}", flags)
        except BlockingIOError:
            if monotonic() > deadline:
                raise EntryError(
                    f"a process in the container has a lease on its {path.decode()} and does not release it; "
                    "docker exec waits until the kernel ends the lease, which takes 45 seconds",
                    EXEC,
                ) from None
            sleep(0.02)


def rows(text: bytes, fields: int) -> list[list[str]]:
    """Split passwd(5) or group(5) into rows, leaving out what is malformed."""
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    split = [line.strip().split(":") for line in lines if line and not line.startswith(("#", "+", "-"))]
    return [row for row in split if len(row) >= fields]


def _plain(word: str) -> bool:
    """Tell whether a field is an ordinary number: ² is a digit to Python, too, and a MiB of nines one number."""
    return word.isascii() and word.isdigit() and len(word) < 20


def number(word: str) -> "int | None":
    """Read a whole number as docker does: decimal digits, at most 2147483647; None for a name."""
    if not word.isascii() or not word.isdigit():
        return None
    value = int(word[:20])
    if value > LARGEST_ID:
        raise EntryError(f"{printable(word)} is not a valid user or group ID: the largest is {LARGEST_ID}")
    return value


def resolve(root: int, user: str, group_add: list[str]) -> Credentials:
    """Resolve USER[:GROUP] and docker's --group-add as runc does (moby/sys/user GetExecUser)."""
    name, _, group = user.partition(":")
    passwd = rows(read_inside(root, b"/etc/passwd"), 4)
    groups = rows(read_inside(root, b"/etc/group"), 3)
    uid, gid, home, shell, login = _user(passwd, name)
    extra = []
    if group:
        gid = _group(groups, group)
    else:
        # docker looks supplementary groups up by the user's name, and by the word given where there is no row
        extra = [int(row[2]) for row in groups if len(row) > 3 and _plain(row[2]) and login in row[3].split(",")]
    extra += [_group(groups, word) for word in group_add]
    unique = list(dict.fromkeys([gid, *(value for value in extra if value <= LARGEST_ID)]))
    return Credentials(uid, gid, unique, home, shell)


def _user(passwd: list[list[str]], name: str) -> tuple[int, int, str, str, str]:
    """Find uid, gid, home, shell and login name of a user given by name or number."""
    wanted = number(name) if name else 0
    for row in passwd:
        if not _plain(row[2]) or not _plain(row[3]):
            continue
        if row[0] == name or (wanted is not None and int(row[2]) == wanted):
            home = row[5] if len(row) > 5 else ""
            shell = row[6] if len(row) > 6 else ""
            return _bounded(row[2]), _bounded(row[3]), home, shell, row[0]
    if wanted is None:
        raise EntryError(f"the container has no user {printable(name)} in its /etc/passwd")
    return wanted, 0, "", "", name


def _bounded(word: str) -> int:
    """Read an id of the container's files; EntryError past docker's bound."""
    value = number(word)
    assert value is not None  # the caller found it plain
    return value


def _group(groups: list[list[str]], word: str) -> int:
    """Find a group's id by name or number."""
    for row in groups:
        if row[0] == word and _plain(row[2]):
            return _bounded(row[2])
    value = number(word)
    if value is None:
        raise EntryError(f"the container has no group {printable(word)} in its /etc/group")
    return value
