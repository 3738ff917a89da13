"""Carry many connections over one pair of pipes: both ends of --forward are one of these, and neither has any power.

A frame is a letter, the payload's length in four bytes, and a payload that begins with the connection's number in four:
O (open it, to the target with this number), D (bytes), E (no more bytes this way), A (so many bytes were taken), R (it
was reset), F (it could not be opened, why). H says that the far end runs, X that the container has stopped. A sender
has no more than a window of bytes under way that were not taken yet: a slow reader holds nobody else up, and neither
end ever keeps more than a window of each connection.
"""

import posix
from _socket import AF_UNIX, IPPROTO_TCP, MSG_NOSIGNAL, SHUT_WR, SO_LINGER, SOL_SOCKET, TCP_NODELAY
from select import POLLIN, POLLOUT, poll
from time import monotonic

from ..hardening import powerless
from ..linux import capset, syscalls
from .pumps import grow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

# System calls: what both ends do with connections, and what only the one in the container's network does
CONNECTED = {
    "accept4": (288, 242),
    "recvfrom": (45, 207),
    "sendto": (44, 206),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
    "setsockopt": (54, 208),
}
CONNECT, SOCKET, FAMILIES = (42, 203), (41, 198), (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
NOBODY = {powerless.KILLING: (0, ())}  # may be signalled
WINDOW = 512 << 10
HEAD = 9  # bytes before the data of a frame
CHUNK = (64 << 10) - HEAD  # of data: a frame of it fills a pipe as it is by default
MOST = 256  # connections at a time; who comes then waits in the listener's queue
MOST_WAITING = 256 << 10  # bytes for the other end; then nothing more is read here
LARGE = 256 << 10  # bytes that our pipes hold, if they may
RESET = (1).to_bytes(4, "little") + bytes(4)  # struct linger: close by a reset


def frame(letter: bytes, number: int = 0, data: bytes = b"") -> bytes:
    """Write one frame."""
    return letter + (4 + len(data)).to_bytes(4, "big") + number.to_bytes(4, "big") + data


def take_only(files: set[int]) -> None:
    """Keep these descriptors, and only take connections; out of the reach of who has the same ids and no less."""
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    code = powerless.program({**NOBODY}, CONNECTED)
    try:
        powerless.drop(0, files, code)
    except PermissionError:  # EPERM of the bounding set: who lacks SETPCAP gets nothing out of it from no_new_privs on
        capset.set_process(0, 0, 0)
        powerless.install(code)


def open_only() -> None:
    """Only open connections, for who has dropped all else already."""
    values: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {**NOBODY, SOCKET: (0, FAMILIES)}
    powerless.install(powerless.program(values, {**CONNECTED, "connect": CONNECT}))


def prompt(sock: "socket") -> None:
    """Have small pieces sent at once: who sends them to us has done with them what there is to do."""
    if sock.family != AF_UNIX:
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)


class Link:
    """Hold one connection: its socket, and what is under way in either direction."""

    def __init__(self, number: int, sock: "socket | None") -> None:
        """Begin with a socket that is connected, or none until one is."""
        self.number, self.sock = number, sock
        self.room = WINDOW  # bytes that may still be sent to the other end
        self.waiting = bytearray()  # bytes that the socket has no room for
        self.taken = 0  # bytes that it took since the other end was told
        self.read_all = self.told_all = self.shut = False  # the end of what comes in; of what goes out; and passed on
        self.fd = sock.fileno() if sock else -1
        self.mask = 0
        self.target = 0  # which one it leads to
        self.half = 0.0  # when its client closed it, or was last sent something after that

    def wants(self) -> int:
        """Say what to wait for on its socket."""
        if not self.sock:
            return 0
        return POLLIN * (not self.read_all and self.room > 0) | POLLOUT * bool(self.waiting)


class Tunnel:
    """Hold the pair of pipes and the connections; the kinds of end differ in who opens them."""

    def __init__(self, source: int, sink: int) -> None:
        """Take the pipes over: bytes come from `source` and go to `sink`, and neither is waited for."""
        self.source, self.sink = source, sink
        for fd in (source, sink):
            posix.set_blocking(fd, False)
            grow(fd, LARGE)
        self.links: dict[int, Link] = {}
        self.by_fd: dict[int, Link] = {}
        self.outgoing = bytearray()
        self.ended = False
        self.given = self.taken = 0  # bytes for the sockets, and bytes of theirs
        self._incoming = b""
        self._chunk = bytearray(HEAD + CHUNK)
        self._all, self._few = poll(), poll()
        for waiting in (self._all, self._few):
            waiting.register(source, POLLIN)
        self._few.register(sink, POLLOUT)

    # --- the loop --------------------------------------------------------------------------------------------------

    def watch(self, fd: int, mask: int = POLLIN) -> None:
        """Wait for a descriptor besides, while the other end takes what is sent."""
        self._all.register(fd, mask)

    def watch_always(self, fd: int) -> None:
        """Wait for a descriptor besides, whatever else there is to do."""
        self._all.register(fd, POLLIN)
        self._few.register(fd, POLLIN)

    def unwatch(self, fd: int) -> None:
        """Wait for it no more."""
        self._all.unregister(fd)

    def unwatch_always(self, fd: int) -> None:
        """Wait no more for what was always waited for."""
        self._all.unregister(fd)
        self._few.unregister(fd)

    def turn(self, milliseconds: "int | None" = None) -> set[int]:
        """Wait for anything and carry it; return the descriptors that are not the tunnel's own."""
        # Where the other end takes nothing, what would bring more for it is not even looked at
        waiting = self._few if self.outgoing else self._all
        ready = dict(waiting.poll(milliseconds))
        if self.outgoing:
            self._flush()
        if ready.pop(self.source, 0):
            self._receive()
        ready.pop(self.sink, 0)
        others = set()
        for fd, events in ready.items():
            link = self.by_fd.get(fd)
            if not link:
                others.add(fd)
            elif events & POLLOUT:
                self._deliver(link)
            if link and events & ~POLLOUT and link.sock and len(self.outgoing) < MOST_WAITING:
                self._read(link)
        return others

    def say(self, letter: bytes, number: int = 0, data: bytes = b"") -> None:
        """Send a frame, or keep it until there is room."""
        self.outgoing += frame(letter, number, data)
        self._flush()

    def _flush(self) -> None:
        """Send what the pipe takes."""
        try:
            while self.outgoing:
                with memoryview(self.outgoing) as view:
                    sent = posix.write(self.sink, view[:CHUNK])
                del self.outgoing[:sent]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.ended = True
            self.outgoing.clear()

    def _receive(self) -> None:
        """Take what the other end sent, and act on it."""
        try:
            data = posix.read(self.source, LARGE)
        except BlockingIOError:
            return
        if not data:
            self.ended = True
        if self._incoming:
            data = self._incoming + data
        at, end = 0, len(data)
        with memoryview(data) as view:
            while end - at >= HEAD:
                size = int.from_bytes(data[at + 1 : at + 5], "big") - 4
                if not 0 <= size <= CHUNK:
                    raise ValueError("a frame of no size of ours")
                if end - at < HEAD + size:
                    break
                number = int.from_bytes(data[at + 5 : at + HEAD], "big")
                self.act(data[at : at + 1], number, view[at + HEAD : at + HEAD + size])
                at += HEAD + size
            self._incoming = bytes(view[at:])

    def act(self, letter: bytes, number: int, data: memoryview) -> None:
        """Act on a frame about a connection; one that is closed already is passed over."""
        link = self.links.get(number)
        if not link:
            return
        if letter == b"D":
            if len(link.waiting) + len(data) > WINDOW:
                raise ValueError("more than a window")
            self._give(link, data)
        elif letter == b"E":
            link.told_all = True
            self._shut(link)
        elif letter == b"A":
            link.room += int.from_bytes(data, "big")
            self.attend(link)
        elif letter in (b"R", b"F"):
            self.drop(link, told=False)

    # --- one connection -------------------------------------------------------------------------------------------

    def add(self, link: Link) -> None:
        """Carry one more connection."""
        self.links[link.number] = link
        if link.sock:
            self.connected(link, link.sock)

    def connected(self, link: Link, sock: "socket") -> None:
        """Carry from and to a connection's socket from now on."""
        link.sock, link.fd = sock, sock.fileno()
        self.by_fd[link.fd] = link
        self.attend(link)
        self._deliver(link)

    def attend(self, link: Link) -> None:
        """Wait for what can go on."""
        mask = link.wants()
        if mask == link.mask:
            return
        if mask:
            self._all.register(link.fd, mask)
        elif link.mask:
            self._all.unregister(link.fd)
        link.mask = mask

    def _read(self, link: Link) -> None:
        """Take a chunk from the socket and send it."""
        assert link.sock
        if link.read_all or link.room <= 0:
            return
        with memoryview(self._chunk) as view:
            try:
                count = link.sock.recv_into(view[HEAD : HEAD + min(CHUNK, link.room)])
            except BlockingIOError:
                return
            except OSError:  # ECONNRESET, ETIMEDOUT
                self.drop(link)
                return
            if count:
                view[:HEAD] = b"D" + (4 + count).to_bytes(4, "big") + link.number.to_bytes(4, "big")
                self._send(view[: HEAD + count])
        link.room -= count
        self.taken += count
        if not count:
            link.read_all, link.half = True, monotonic()
            self.say(b"E", link.number)
            self._close_if_done(link)
        self.attend(link)

    def _send(self, data: memoryview) -> None:
        """Send bytes at once, and keep only what the pipe has no room for."""
        sent = 0
        if not self.outgoing:
            try:
                sent = posix.write(self.sink, data)
            except BlockingIOError:
                sent = 0
            except BrokenPipeError:
                self.ended = True
                return
        self.outgoing += data[sent:]

    def _give(self, link: Link, data: "memoryview | bytearray") -> None:
        """Give bytes to the socket, and keep what it has no room for."""
        sent = 0
        self.given += len(data)
        if link.sock and not link.waiting:
            sent = self._write(link, data)
            if sent < 0:
                return
        if link.half:
            link.half = monotonic()
        link.waiting += data[sent:]
        self._took(link, sent)
        self.attend(link)

    def _deliver(self, link: Link) -> None:
        """Give the socket what waits for it."""
        if link.waiting:
            with memoryview(link.waiting) as view:
                sent = self._write(link, view)
            if sent < 0:
                return
            del link.waiting[:sent]
            self._took(link, sent)
        self._shut(link)
        self.attend(link)

    def _write(self, link: Link, data: "memoryview | bytearray") -> int:
        """Write to the socket; -1 when it is no longer there."""
        assert link.sock
        try:
            return link.sock.send(data, MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError:  # EPIPE, ECONNRESET
            self.drop(link)
            return -1

    def _took(self, link: Link, count: int) -> None:
        """Tell the other end now and then how much it may send again."""
        link.taken += count
        if link.taken >= WINDOW // 4:
            self.say(b"A", link.number, link.taken.to_bytes(4, "big"))
            link.taken = 0

    def _shut(self, link: Link) -> None:
        """Pass the other end's end of bytes on, once all of them are written."""
        if not link.told_all or link.waiting or link.shut or not link.sock:
            return
        link.shut = True
        try:
            link.sock.shutdown(SHUT_WR)
        except OSError:  # ENOTCONN: a reset came first
            self.drop(link)
            return
        self._close_if_done(link)

    def _close_if_done(self, link: Link) -> None:
        """Close what has ended both ways."""
        if link.read_all and link.shut:
            self._forget(link)

    def drop(self, link: Link, *, told: bool = True) -> None:
        """End a connection by a reset, and tell the other end."""
        if told:
            self.say(b"R", link.number)
        if link.sock:
            link.sock.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
        self._forget(link)

    def _forget(self, link: Link) -> None:
        self.links.pop(link.number, None)
        if link.sock:
            if link.mask:
                self._all.unregister(link.fd)
            link.mask = 0
            del self.by_fd[link.fd]
            link.sock.close()
            link.sock = None
        self.closed()

    def closed(self) -> None:
        """Do what can be done when there is one connection less."""
