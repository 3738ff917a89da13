"""Write what many entries say: whole lines, each behind its container's name, in the order of their arrival.

It is forked before the first entry and keeps nothing but the pipes: no capability, not even the right to signal.
"""

import _signal
import posix
from _stat import S_ISREG
from select import POLLIN, POLLOUT, poll
from time import monotonic

from .. import jsonwrite
from ..errors import EntryError, printable
from ..hardening import powerless
from . import pumps
from .terminal import window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

# What the document of the Plans says of the output, and of those that are not even tried: [name, sentence]
FIELDS = {"names": list, "failed": list, "prefix": bool, "colors": bool, "progress": bool}
RECORD = 13  # bytes of what the conductor says: a letter, the slot, which Plan, the status, milliseconds
COLORS = (36, 35, 32, 34)  # docker compose's, without red and what can't be read on white
CLEAR = b"\r\x1b[K"
LONGEST_LINE = 1 << 20  # then it is broken: nobody else could write until its end
LARGEST_OUTPUT = 4 << 20  # of one container, as JSON
MOST_WAITING = 1 << 20  # bytes for a slow reader; then nothing more is read
LARGEST_REPORT = 8192
AFTER, EVERY = 1.0, 0.2  # seconds to the first progress line, and between two
PATIENCE = 1.0  # seconds that a reader has when the conductor has died
CANCELLED = "cancelled"


def fits(part: object, fields: "dict[str, type]") -> bool:
    """Tell whether a part of the document has these fields, each of its type, and no other."""
    return isinstance(part, dict) and {name: type(value) for name, value in part.items()} == fields


def validate(shown: object, count: int) -> "dict[str, Any]":
    """Return what the document says of the output of `count` entries; EntryError for what does not fit them."""
    if not fits(shown, FIELDS) or len(shown["names"]) != count:  # type: ignore[index]
        raise EntryError("the plan for several containers does not fit them")
    return shown  # type: ignore[return-value]


def record(letter: bytes, slot: int = 0, index: int = 0, status: int = 0, millis: int = 0) -> bytes:
    """Write what the conductor says: S an entry starts, E it has ended, D all have."""
    return letter + b"".join(n.to_bytes(size, "big") for n, size in ((slot, 2), (index, 4), (status, 2), (millis, 4)))


class Slot:
    """Hold the pipes of one entry at a time: its output, its errors, and why it did not happen."""

    def __init__(self, *, as_json: bool) -> None:
        """Make them; one pipe keeps the order of `> file 2>&1`."""
        joined = posix.fstat(1)[:3] == posix.fstat(2)[:3] and not as_json
        pipes = [posix.pipe2(posix.O_CLOEXEC) for _ in range(2 if joined else 3)]
        pipes = [pipes[0], *pipes] if joined else pipes
        for reader, _ in pipes:
            posix.set_blocking(reader, False)
        self.writers = [writer for _, writer in pipes]
        output, error, self.report = (reader for reader, _ in pipes)
        self.readers = {output: 1, error: 2, self.report: 0} if not joined else {output: 1, self.report: 0}
        self.index = -1  # which Plan, or none
        self.open: set[int] = set()

    def begin(self, index: int) -> None:
        """Begin an entry."""
        self.index = index
        self.open = set(self.readers)
        self.data = {fd: bytearray() for fd in self.readers}
        self.cut = False


class Sink:
    """Write to one descriptor of the caller's, and never wait for it."""

    def __init__(self, fd: int) -> None:
        """Begin with nothing to write."""
        self.fd = pumps.patient(fd)
        whole = self.fd != fd or S_ISREG(posix.fstat(fd).st_mode)
        self.piece = pumps.CHUNK if whole else pumps.ATOMIC
        self.waiting = bytearray()
        self.progress = self.gone = False

    def add(self, data: "bytes | bytearray") -> None:
        """Write behind what waits; a progress line gives way."""
        if self.progress:
            self.waiting += CLEAR
            self.progress = False
        if not self.gone:
            self.waiting += data

    def flush(self) -> None:
        """Write what goes without waiting, where poll(2) has said that there is room."""
        try:
            while self.waiting:
                del self.waiting[: posix.write(self.fd, self.waiting[: self.piece])]
                if self.piece == pumps.ATOMIC:
                    return
        except BlockingIOError:
            return
        except OSError as problem:
            if problem.errno not in pumps.GONE:
                raise
            self.waiting.clear()
            self.gone = True


class Collector:
    """Hold the slots, the caller's descriptors, and how each entry ended."""

    def __init__(self, asked: "dict[str, Any]", slots: list[Slot], control: int, acks: int) -> None:
        """Begin without anything started."""
        self.asked, self.slots, self.control, self.acks = asked, slots, control, acks
        self.names = [printable(name) for name in asked["names"]]
        self.reasons: list[tuple[str, str]] = [(printable(name), printable(why)) for name, why in asked["failed"]]
        self.refused, self.worst = bool(self.reasons), 0
        wide = max(map(len, self.names), default=0)
        self.prefixes = [_prefix(name.ljust(wide), at, colors=asked["colors"]) for at, name in enumerate(self.names)]
        self.started: set[int] = set()
        self.done = 0
        self.all_ended = False
        self.shown = monotonic() + AFTER
        self.records = b""
        self.progress = ""  # the last line of it

    def run(self) -> "NoReturn":
        """Drop everything, write until all have ended and all is written, and end with the worst status."""
        posix.setpgid(0, 0)
        _signal.set_wakeup_fd(-1)
        for number in (1, 2, 3, 10, 12, 13, 15, 20, 22):  # HUP INT QUIT USR1 USR2 PIPE TERM TSTP TTOU
            _signal.signal(number, _signal.SIG_IGN)
        one = posix.fstat(1)[:3] == posix.fstat(2)[:3]
        first = Sink(1)
        self.sinks = {1: first, 2: first if one else Sink(2)}
        posix.set_blocking(self.control, False)
        readers = {fd for slot in self.slots for fd in slot.readers}
        powerless.writer({self.control, self.acks, *readers, *(sink.fd for sink in self.sinks.values())})
        if self.asked["json"]:
            for name, why in self.reasons:
                row = {"container": name, "status": 125, "output": "", "errors": "", "error": why}
                self.sinks[1].add(_json(row, 0))
        while not self.all_ended:
            self._turn()
        self._summary()
        until = monotonic() + PATIENCE if self.control < 0 else None
        while any(sink.waiting for sink in self.sinks.values()) and (until is None or monotonic() < until):
            self._wait({}, 100 if until else None)
        posix._exit(141 if self.sinks[1].gone else 125 if self.refused else self.worst)

    def _turn(self) -> None:
        """Wait for anything, take it, write it."""
        slow = max(len(sink.waiting) for sink in self.sinks.values()) > MOST_WAITING
        open_files = {} if slow else {fd: slot for slot in self.slots for fd in slot.open}
        ready = self._wait(open_files, int(EVERY * 1000) if self.asked["progress"] else None, control=not slow)
        if not slow or ready.get(self.control, 0) & ~POLLIN:
            self._listen()  # always: what an entry says comes behind the word that it starts
        for fd, slot in open_files.items():
            if fd in ready and fd in slot.open:
                self._take(slot, fd)
        if self.sinks[1].gone:
            posix._exit(141)  # the conductor ends what runs
        self._show_progress()

    def _wait(self, files: "dict[int, Slot]", millis: "int | None", *, control: bool = False) -> dict[int, int]:
        """Wait for what can be read and written, and write."""
        waiting = poll()
        if self.control >= 0:
            waiting.register(self.control, POLLIN if control else 0)
        for fd in files:
            waiting.register(fd, POLLIN)
        for sink in self.sinks.values():
            if sink.waiting:
                waiting.register(sink.fd, POLLOUT)
        ready = dict(waiting.poll(millis))
        for sink in {*self.sinks.values()}:
            if sink.fd in ready:
                sink.flush()
        return ready

    # --- what comes ---------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Act on what the conductor said; when it has died without a word, that was all."""
        data = pumps.receive(self.control)
        if data == b"":
            self.all_ended, self.control = True, -1
            self.worst = self.worst or 125
        self.records += data or b""
        while len(self.records) >= RECORD:
            letter, rest, self.records = self.records[:1], self.records[1:RECORD], self.records[RECORD:]
            fields = ((0, 2), (2, 6), (6, 8), (8, 12))
            slot, index, status, millis = (int.from_bytes(rest[begin:end], "big") for begin, end in fields)
            if letter == b"S":
                self.started.add(index)
                self.slots[slot].begin(index)
            elif letter == b"E":
                self._finish(slot, status, millis)
            else:
                self.all_ended = True

    def _take(self, slot: Slot, fd: int) -> bool:
        """Take a chunk of a stream; False when there is none now."""
        data = pumps.receive(fd)
        if not data:
            if data is not None:
                slot.open.discard(fd)
            return False
        held, stream = slot.data[fd], slot.readers[fd]
        held += data
        if not stream:
            del held[LARGEST_REPORT:]
        elif self.asked["json"]:
            slot.cut |= len(held) > LARGEST_OUTPUT
            del held[LARGEST_OUTPUT:]
        else:
            end = held.rfind(b"\n") + 1
            if end:
                self._write(slot, stream, held[:end])
                del held[:end]
            if len(held) > LONGEST_LINE:
                self._write(slot, stream, held + b"\n")
                held.clear()
        return True

    def _finish(self, number: int, status: int, millis: int) -> None:
        """Write what an ended entry has left, note how it ended, and give its slot back."""
        slot = self.slots[number]
        for fd in sorted(slot.open):
            while self._take(slot, fd):
                pass
        report = bytes(slot.data[slot.report]).decode("utf-8", "replace")
        why = report.partition("\n")[0].removeprefix("docker nsenter: ")
        if self.asked["json"]:
            self._write_json(slot, status, millis, why)
        else:
            for fd, stream in slot.readers.items():
                if stream and slot.data[fd]:
                    self._write(slot, stream, slot.data[fd] + b"\n")
        if why and why != CANCELLED:
            self.reasons.append((self.names[slot.index], why))
        self.refused |= bool(why) and status == 125
        self.worst = max(self.worst, status)
        self.done += 1
        slot.index, slot.open, slot.data = -1, set(), {}
        try:
            posix.write(self.acks, bytes((number,)))
        except BrokenPipeError:
            return

    # --- what is written ----------------------------------------------------------------------------------------

    def _write(self, slot: Slot, stream: int, lines: "bytes | bytearray") -> None:
        """Write whole lines."""
        if self.asked["prefix"]:
            prefix = self.prefixes[slot.index]
            lines = prefix + lines[:-1].replace(b"\n", b"\n" + prefix) + b"\n"
        self.sinks[stream].add(lines)

    def _write_json(self, slot: Slot, status: int, millis: int, why: str) -> None:
        """Write a container's line; what is no text is there in hexadecimal digits, too."""
        row: dict[str, object] = {"container": self.names[slot.index], "status": status}
        for fd, stream in slot.readers.items():
            if stream:
                name, data = ("output", "errors")[stream - 1], bytes(slot.data[fd])
                row[name] = data.decode("utf-8", "replace")
                if str(row[name]).encode() != data:
                    row[f"{name}_hex"] = data.hex()
        if slot.cut:
            row["truncated"] = True
        if why:
            row["error"] = why
        self.sinks[1].add(_json(row, millis))

    def _show_progress(self) -> None:
        """Say on a terminal how far it is, once it takes long."""
        now = monotonic()
        if not self.asked["progress"] or now < self.shown or self.all_ended or self.sinks[2].waiting:
            return
        self.shown = now + EVERY
        running = [self.names[slot.index] for slot in self.slots if slot.index >= 0]
        text = f"{self.done} of {len(self.names)} done, running: {', '.join(running)}"
        columns = int.from_bytes(window_size()[2:4], "little") or 80
        if text != self.progress or not self.sinks[2].progress:
            self.sinks[2].add(text[: columns - 1].encode())
            self.sinks[2].progress, self.progress = True, text

    def _summary(self) -> None:
        """Say who could not be entered, or not to the end, and why; a reason once for all whom it holds for."""
        for sink in self.sinks.values():
            sink.add(b"")
        by_reason: dict[str, list[str]] = {}
        for name, why in self.reasons:
            by_reason.setdefault(why, []).append(name)
        for why, names in by_reason.items():
            self.sinks[2].add(f"docker nsenter: {', '.join(names)}: {why}\n".encode())
        left = [name for index, name in enumerate(self.names) if index not in self.started]
        if left:
            self.sinks[2].add(f"docker nsenter: not tried: {', '.join(left)}\n".encode())


def _prefix(name: str, index: int, *, colors: bool) -> bytes:
    """Write a name as docker compose logs does."""
    text = f"{name} | "
    return (f"\x1b[{COLORS[index % len(COLORS)]}m{text}\x1b[0m" if colors else text).encode()


def _json(row: "Mapping[str, object]", millis: int) -> bytes:
    """Write a line of JSON; jsonlite knows whole numbers only."""
    return f'{jsonwrite.dumps({**row})[:-1]}, "seconds": {millis / 1000:.3f}}}\n'.encode()
