"""In a helper container: be the caller's terminal, pipes and signals for stage 2, over one stream and without power.

Stage 2 runs as on the local route, in a child of this process, whose standard descriptors are a pty or pipes of ours.
The stream's end means that the client is gone: stage 2 learns it as it learns of docker's end, ends the command, and
with it the helper.
"""

import fcntl
import posix
import termios
from _signal import SIG_IGN, SIGCHLD, SIGPIPE, SIGUSR1, set_wakeup_fd, signal
from select import POLLIN, POLLOUT, poll

from ..hardening import powerless
from .frames import Frames, frame
from .pumps import CHUNK, F_SETPIPE_SZ, GONE, PAGE, grow, receive, unread
from .status import exit_status
from .terminal import set_window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

MOST_WAITING = 4 * CHUNK  # bytes of output that wait for the client before stage 2 has to


class Relay:
    """Hold our ends of stage 2's descriptors, and what waits to be passed on in either direction."""

    def __init__(self, described: "dict[str, Any]", frames: Frames) -> None:
        """Make stage 2's descriptors of the caller's kinds: `terminals` says which of 0, 1, 2 are one."""
        self.frames = frames
        self.outgoing = bytearray()
        self.pending = bytearray()  # input that stage 2 has no room for
        self.written = self.told = 0  # bytes of input given to stage 2, and reported as read
        self.reader = -1  # stage 2's end of its input, to see what is unread
        self.careful = True  # until the first page of input has been taken
        self.ended = self.gone = self.leaving = False
        self.pid = 0
        self.master = -1
        self.inner = [-1, -1, -1]
        self.outputs: dict[int, bytes] = {}  # our descriptor: the letter of its frames
        terminals = described["terminals"]
        slave = self._terminal(bytes.fromhex(described["size"])) if any(terminals) else -1
        self.input = self._input(slave if terminals[0] else -1)
        for number in (1, 2):
            if terminals[number]:
                self.inner[number] = slave
            elif number == 2 and described["joined"]:
                self.inner[2] = self.inner[1]
            else:
                reader, self.inner[number] = posix.pipe2(posix.O_CLOEXEC)
                posix.set_blocking(reader, False)
                self.outputs[reader] = b"%d" % number

    def _terminal(self, size: bytes) -> int:
        """Open a pty of the helper's own, that echoes nothing of what is typed before the command's own terminal is."""
        self.master, slave = posix.openpty()
        for fd in (self.master, slave):
            fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        mode = termios.tcgetattr(slave)
        mode[0] &= ~termios.ICRNL
        mode[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        if size:
            set_window_size(self.master, size)
        posix.set_blocking(self.master, False)
        self.outputs[self.master] = b"1"
        return slave

    def _input(self, slave: int) -> int:
        """Return where input is written to: the pty, or a pipe of one page, so that what was read can be told."""
        if slave >= 0:
            self.inner[0] = slave
            return self.master
        self.inner[0], writer = posix.pipe2(posix.O_CLOEXEC)
        fcntl.fcntl(writer, F_SETPIPE_SZ, PAGE)
        posix.set_blocking(writer, False)
        return int(writer)

    def run(self, become: "Callable[[int], NoReturn]") -> "NoReturn":
        """Start stage 2, carry everything, and end with its status; `become` is given what hangs up with the client."""
        alive, lifeline = posix.pipe2(posix.O_CLOEXEC)
        wakeup, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (SIGCHLD, SIGUSR1):  # before there is anybody to send one
            signal(number, lambda *_: None)
        self.pid = posix.fork()
        if not self.pid:
            posix.close(lifeline)
            become(alive)
        if self.input != self.master:
            self.reader = fcntl.fcntl(self.inner[0], fcntl.F_DUPFD_CLOEXEC, 3)
        for fd in {*self.inner, alive}:
            posix.close(fd)
        signal(SIGPIPE, SIG_IGN)
        posix.set_blocking(0, False)
        posix.set_blocking(1, False)
        files = {wakeup, writer, lifeline, self.input, self.reader, *self.outputs}
        powerless.carrier(self.pid, files)
        self._act()
        while (status := self._reap()) is None:
            self._carry(wakeup)
            if (self.gone or self.leaving) and lifeline >= 0:
                posix.close(lifeline)
                lifeline = -1
        self._finish(exit_status(status))

    # --- the loop --------------------------------------------------------------------------------------------------

    def _carry(self, wakeup: int) -> None:
        """Wait for anything, and move what can be moved."""
        waiting = poll()
        waiting.register(wakeup, POLLIN)
        if not self.gone:
            waiting.register(0, POLLIN)
            if self.outgoing:
                waiting.register(1, POLLOUT)
        # A pipe of one page can be written to when all in it has been read, which the client waits to hear
        asks = self.careful and self.input != self.master and self.told < self.written
        writes = self.input >= 0 and (asks or bool(self.pending))
        if len(self.outgoing) < MOST_WAITING:
            for fd in self.outputs:
                waiting.register(fd, POLLIN | (POLLOUT if writes and fd == self.input else 0))
        if writes and self.input not in self.outputs:
            waiting.register(self.input, POLLOUT)
        ready = dict(waiting.poll())
        if wakeup in ready and SIGUSR1 in posix.read(wakeup, 4096):
            self._say(b"Z")  # stage 2 stopped the command for ^Z; it goes on itself, to reap
        if 0 in ready:
            self._receive()
        if writes and ready.get(self.input, 0) & ~POLLIN:
            self._feed()
        for fd in [fd for fd in self.outputs if ready.get(fd, 0) & ~POLLOUT]:
            self._take(fd)
        self._tell()
        self._flush()

    def _receive(self) -> None:
        """Take what the client sent, and act on it."""
        try:
            data = posix.read(0, CHUNK)
        except BlockingIOError:
            return
        if data:
            self.frames.add(data)
            self._act()
        else:
            self.gone = True
            self.outgoing.clear()

    def _act(self) -> None:
        """Act on each whole frame."""
        while (found := self.frames.take()) is not None:
            letter, payload = found
            if letter == b"D":
                self.pending += payload
                self._feed()
            elif letter == b"E":
                self.ended = True
                self._feed()
            elif letter == b"W" and self.master >= 0:
                set_window_size(self.master, payload[:8].ljust(8, b"\0"))
            elif letter == b"S" and self.pid:
                posix.kill(self.pid, payload[0] if payload and 0 < payload[0] < 65 else 0)
            elif letter == b"G":
                self.leaving = True
            elif letter == b"C":
                for fd in [fd for fd, name in self.outputs.items() if name == payload and fd != self.master]:
                    self._drop(fd)

    def _feed(self) -> None:
        """Give stage 2 what it has room for, and then the end of input."""
        if self.input < 0:
            return
        try:
            while self.pending:
                sent = posix.write(self.input, self.pending[:CHUNK])
                self.written += sent
                del self.pending[:sent]
        except BlockingIOError:
            return
        except OSError as problem:
            if problem.errno not in GONE:
                raise
            self.pending.clear()
            self.ended = True
        if self.ended and self.input != self.master:
            posix.close(self.input)
            self.input = -1

    def _take(self, fd: int) -> None:
        """Take a chunk of stage 2's output."""
        data = receive(fd)
        if data:
            self._say(self.outputs[fd], data)
        elif data is not None:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        """Close an output: nothing more comes, or nobody wants it."""
        del self.outputs[fd]
        if fd != self.master:
            posix.close(fd)

    def _say(self, letter: bytes, payload: bytes = b"") -> None:
        if not self.gone:
            self.outgoing += frame(letter, payload)

    def _tell(self) -> None:
        """Report how much of the input has been read; from then on the pipe is a large one."""
        count = self.written - (0 if self.input == self.master else unread(self.reader))
        if count > self.told:
            if self.careful and self.input not in (-1, self.master):
                grow(self.input)
            self.careful = False
            self.told = count
            self._say(b"A", count.to_bytes(8, "big"))

    def _flush(self) -> None:
        """Send what the stream takes."""
        try:
            while self.outgoing:
                del self.outgoing[: posix.write(1, self.outgoing[:CHUNK])]
        except BlockingIOError:
            return
        except OSError as problem:
            if problem.errno not in GONE:
                raise
            self.gone = True
            self.outgoing.clear()

    def _reap(self) -> "int | None":
        """Return stage 2's wait status when it has ended."""
        pid, status = posix.waitpid(self.pid, posix.WNOHANG)
        return int(status) if pid else None

    def _finish(self, status: int) -> "NoReturn":
        """Pass on what stage 2 left in its pipes, then its status; end."""
        self.pid = 0
        for fd in list(self.outputs):
            while data := receive(fd):
                self._say(self.outputs[fd], data)
        self._tell()
        self._say(b"X", bytes([status]))
        posix.set_blocking(1, True)
        self._flush()
        posix._exit(status)
