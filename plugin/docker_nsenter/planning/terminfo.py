"""Give programs in the container your terminal's abilities, where its name alone would say nothing to them.

docker exec -t says TERM=xterm, and so do we. ncurses (6.1 or newer) also takes a compiled entry from TERMINFO itself:
yours is sent under the name xterm. What can't read it, or is told another TERM, looks where it always does.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PLACES = (
    "/etc/terminfo",
    "/lib/terminfo",
    "/usr/share/terminfo",
    "/usr/local/share/terminfo",
    "/usr/share/misc/terminfo",
)
LARGEST = 4096  # bytes of an entry (MAX_ENTRY_SIZE of term(5), as it was always)
MAGIC = {0o432: 2, 0o1036: 4}  # of term(5), and how many bytes a number has
HEADER = 12
NAMES = b"xterm|your terminal, by docker nsenter\0"
LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-+._")


def setting(environ: "Mapping[str, str]") -> list[str]:
    """Return TERMINFO=… for the caller's terminal; nothing where no small entry of its is found."""
    term = environ.get("TERM", "")
    if not term or not LETTERS.issuperset(term) or term.startswith("."):
        return []
    for path in _paths(term, environ):
        renamed = _renamed(_read(path))
        if renamed:
            from binascii import b2a_base64

            return [f"TERMINFO=b64:{b2a_base64(renamed, newline=False).decode('ascii')}"]
    return []


def _paths(term: str, environ: "Mapping[str, str]") -> "Iterator[str]":
    """Yield where ncurses would look for the caller's entry (terminfo(5))."""
    given = [environ.get("TERMINFO", ""), f"{environ.get('HOME', '')}/.terminfo"]
    for place in (*given, *environ.get("TERMINFO_DIRS", "").split(":"), *PLACES):
        if place.startswith("/"):
            yield f"{place}/{term[0]}/{term}"
            yield f"{place}/{ord(term[0]):x}/{term}"  # as on file systems that know no case


def _read(path: str) -> bytes:
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return posix.read(fd, LARGEST + 1)
    except OSError:  # a directory
        return b""
    finally:
        posix.close(fd)


def _renamed(entry: bytes) -> bytes:
    """Put another name into a compiled entry (term(5)): the numbers behind it begin at an even place."""
    if not HEADER <= len(entry) <= LARGEST:
        return b""
    magic, names, booleans = (int.from_bytes(entry[at : at + 2], "little") for at in (0, 2, 4))
    end = HEADER + names + booleans
    numbers = end + end % 2
    if magic not in MAGIC or numbers > len(entry):
        return b""
    head = entry[:2] + len(NAMES).to_bytes(2, "little") + entry[4:HEADER]
    begin = head + NAMES + entry[HEADER + names : end]
    return begin + bytes(len(begin) % 2) + entry[numbers:]
