"""Be the caller's end of a helper: his terminal, pipes, signals and exit status, over one stream of the engine's.

What enter/session/supervisor.py is to the command on the local route; enter/session/relay.py speaks the other half.
"""

import os
import signal
import stat
from time import monotonic

from ...engine.answers import Lost
from ...engine.transport import Stream, write
from ...enter.jsonwrite import dumps
from ...enter.session.frames import Frames, frame
from . import streams
from .streams import READ, WRITE
from .terminal import Terminal, window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...enter.plan import Plan
    from ...enter.session.recording import Recording

WINDOW = 1 << 20  # bytes of input under way to the helper
MOST_WAITING = 1 << 20  # bytes of output that wait for the caller before the helper has to
# Linux's numbers of what is passed on: a Mac has others
SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "USR1": 10, "USR2": 12, "TERM": 15, "CONT": 18, "TSTP": 20}
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
COMPANY, READER_PATIENCE, GLANCE = 0.1, 1.0, 0.3  # as on the local route: enter/session/supervisor.py says what for
LATE = 3.0  # seconds after SIGCONT that a helper may take to say that it had stopped the command
PATIENCE = 10.0  # seconds that an ending helper has to say its status when docker is gone


class Client:
    """Hold the stream, the caller's descriptors and terminal, and what waits in either direction."""

    def __init__(self, stream: Stream) -> None:
        """Begin with a stream that is attached to a helper."""
        self.stream = stream
        self.frames = Frames()
        self.errors = b""  # what Python itself said in the helper
        self.waiting = {1: bytearray(), 2: bytearray()}
        self.most = MOST_WAITING
        self.sinks: dict[int, int] = {}
        self.told = 0  # the signal of who wants us to end
        self.outgoing = bytearray()
        self.status: int | None = None
        self.sent = self.got = 0  # bytes of input and of output
        self.recording: Recording | None = None
        self._raw = bytearray(stream.first)
        self._ended = False

    # --- the stream: docker's own frames, with ours inside ---------------------------------------------------------

    def receive(self) -> None:
        """Read from the engine, and take docker's frames apart: stream 1 carries our frames, 2 Python's own errors."""
        try:
            data = os.read(self.stream.fd, 1 << 17)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self._ended = self._ended or not data
        self._raw += data
        while len(self._raw) >= 8:
            size = int.from_bytes(self._raw[4:8], "big")
            if len(self._raw) < 8 + size:
                return
            payload = bytes(self._raw[8 : 8 + size])
            if self._raw[0] == 2:
                self.errors = (self.errors + payload)[-4096:]
            else:
                self.frames.add(payload)
            del self._raw[: 8 + size]

    def bring(self, code: bytes) -> None:
        """Send the code of stage 2, and hear meanwhile: a helper that ends at once takes nothing and says why."""
        fd = self.stream.fd
        os.set_blocking(fd, False)
        while code and not self._ended:
            if streams.wait({fd: READ | WRITE}, None)[fd] & ~WRITE:
                self.receive()
            try:
                code = code[os.write(fd, code[: 1 << 16]) :]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        os.set_blocking(fd, True)

    def greeting(self, boot: "bytes | None") -> bool:
        """Wait until the helper runs, and tell whether the engine has it filtered: it can copy no filter then.

        Lost when it ends instead, or runs on another kernel than `boot` names.
        """
        found = self.expect(b"H")
        if boot is not None and not found.startswith(boot):
            raise Lost("it runs on another kernel")
        return not found.endswith(b"0")

    def expect(self, letter: bytes) -> bytes:
        """Wait for this frame; Lost when the helper ends instead."""
        while (found := self.frames.take()) is None:
            if self._ended:
                lines = self.errors.decode("utf-8", "replace").strip().splitlines()
                raise Lost(lines[-1] if lines else "it said nothing")
            self.receive()
        if found[0] != letter:
            raise Lost("it said something else")
        return found[1]

    # --- the entry -------------------------------------------------------------------------------------------------

    def run(self, plan: "Plan", socket: int, whom: str, text: bytes) -> int:
        """Send what stage 2 reads, carry everything until the helper says the exit status; return that.

        `text` is the Plan, or a document of several, of which `plan` is one; `whom` they are for is shown by ps.
        """
        streams.fill_standard()
        self.plan, self.socket = plan, socket
        self.terminal = Terminal(0)
        self.sinks = {fd: streams.patient(fd) for fd in self.waiting}
        self.read = 0
        self.deadline = self.leaving = 0.0
        self._asked, self._docker = float("-inf"), os.getppid()
        self._expected = 0.0  # until when the command's stop is SIGTSTP's
        self._paused = False  # from SIGTSTP to SIGCONT: docker is stopped, and the terminal is the shell's
        self._prepare_input()
        self._watch_signals()
        write(self.stream.fd, frame(b"I", dumps(self._describe(whom)).encode()))
        write(self.stream.fd, frame(b"P", text))
        os.set_blocking(self.stream.fd, False)
        try:
            self._act()
            while self.status is None or self._flushing():
                self._carry()
                self._act()
        finally:
            self.terminal.restore()
            if self.input:
                self.input.end(self.read)
        return self.status

    def _describe(self, whom: str) -> "dict[str, object]":
        """Say of which kind the caller's descriptors are: stage 2 gets the same in the helper."""
        tty = self.plan["tty"] and not self.plan["detach"]
        return {
            "whom": whom,
            "terminals": [tty and os.isatty(fd) for fd in (0, 1, 2)],
            "joined": os.fstat(1)[:3] == os.fstat(2)[:3],
            "size": window_size().hex() if self.plan["tty"] else "",
        }

    def _prepare_input(self) -> None:
        self.input = streams.Input(0) if self.plan["stdin"] else None
        if not self.input:
            self._say(b"E")

    def _watch_signals(self) -> None:
        self.wakeup, writer = streams.pipe()
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGWINCH, *(signal.Signals[f"SIG{name}"] for name in SIGNALS)):
            if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGTSTP:
                signal.signal(number, lambda *_: None)
        streams.in_turn()
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    # --- the loop --------------------------------------------------------------------------------------------------

    def _carry(self) -> None:
        """Wait for anything, and move what can be moved."""
        ready = self._wait()
        if self.wakeup in ready:
            self._signals()
        if self.socket in ready and self._docker_gone():
            self._left_alone()
        if self.leaving and monotonic() >= self.leaving:
            self._leave()
        if self.deadline and monotonic() >= self.deadline and self.status is None:
            self.status = 137
        if self.stream.fd in ready:
            self.receive()
        for fd, data in self.waiting.items():
            if data and self.sinks[fd] in ready:
                self._deliver(fd, data)
        if self.input and self._wants_input() and self.input.source in ready:
            self._offer(self.input)
        self._flush()

    def _wait(self) -> dict[int, int]:
        """Wait for what can go on; a terminal that is another job's is neither read nor set."""
        ours = self.terminal.ours() and not self._paused
        if ours and self.plan["tty"] and not self.plan["detach"] and not self.deadline and self.terminal.raw():
            self._resize()
        wanted = {self.wakeup: READ}
        if self.socket >= 0:
            wanted[self.socket] = READ
        if not self._ended and max(map(len, self.waiting.values())) < self.most:
            wanted[self.stream.fd] = READ
        if self.outgoing:
            wanted[self.stream.fd] = wanted.get(self.stream.fd, 0) | WRITE
        for fd, data in self.waiting.items():
            if data:
                wanted[self.sinks[fd]] = WRITE
        if self.input and self._wants_input() and not self.deadline and ours:
            wanted[self.input.source] = wanted.get(self.input.source, 0) | READ
        times = [time - monotonic() for time in (self.deadline, self.leaving) if time]
        times += [] if ours else [GLANCE]
        return streams.wait(wanted, min(times, default=None))

    def _act(self) -> None:
        """Act on each whole frame of the helper's."""
        while (found := self.frames.take()) is not None:
            letter, payload = found
            if letter in (b"1", b"2"):
                self.waiting[int(letter)] += payload
                self.got += len(payload)
                if self.recording:
                    self.recording.shown(payload)
            elif letter == b"A":
                self._settle(int.from_bytes(payload, "big"))
            elif letter == b"Z":
                self._stop_self()
            elif letter == b"X":
                self.status = payload[0]
                self.deadline = monotonic() + READER_PATIENCE if self.told else 0.0
                return
        if self._ended and self.status is None:
            if self.deadline:
                self.status = 137
                return
            reason = self.errors.decode("utf-8", "replace").strip().splitlines()
            raise Lost(f": {reason[-1]}" if reason else "")

    def _say(self, letter: bytes, payload: bytes = b"") -> None:
        self.outgoing += frame(letter, payload)

    def _flush(self) -> None:
        """Send what the stream takes."""
        try:
            while self.outgoing:
                del self.outgoing[: os.write(self.stream.fd, self.outgoing[: 1 << 17])]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.outgoing.clear()  # the reading half tells why

    # --- input: shown to the helper, and taken from the caller when the command has read it ------------------------

    def _wants_input(self) -> bool:
        """Tell whether there may be more, and room for it: at first for a page, later for all that the window has."""
        if not self.input or not self.input.active:
            return False
        return self.sent - self.read < WINDOW if self.input.taken else not self.input.shown

    def _offer(self, source: streams.Input) -> None:
        """Send what has come."""
        data = source.more()
        if data:
            self._send(data)
        elif data is not None:
            if self.plan["tty"] and os.isatty(0):
                self._leave()  # the terminal has hung up
            else:
                self._say(b"E")

    def _send(self, data: bytes) -> None:
        self.sent += len(data)
        if self.recording:
            self.recording.typed(data)
        self._say(b"D", data)

    def _settle(self, count: int) -> None:
        """Note what the command has taken: after the first byte of it the page that was shown may be taken."""
        if self.input and not self.input.taken:
            self.input.take()
        self.read = count

    # --- output ----------------------------------------------------------------------------------------------------

    def _deliver(self, fd: int, data: bytearray) -> None:
        """Give the caller as much as he takes at once; who reads no more is reported, so that the command learns it."""
        sink = self.sinks[fd]
        whole = sink != fd or stat.S_ISREG(os.fstat(fd).st_mode)
        try:
            del data[: os.write(sink, data if whole else data[: streams.ATOMIC])]
        except BlockingIOError:
            return
        except OSError as problem:
            if problem.errno not in streams.GONE:
                raise
            data.clear()
            self._say(b"C", b"%d" % fd)

    def _flushing(self) -> bool:
        """Tell whether the reader of what the ended command wrote is waited for."""
        waits = any(self.waiting.values())
        if waits and self.told and monotonic() >= self.deadline:  # output is lost, and the status says by what
            self.status, waits = 128 + self.told, False
        return waits

    # --- signals, stops, the end -----------------------------------------------------------------------------------

    def _signals(self) -> None:
        """Pass on the signals that came since the last look."""
        for number in os.read(self.wakeup, 4096):
            if number == signal.SIGWINCH:
                self._resize()
            elif number != signal.SIGTSTP or self.terminal.has_jobs():
                self._say(b"S", bytes([SIGNALS[signal.Signals(number).name[3:]]]))
                if number in (signal.SIGTSTP, signal.SIGCONT):
                    self._paused = number == signal.SIGTSTP
                    self._expected = float("inf") if self._paused else monotonic() + LATE
                if number in ENDING:
                    self._tell(number)
                    self._asked = monotonic()
                    self.leaving = self.leaving and self._asked + READER_PATIENCE
                if number == signal.SIGHUP and self.plan["tty"] and not os.isatty(0):
                    self._leave()

    def _resize(self) -> None:
        size = window_size()
        if self.plan["tty"] and size:
            self._say(b"W", size)
            if self.recording:
                self.recording.resized(size)

    def _stop_self(self) -> None:
        """Stop as the command did, so that the caller's shell sees it; come back when continued."""
        self.terminal.restore()
        expected, self._expected = monotonic() < self._expected, 0.0
        if expected and os.getpgid(os.getppid()) == os.getpgrp():
            return  # the same signal stopped docker, which the shell watches; SIGCONT is passed on, or has been already
        if self.terminal.has_jobs():
            foreground = os.isatty(0) and self.terminal.ours()
            os.kill(0 if foreground else os.getpid(), signal.SIGSTOP)
        self._say(b"S", bytes([SIGNALS["CONT"]]))

    def _left_alone(self) -> None:
        """Docker has hung up: it is dead, or a signal that came to it has yet to come to us or has come already."""
        os.close(self.socket)
        self.socket = -1
        asked = monotonic() - self._asked < COMPANY
        if asked or os.getppid() == self._docker:
            self.leaving = monotonic() + (READER_PATIENCE if asked else COMPANY)
        else:
            self._leave()

    def _docker_gone(self) -> bool:
        try:
            return not os.read(self.socket, 4096)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _tell(self, number: int) -> None:
        """Note that somebody wants us to end: what is ahead of the helper's last word has room now."""
        self.most = MOST_WAITING << 6
        self.told = number
        if self.status is not None:
            self.deadline = monotonic()

    def _leave(self) -> None:
        """End the stream's input: the helper ends the command, at first kindly, and says its status."""
        self.leaving = 0.0
        self._tell(self.told or signal.SIGHUP)
        if not self.deadline:
            self.terminal.restore()
            self.deadline = monotonic() + PATIENCE
            self._say(b"G")
            if self.socket >= 0:
                os.close(self.socket)
                self.socket = -1
