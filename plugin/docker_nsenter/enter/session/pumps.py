"""Carry bytes between the caller's standard descriptors and the command's.

The command holds pipes or a pty of its own, never the caller's: through /proc/self/fd/0 of a caller's pipe it could
write what the caller's own shell reads next, through 1 read what the caller's other commands wrote. Where the next
reader of the caller's input begins is not for the command to choose either, or `bash <script` would go on inside a
comment: nothing of it is taken (`while read` loops go on) or, once the command has taken a byte, all.
"""

import fcntl
import posix
from _stat import S_ISFIFO, S_ISREG, S_ISSOCK
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll
from time import monotonic

from ..linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 65536
BURST = 16  # chunks until signals and other streams are looked after again
ATOMIC = 4096  # PIPE_BUF: what a pipe that can be written to takes without blocking
F_SETPIPE_SZ = 1031
SEEK_SET, SEEK_CUR = 0, 1
PAGE = 4096  # the least that a pipe can hold: then "can be written to" means "all has been read"
QUIET = 50  # milliseconds in which a writer whose pipe was full, as `cat script |`, has written more
LONGEST = 0.3  # seconds that the rest of the input is taken for: `yes |` never ends
GONE = (syscalls.EPIPE, syscalls.EIO)


class Pump:
    """Move bytes from one descriptor to another, and wait for neither."""

    def __init__(self, source: int, sink: int, ours: int) -> None:
        """Pump `source` to `sink`; `ours` is the one to close when it has ended, or -1."""
        self.source, self.sink, self.ours = source, sink, ours
        self.active = True
        self.pending = b""  # taken from the source, and not yet by the sink
        self.notice: Callable[[bytes], None] | None = None  # is shown what is copied
        self.full = False  # the same of a splice
        self.ended = False  # the command has
        self.left = 1 << 62  # bytes to carry
        self.moved = 0  # and how many were
        kinds = [posix.fstat(fd).st_mode for fd in (source, sink)]
        self.splicing = all(map(S_ISFIFO, kinds))  # the kernel moves the pages itself
        blocks = posix.get_blocking(sink) and (S_ISFIFO(kinds[1]) or S_ISSOCK(kinds[1]) or posix.isatty(sink))
        self.piece = ATOMIC if blocks else CHUNK

    def files(self) -> set[int]:
        """List the descriptors that are needed to the end."""
        return {self.source, self.sink, self.ours}

    def waits(self) -> bool:
        """Tell whether the sink has no room for what was taken."""
        return bool(self.pending) or self.full

    def interest(self) -> tuple[int, int]:
        """Say which descriptor to wait for, and for what."""
        return (self.sink, POLLOUT) if self.waits() else (self.source, POLLIN)

    def carry(self) -> bool:
        """Move what goes without waiting; False when nothing more will come or go."""
        try:
            return (self._splice() if self.splicing else self._copy()) and (self.left > 0 or self.waits())
        except BlockingIOError:  # no room
            return True
        except OSError as problem:
            if problem.errno not in GONE:
                raise
            return False

    def _copy(self) -> bool:
        """Pass on what was taken, or else take a chunk."""
        if not self.pending:
            data = receive(self.source, min(CHUNK, self.left))
            if not data:
                return data is None and not self.ended
            self.left -= len(data)
            self.moved += len(data)
            self.pending = data
            if self.notice:
                self.notice(data)
            if self.piece == ATOMIC:  # that would block: wait for room first
                return True
        self.pending = self.pending[posix.write(self.sink, self.pending[: self.piece]) :]
        return True

    def _splice(self) -> bool:
        """Move as many chunks as come, up to a burst."""
        rounds = 0
        try:
            while rounds < BURST and self.left > 0:
                moved = syscalls.splice(self.source, self.sink, min(CHUNK, self.left), syscalls.SPLICE_F_NONBLOCK)
                if not moved:
                    return False
                self.left -= moved
                self.moved += moved
                self.full = False
                rounds += 1
        except BlockingIOError:
            if not rounds:  # it can be read from, so the other one is full; or that was, and had no room
                self.full = not self.full
            if self.ended and not unread(self.source):
                self.full = False
                return False
        return True

    def last(self) -> None:
        """Carry no more than what the command wrote before it ended: what its children write is not waited for."""
        if not self.ended:
            self.ended = True
            self.left = unread(self.source) if self.ours >= 0 else 2 * CHUNK  # more is in no pty
            self.full &= self.left > 0  # a splice that found nothing said so, too

    def close(self) -> None:
        """Close our end, so that the command learns of it."""
        self.active = False
        if self.ours >= 0:
            posix.close(self.ours)

    def end(self) -> None:
        """Do what is left to do when all is over."""


class Inward(Pump):
    """Feed the command from the caller's descriptor: show it a page, and take all when it has taken of that.

    The bytes in our pipe tell. The command can write into that, too, or make it larger, and so have it seem that it
    took something or nothing; but not that it took a part.
    """

    def __init__(self, source: int, sink: int, reader: int) -> None:
        """`reader` is the command's end of our pipe, of which we keep a copy; or -1 for a pty, which can't show."""
        self.null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        if fcntl.fcntl(source, fcntl.F_GETFL) & posix.O_ACCMODE == posix.O_WRONLY:  # `0>file`: nothing to read
            source = self.null
        super().__init__(source, sink, sink if reader >= 0 else -1)
        mode = posix.fstat(source).st_mode
        self.file = S_ISREG(mode)
        self.whole = self.file or S_ISFIFO(mode) or S_ISSOCK(mode)  # a terminal's typed-ahead lines stay
        self.taken = reader < 0 or not (self.file or S_ISFIFO(mode))
        self.shown = 0
        self.reader = reader
        if not self.taken:
            self.reader = fcntl.fcntl(reader, fcntl.F_DUPFD_CLOEXEC, 3)
            fcntl.fcntl(sink, F_SETPIPE_SZ, PAGE)

    def files(self) -> set[int]:
        """List the descriptors that are needed to the end."""
        return {*super().files(), self.null, self.reader}

    def interest(self) -> tuple[int, int]:
        """Wait until the command has taken what it was shown."""
        return (self.sink, POLLOUT) if self.shown else super().interest()

    def carry(self) -> bool:
        """Show, take, and from then on move."""
        if self.shown:
            self._take()
            return True
        if not self.taken:
            try:
                self.shown = self._show()
            except BlockingIOError:  # another reader of the caller's was faster
                return True
            return self.shown > 0
        if super().carry():
            return True
        if self.ours >= 0 or self.source == self.null or posix.isatty(self.source):
            return False
        self.source, self.pending = self.null, b"\x04"  # to a pty the end is a key
        return True

    def _show(self) -> int:
        """Put a page into our pipe and leave it in the caller's file or pipe."""
        if self.file:
            data = posix.pread(self.source, PAGE, posix.lseek(self.source, 0, SEEK_CUR))
            return int(posix.write(self.sink, data)) if data else 0
        return syscalls.tee(self.source, self.sink, PAGE, syscalls.SPLICE_F_NONBLOCK)

    def _take(self) -> None:
        """Take what was shown."""
        self.moved += self.shown
        if self.file:
            posix.lseek(self.source, self.shown, SEEK_CUR)
        while not self.file and self.shown and (dropped := self._drop(self.shown)):
            self.shown -= dropped
        self.taken, self.shown = True, 0
        grow(self.sink)

    def _drop(self, count: int) -> int:
        """Take from the caller's pipe, for nobody; never waiting, should another have taken it."""
        try:
            return syscalls.splice(self.source, self.null, count, syscalls.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return 0

    def last(self) -> None:
        """Carry nothing more."""
        self.active = False

    def end(self) -> None:
        """Leave the caller's input where it was, or at its end."""
        if self.shown and unread(self.reader) != self.shown:
            self._take()
        if not self.taken or not self.whole or self.source == self.null:
            return
        if self.file:  # further than its size: a file of /proc has none
            place = max(posix.lseek(self.source, 0, SEEK_CUR), posix.fstat(self.source).st_size)
            posix.lseek(self.source, place, SEEK_SET)
        more, until = poll(), monotonic() + LONGEST
        more.register(self.source, POLLIN)
        while monotonic() < until and more.poll(QUIET):
            if not (self._drop(CHUNK) if self.splicing else receive(self.source)):
                return


def grow(pipe: int, size: int = CHUNK) -> None:
    """Have a pipe hold more from now on."""
    try:
        fcntl.fcntl(pipe, F_SETPIPE_SZ, size)
    except PermissionError:  # this user's pipes hold as much as they may (pipe-user-pages-soft)
        return


def unread(fd: int) -> int:
    """Count the bytes in a pipe that nobody has read yet."""
    return int.from_bytes(fcntl.ioctl(fd, syscalls.FIONREAD, bytes(4)), "little")


def receive(fd: int, most: int = CHUNK) -> "bytes | None":
    """Read a chunk: b'' at the end (EIO: the last slave of a pty closed), None when there is nothing now."""
    try:
        return posix.read(fd, most)
    except BlockingIOError:
        return None
    except OSError as problem:
        if problem.errno == syscalls.EIO:
            return b""
        raise


def patient(fd: int) -> int:
    """Open a caller's pipe or terminal once more, not to block when it is full: on his own he would have O_NONBLOCK."""
    if S_ISFIFO(posix.fstat(fd).st_mode) or posix.isatty(fd):
        try:
            return posix.open(
                f"/proc/self/fd/{fd}", posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
            )
        except OSError:  # another user's, or its readers are gone: then by pieces that are sure to fit
            pass
    return fd


def ready(pump: Pump, events: dict[int, int]) -> bool:
    """Tell whether what a pump waits for has come, or its other end is gone."""
    fd, mask = pump.interest()
    return bool(events.get(fd, 0) & (mask | POLLERR | POLLHUP))


def begin(flows: list[tuple[str, int, int, int]]) -> list[Pump]:
    """Begin what stdio.prepare laid out: the kind of a pump and what that takes."""
    return [
        Inward(source, sink, other) if kind == "inward" else Pump(source, patient(sink), other)
        for kind, source, sink, other in flows
    ]
