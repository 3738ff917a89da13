"""Carry bytes between the caller's standard descriptors and the command's.

The command holds pipes or a pty of its own, never the caller's: through /proc/self/fd/0 of a caller's pipe it could
write what the caller's own shell reads next, through 1 read what the caller's other commands wrote. What the command
leaves unread of the caller's input stays there, as if the command held it itself: `while read` loops go on.
"""

import fcntl
import posix
from _stat import S_ISFIFO, S_ISREG
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll

from . import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 65536
BURST = 16  # chunks until signals and other streams are looked after again
F_SETPIPE_SZ = 1031
SEEK_SET, SEEK_CUR = 0, 1
PAGE = 4096  # the least that a pipe can hold: then "can be written to" means "all has been read"
BULK = 64  # full pages that the command read before it is taken for one that reads to the end
GONE = (kernel.EPIPE, kernel.EIO)


class Pump:
    """Move bytes from one descriptor to another; never block on the command."""

    def __init__(self, source: int, sink: int, ours: int) -> None:
        """Pump `source` to `sink`; `ours` is the one to close when it has ended, or -1."""
        self.source = source
        self.sink = sink
        self.ours = ours
        self.active = True

    def interest(self) -> tuple[int, int]:
        """Say which descriptor to wait for, and for what."""
        return self.source, POLLIN

    def carry(self) -> bool:
        """Move what can be moved now; False when nothing more will come or go."""
        raise NotImplementedError

    def close(self) -> None:
        """Close our end, so that the command learns of it."""
        self.active = False
        if self.ours >= 0:
            posix.close(self.ours)

    def end(self) -> None:
        """Do what is left to do when the command has ended."""


class Outward(Pump):
    """Carry the command's output from our pipe or the pty's master to the caller's descriptor."""

    def __init__(self, source: int, sink: int, ours: int) -> None:
        """Between pipes the kernel moves the pages itself (splice)."""
        super().__init__(source, sink, ours)
        self.full = False
        self.splicing = all(S_ISFIFO(posix.fstat(fd).st_mode) for fd in (source, sink))

    def interest(self) -> tuple[int, int]:
        """Wait for the command, or for a caller's pipe that is full."""
        return (self.sink, POLLOUT) if self.full else (self.source, POLLIN)

    def carry(self) -> bool:
        """Move one chunk; between pipes as many as come without waiting, up to a burst."""
        if not self.splicing:
            data = receive(self.source)
            return data is None or (data != b"" and deliver(self.sink, data))
        moved, rounds = 1, 0
        try:
            while moved and rounds < BURST:
                moved = kernel.splice(self.source, self.sink, CHUNK, kernel.SPLICE_F_NONBLOCK)
                self.full = False
                rounds += 1
        except BlockingIOError:
            if not rounds:  # it can be read from, so the other one is full; or that was, and had no room
                self.full = not self.full
            return True
        except OSError as problem:
            if problem.errno in GONE:
                return False
            if problem.errno != kernel.EINVAL:
                raise
            self.splicing = False
            return True
        return moved > 0

    def end(self) -> None:
        """Carry what the command wrote before it ended; what its background children keep open is not waited for."""
        while self.active and (data := receive(self.source)):
            if not deliver(self.sink, data):
                return


class Typed(Pump):
    """Carry what a person types, or any stream that can't be looked at before it is taken."""

    def __init__(self, source: int, sink: int, ours: int) -> None:
        """Hold what the command has not taken yet."""
        super().__init__(source, sink, ours)
        self.pending = b""

    def interest(self) -> tuple[int, int]:
        """Wait for the caller, or for room."""
        return (self.sink, POLLOUT) if self.pending else (self.source, POLLIN)

    def carry(self) -> bool:
        """Take a chunk, or pass on what was taken."""
        if not self.pending:
            data = receive(self.source)
            if data is None:
                return True
            self.pending = data
            if not data:
                return False
        try:
            self.pending = self.pending[posix.write(self.sink, self.pending) :]
        except BlockingIOError:
            return True
        except OSError as problem:
            if problem.errno not in GONE:
                raise
            return False
        return True


class FromFile(Pump):
    """Feed the command from a regular file, and leave the file's offset where the command stopped reading."""

    def __init__(self, source: int, sink: int, reader: int) -> None:
        """Begin where the caller's offset is; `reader` is the command's end, of which a copy tells what is unread."""
        super().__init__(source, sink, sink)
        self.offset = posix.lseek(source, 0, SEEK_CUR)
        self.reader = fcntl.fcntl(reader, fcntl.F_DUPFD_CLOEXEC, 3)

    def interest(self) -> tuple[int, int]:
        """Wait for room: a file can always be read."""
        return self.sink, POLLOUT

    def carry(self) -> bool:
        """Offer a chunk."""
        data = posix.pread(self.source, CHUNK, self.offset)
        try:
            self.offset += posix.write(self.sink, data) if data else 0
        except BlockingIOError:
            return True
        return data != b""

    def end(self) -> None:
        """Set the caller's offset."""
        posix.lseek(self.source, self.offset - unread(self.reader), SEEK_SET)


class FromPipe(Pump):
    """Feed the command from the caller's pipe, and take from that only what the command has read.

    tee(2) shows the command a page of the caller's pipe; when it has read that, as much is dropped from the caller's.
    A command that has read many full pages gets the rest without this care.
    """

    def __init__(self, source: int, sink: int) -> None:
        """Begin with a pipe of one page."""
        super().__init__(source, sink, sink)
        fcntl.fcntl(sink, F_SETPIPE_SZ, PAGE)
        self.null = posix.open("/dev/null", posix.O_WRONLY | posix.O_CLOEXEC)
        self.offered = 0
        self.rounds = 0
        self.full = False

    def interest(self) -> tuple[int, int]:
        """Wait until the command has read what was offered, then for the caller."""
        return (self.sink, POLLOUT) if self.offered or self.full else (self.source, POLLIN)

    def carry(self) -> bool:
        """Settle what was read, then offer more."""
        if self.offered:
            gone = bool(unread(self.sink))  # it is ready because nobody can read it any more
            self.end()
            return not gone
        bulk = self.rounds >= BULK
        self.full = False
        try:
            if bulk:
                moved = kernel.splice(self.source, self.sink, CHUNK, kernel.SPLICE_F_NONBLOCK)
            else:
                moved = self.offered = kernel.tee(self.source, self.sink, PAGE, kernel.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            self.full = bulk and not self.full
            return True
        except OSError as problem:
            if problem.errno not in GONE:
                raise
            return False
        return moved > 0

    def _settle(self, count: int) -> None:
        """Drop from the caller's pipe what the command has read of it; not waiting, should another have taken it."""
        self.rounds += self.offered == PAGE
        self.offered = 0
        if self.rounds == BULK:
            fcntl.fcntl(self.sink, F_SETPIPE_SZ, CHUNK)
        while count > 0:
            try:
                dropped = kernel.splice(self.source, self.null, count, kernel.SPLICE_F_NONBLOCK)
            except BlockingIOError:
                return
            if not dropped:
                return
            count -= dropped

    def end(self) -> None:
        """Take what the command read of the last page."""
        if self.offered:
            self._settle(self.offered - unread(self.sink))


def unread(fd: int) -> int:
    """Count the bytes in a pipe that nobody has read yet."""
    return int.from_bytes(fcntl.ioctl(fd, kernel.FIONREAD, bytes(4)), "little")


def receive(fd: int) -> "bytes | None":
    """Read a chunk: b'' at the end (EIO: the last slave of a pty closed), None when there is nothing now."""
    try:
        return posix.read(fd, CHUNK)
    except BlockingIOError:
        return None
    except OSError as problem:
        if problem.errno == kernel.EIO:
            return b""
        raise


def deliver(fd: int, data: bytes) -> bool:
    """Write all of it; False when nobody reads any more."""
    while data:
        try:
            data = data[posix.write(fd, data) :]
        except BlockingIOError:  # the caller's own descriptor is non-blocking
            waiting = poll()
            waiting.register(fd, POLLOUT)
            waiting.poll()
        except OSError as problem:
            if problem.errno in GONE:
                return False
            raise
    return True


def ready(pump: Pump, events: dict[int, int]) -> bool:
    """Tell whether what a pump waits for has come, or its other end is gone."""
    fd, mask = pump.interest()
    return bool(events.get(fd, 0) & (mask | POLLERR | POLLHUP))


def begin(flows: list[tuple[str, int, int, int]]) -> list[Pump]:
    """Begin what stdio.prepare laid out: the kind of a pump and what that takes."""
    kinds: dict[str, Callable[[int, int, int], Pump]] = {"typed": Typed, "outward": Outward, "inward": inward}
    return [kinds[kind](*descriptors) for kind, *descriptors in flows]


def inward(source: int, reader: int, sink: int) -> Pump:
    """Choose the pump that feeds a pipe of ours, of which the command gets `reader`, from the caller's descriptor."""
    mode = posix.fstat(source).st_mode
    if S_ISREG(mode):
        return FromFile(source, sink, reader)
    if S_ISFIFO(mode):
        return FromPipe(source, sink)
    return Typed(source, sink, sink)
