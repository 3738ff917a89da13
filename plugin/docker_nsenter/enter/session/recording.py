"""Record what the terminal shows, as asciicast v2, in a file that is whole at every moment.

A line is one event. Each is written by one call within one page of the file, padded by blanks where the next would not
fit: the kernel does or does not do such a write, also when we are killed or the disk is full. What is not UTF-8 becomes
U+FFFD: JSON has no bytes.
"""

import posix
from time import monotonic, time

from .. import jsonwrite
from ..errors import EntryError, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = 4096
LEAST = 64  # what a page must have left for one more event: the longest head, an escape, the end
TITLE, WORDS = 100, 400  # characters of the container's name and of the command in the first line


class Recording:
    """Hold the file; the descriptor of its directory is kept until the command runs."""

    def __init__(self, directory: int, name: str, path: str, *, most: int = 0, keys: bool = False) -> None:
        """Make the file, which must not exist; `most` bounds one that is demanded, which the command can't outlive."""
        self.path, self.most, self.keys = path, most, keys
        self._directory, self._name = directory, name
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
        self.fd = posix.open(name, flags, 0o600, dir_fd=directory)
        self._at = 0
        self._begun = monotonic()
        self._rest = {"o": b"", "i": b""}  # the begin of a character
        self._size = b""
        self._broken = False

    def begin(self, title: str, words: "Iterable[str]", size: bytes) -> None:
        """Write the first line; `size` is a struct winsize, or empty where there is no terminal."""
        self._size = size[:4]
        rows, columns = _pair(size)
        head = {
            "version": 2,
            "width": columns,
            "height": rows,
            "timestamp": int(time()),
            "title": f"docker nsenter {title[:TITLE]}",
            "command": " ".join(words)[:WORDS],
        }
        self._line(jsonwrite.dumps(head).encode())

    def discard(self) -> None:
        """Remove the file: nothing was run. Who has no right to any more ends it."""
        try:
            posix.unlink(self._name, dir_fd=self._directory)
        except PermissionError:
            self.end(125)

    def shown(self, data: bytes) -> None:
        """Record output."""
        self._text("o", data)

    def typed(self, data: bytes) -> None:
        """Record keys, where that was asked for."""
        if self.keys:
            self._text("i", data)

    def resized(self, size: bytes) -> None:
        """Record a new size of the terminal."""
        if size and size[:4] != self._size:
            self._size = size[:4]
            rows, columns = _pair(size)
            self._event("r", b"%dx%d" % (columns, rows))

    def end(self, status: int) -> None:
        """Record the exit status, and give back what was reserved of the disk."""
        for code, rest in self._rest.items():
            if rest:
                self._event(code, "\ufffd".encode())
        self._event("x", b"%d" % status)
        if self.most:
            posix.ftruncate(self.fd, self._at)

    def _text(self, code: str, data: bytes) -> None:
        """Record whole characters, and keep the begin of one for later."""
        data = self._rest[code] + data
        at = _whole(data)
        self._rest[code] = data[at:]
        if at:
            text = data[:at].decode("utf-8", "replace")
            self._event(code, jsonwrite.quoted(text).encode()[1:-1])

    def _event(self, code: str, body: bytes) -> None:
        """Write an event, in as many as the pages of the file need."""
        head = b'[%.6f, "%s", "' % (monotonic() - self._begun, code.encode())
        while not self._broken:
            take = PAGE - self._at % PAGE - len(head) - len(b'"]\n')
            piece = body if len(body) <= take else body[: _cut(body, take)]
            self._line(head + piece + b'"]')
            body = body[len(piece) :]
            if not body:
                return

    def _line(self, line: bytes) -> None:
        """Write a line that fits the page."""
        left = PAGE - self._at % PAGE - len(line) - 1
        line += (b" " * left if left < LEAST else b"") + b"\n"
        if self.most and self._at + len(line) > self.most - PAGE:
            self._fail(f"it has reached its bound of {self.most} bytes")
        try:
            written = posix.write(self.fd, line)
            reason = "" if written == len(line) else posix.strerror(28)  # ENOSPC
        except OSError as problem:
            reason = str(problem.strerror)
        if reason:
            posix.ftruncate(self.fd, self._at)
            self._fail(reason)
        else:
            self._at += len(line)

    def _fail(self, reason: str) -> None:
        """End the recording; and with it the command, where this machine demands it."""
        self._broken = True
        if self.most:
            raise EntryError(f"the recording that this machine demands can't go on: {reason}; the command is ended")
        say(f"the recording ends here: {reason}")


def _pair(size: bytes) -> tuple[int, int]:
    """Read rows and columns of a struct winsize; a terminal without a size has the usual one."""
    return int.from_bytes(size[:2], "little") or 24, int.from_bytes(size[2:4], "little") or 80


def _whole(data: bytes) -> int:
    """Tell how many bytes are whole characters; at most three are the begin of one."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:  # where one begins, of this many bytes
            return len(data) if back >= (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else len(data) - back
        if byte < 0x80:
            break
    return len(data)


def _cut(body: bytes, at: int) -> int:
    """Find the last place up to `at` that is not within a character or an escape."""
    while body[at] & 0xC0 == 0x80:
        at -= 1
    last = body.rfind(b"\\", max(0, at - 5), at)
    run = body[: last + 1]
    if last >= 0 and (len(run) - len(run.rstrip(b"\\"))) % 2:  # it begins an escape, which an even number would not
        length = 6 if body[last + 1] == ord("u") else 2
        return last if last + length > at else at
    return at
