"""Read small files whole, bounded, and never through a name that a container could have bent."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 16 << 20


def read(path: "str | bytes", *, at: "int | None" = None, limit: int = LIMIT) -> bytes:
    """Read a file of the kernel's (/proc, /sys) to its end; OSError(E2BIG) past `limit` bytes."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=at)
    try:
        return read_all(fd, limit)
    finally:
        posix.close(fd)


def read_if_there(path: str) -> bytes:
    """Read a file; empty when there is none, or the process has ended whose it is."""
    try:
        return read(path)
    except OSError as problem:
        if problem.errno not in (2, 3):  # ENOENT, ESRCH
            raise
        return b""


def lines(path: "str | bytes", *, at: "int | None" = None) -> "Iterator[bytes]":
    """Yield a file's lines, reading no more of it than is asked for."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=at)
    try:
        rest = b""
        while chunk := posix.read(fd, 8192):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
        if rest:
            yield rest
    finally:
        posix.close(fd)


def read_all(fd: int, limit: int = LIMIT) -> bytes:
    """Read a descriptor to its end; OSError(E2BIG) past `limit` bytes."""
    parts, size = [], 0
    while chunk := posix.read(fd, 65536):
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            raise OSError(7, "more than can be read safely", "read")
    return b"".join(parts)


def write(path: "str | bytes", data: bytes, *, at: "int | None" = None) -> None:
    """Write a file of the kernel's in one call."""
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=at)
    try:
        posix.write(fd, data)
    finally:
        posix.close(fd)
