"""Read the caller's input for a helper, and write its output, by what every Unix has; Linux can leave a pipe's input.

Where the next reader of the caller's input begins is not for the command to choose, or `bash <script` would go on
inside a comment: nothing of it is taken (`while read` loops go on) or, once the command has taken a byte, all. A place
in a file can be kept anywhere; only Linux shows what is in a pipe without taking it (tee(2)). Elsewhere a page of it is
lost to a command that reads nothing, as all of it is by `docker exec -i`.
"""

import fcntl
import os
import select
import sys
from errno import EIO, EPIPE
from stat import S_ISFIFO, S_ISREG, S_ISSOCK
from time import monotonic

CHUNK = 65536
PAGE = 4096
QUIET = 0.05  # seconds in which a writer whose pipe was full, as `cat script |`, has written more
LONGEST = 0.3  # seconds that the rest of the input is taken for: `yes |` never ends
GONE = (EPIPE, EIO)
ATOMIC = select.PIPE_BUF  # what a pipe that can be written to takes without blocking
READ, WRITE = 1, 4  # POLLIN, POLLOUT


def wait(wanted: dict[int, int], seconds: "float | None") -> dict[int, int]:
    """Wait until a descriptor can be read or written, or has hung up; a Mac's poll() knows no terminals."""
    if sys.platform == "linux":
        waiting = select.poll()
        for fd, mask in wanted.items():
            waiting.register(fd, mask)
        return dict(waiting.poll(None if seconds is None else max(0, int(seconds * 1000) + 1)))
    reading = [fd for fd, mask in wanted.items() if mask & READ]
    writing = [fd for fd, mask in wanted.items() if mask & WRITE]
    readable, writable, _ = select.select(reading, writing, [], None if seconds is None else max(0.0, seconds))
    return {fd: READ * (fd in readable) | WRITE * (fd in writable) for fd in {*readable, *writable}}


def pipe() -> tuple[int, int]:
    """Make a pipe whose ends wait for nothing."""
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    return ends


def in_turn() -> None:
    """See SIGTSTP and SIGCONT in the order in which they came, where the kernel can be told to (a Mac's only by C)."""
    if sys.platform == "linux":
        from ...enter.linux import signals

        signals.in_turn()


def fill_standard() -> None:
    """Open /dev/null on each of 0, 1, 2 that the caller closed, so that no other file gets that number."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:  # EBADF
            os.open("/dev/null", os.O_RDWR)


def patient(fd: int) -> int:
    """Open a caller's pipe or terminal once more, not to block when it is full: on his own he would have O_NONBLOCK."""
    if sys.platform == "linux":
        name = f"/proc/self/fd/{fd}" if os.isatty(fd) or S_ISFIFO(os.fstat(fd).st_mode) else ""
    else:
        name = os.ttyname(fd) if os.isatty(fd) else ""
    try:
        return os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY) if name else fd
    except OSError:  # another user's, or its readers are gone: then by pieces that are sure to fit
        return fd


class Input:
    """Show the helper a page of the caller's input, and take all when the command has read of that."""

    def __init__(self, source: int) -> None:
        """Take the caller's descriptor, which may be of any kind."""
        if fcntl.fcntl(source, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:  # `0>file`: nothing to read
            source = os.open("/dev/null", os.O_RDONLY)
        mode = os.fstat(source).st_mode
        self.source = source
        self.file, self.pipe = S_ISREG(mode), S_ISFIFO(mode)
        self.whole = self.file or self.pipe or S_ISSOCK(mode)  # a terminal's typed-ahead lines stay
        self.taken = not (self.file or self.pipe)
        self.shown = 0
        self.active = True
        self._ends = pipe() if self.pipe and sys.platform == "linux" else (-1, -1)

    def more(self) -> "bytes | None":
        """Read what comes next: b'' at the end, None when there is nothing now, or another reader was faster."""
        try:
            data = self._read() if self.taken else self._show()
        except BlockingIOError:
            return None
        except OSError as problem:
            if problem.errno != EIO:
                raise
            data = b""
        self.active = bool(data)
        return data

    def _show(self) -> bytes:
        """Read a page, and leave it where that can be."""
        if self.file:
            data = os.pread(self.source, PAGE, os.lseek(self.source, 0, os.SEEK_CUR))
        else:
            data = self._through_a_pipe(PAGE, leave=True)
        self.shown = len(data)
        return data

    def _read(self) -> bytes:
        return self._through_a_pipe(CHUNK) if self.pipe else os.read(self.source, CHUNK)

    def _through_a_pipe(self, count: int, *, leave: bool = False) -> bytes:
        """Read the caller's pipe, never waiting, should another take what is in it."""
        if sys.platform != "linux":
            return os.read(self.source, count)
        from ...enter.linux import syscalls

        move = syscalls.tee if leave else syscalls.splice
        moved = move(self.source, self._ends[1], count, syscalls.SPLICE_F_NONBLOCK)
        return os.read(self._ends[0], moved) if moved else b""

    def take(self) -> None:
        """Take what was shown: the command has read of it."""
        if self.file:
            os.lseek(self.source, self.shown, os.SEEK_CUR)
        try:
            while self._ends[0] >= 0 and self.shown and (dropped := len(self._through_a_pipe(self.shown))):
                self.shown -= dropped
        except BlockingIOError:  # another reader was faster
            pass
        self.taken, self.shown = True, 0

    def end(self, read: int) -> None:
        """Leave the caller's input where it was, or at its end when the command has read any of it."""
        if not (read and self.taken and self.whole):
            return
        if self.file:  # further than its size: a file of /proc has none
            place = max(os.lseek(self.source, 0, os.SEEK_CUR), os.fstat(self.source).st_size)
            os.lseek(self.source, place, os.SEEK_SET)
        until = monotonic() + LONGEST
        while self.active and monotonic() < until and wait({self.source: READ}, QUIET):
            self.more()
