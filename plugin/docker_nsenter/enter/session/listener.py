"""Listen for --forward on the caller's machine, as the caller and without power: the other end of session/connector.py.

It holds the listening sockets, two pipes to the process that entered, and nothing to open anything else with.
"""

import posix
from _signal import SIG_IGN, SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, getsignal, set_wakeup_fd, signal
from _socket import socket
from select import POLLIN, poll
from time import monotonic

from ..errors import printable, say
from . import client
from .status import exit_status
from .tunnel import MOST, Link, Tunnel, prompt, take_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ENDING = (SIGINT, SIGTERM, SIGHUP, SIGQUIT)
COMPANY = 0.1  # seconds between docker's goodbye and the signal that caused it
HALF = 30.0  # seconds after which a connection that its client has closed makes room for another
PATIENCE = 8.0  # seconds that the process that entered has to end; a supervisor kills after five
REFUSED, STOPPED = 125, 137  # as a command's that the container's end kills


class Listener(Tunnel):
    """Hold the listening sockets, and number the connections."""

    def __init__(
        self,
        pipes: tuple[int, int, int],
        sockets: "list[tuple[int, int]]",
        names: list[str],
        entered: int,
        company: int,
    ) -> None:
        """Begin with (a listening socket's descriptor, the number of its target), and what the targets are called.

        `entered` is the process at the other end of the pipes, a child, which the third one of them tells of our end.
        `company` can be read from when nobody waits for us any more; it may be -1.
        """
        super().__init__(*pipes[:2])
        self.listening = {fd: (socket(fileno=fd), target) for fd, target in sockets}
        self.names = names
        self.entered, self.company = entered, company
        self.runs = self.stopped = self.open = False
        self.last = self.told = 0  # the last connection's number; the signal that asks for the end
        self.said: dict[int, bytes] = {}  # by target: why it could not be reached last
        self.wakeup, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        set_wakeup_fd(writer, warn_on_full_buffer=False)
        self.files = {*pipes, *self.listening, company, self.wakeup, writer}
        for number in (*ENDING, SIGCHLD):
            if getsignal(number) != SIG_IGN or number == SIGCHLD:
                signal(number, lambda *_: None)
        signal(SIGPIPE, SIG_IGN)

    def run(self, ready: "Callable[[], object]") -> int:
        """Carry until nobody wants it any more or the container stops; `ready` is called once the other end runs."""
        take_only(self.files)
        for fd in {self.wakeup, self.company} - {-1}:
            self.watch_always(fd)
        leaving = 0.0
        while not (self.told or self.stopped or self.ended):
            others = self.turn(int(COMPANY * 1000) if leaving else None)
            if self.runs and not self.open:
                self._listen()
                ready()
            if self.wakeup in others:
                self._signals()
            if self.company in others and client.gone(self.company):
                self.unwatch_always(self.company)
                leaving = monotonic() + COMPANY
            if leaving and monotonic() >= leaving:
                self.told = self.told or SIGHUP
            for fd in others & {*self.listening}:
                self._accept(fd)
        return self._end()

    def _signals(self) -> None:
        for number in posix.read(self.wakeup, 4096):
            if number in ENDING:
                self.told = number

    def act(self, letter: bytes, number: int, data: memoryview) -> None:
        """Act on what the other end says of itself, or of a connection."""
        if letter == b"H":
            self.runs = True
        elif letter == b"X":
            self.stopped = True
        else:
            link = self.links.get(number)
            if letter == b"F" and link:
                self._explain(link.target, bytes(data[:200]))
            super().act(letter, number, data)

    def _explain(self, target: int, reason: bytes) -> None:
        """Say why a target can't be reached: once, until it is for another reason."""
        if self.said.get(target) != reason:
            self.said[target] = reason
            text = printable(reason.decode("utf-8", "replace"))
            say(f"cannot reach {self.names[target]}: {text[:1].lower()}{text[1:]}")

    # --- connections -----------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take connections as long as there is room."""
        self.open = True
        for fd in self.listening:
            self.watch(fd)

    def _accept(self, fd: int) -> None:
        """Take the next connection, unless too many are open."""
        if len(self.links) >= MOST and not self._make_room():
            for each in self.listening if self.open else ():
                self.unwatch(each)
            self.open = False
            return
        listening, target = self.listening[fd]
        try:
            sock = socket(fileno=listening._accept()[0])  # type: ignore[attr-defined]
        except OSError:  # EAGAIN, ECONNABORTED: it left; EMFILE: later
            return
        sock.setblocking(False)
        prompt(sock)
        self.last += 1
        link = Link(self.last, sock)
        link.target = target
        self.say(b"O", link.number, target.to_bytes(2, "big"))
        self.add(link)

    def _make_room(self) -> bool:
        """End the connection whose client has been gone for longest, if that is long: its server may never close it."""
        gone = min((link for link in self.links.values() if link.half), key=lambda link: link.half, default=None)
        if not gone or monotonic() - gone.half < HALF:
            return False
        self.drop(gone)
        return True

    def closed(self) -> None:
        """Take connections again."""
        if self.runs and not self.open:
            self._listen()

    # --- the end ---------------------------------------------------------------------------------------------------

    def _end(self) -> int:
        """Close everything, wait for who entered, and say how it was."""
        self.runs = False
        for link in [*self.links.values()]:
            self.drop(link, told=False)
        for fd in {*self.listening, self.sink, self.source}:
            posix.close(fd)
        status = self._entered()
        if self.told:
            return 128 + self.told
        if self.stopped:
            say("the container has stopped")
            return STOPPED
        if status != REFUSED:  # or it has said why
            say("the process that connects in the container has ended")
        return REFUSED

    def _entered(self) -> int:
        """Wait for the process that entered, but not for ever; return its exit status."""
        until = monotonic() + PATIENCE
        waiting = poll()
        waiting.register(self.wakeup, POLLIN)
        while (left := until - monotonic()) > 0:
            pid, status = posix.waitpid(self.entered, posix.WNOHANG)
            if pid:
                return exit_status(status)
            if waiting.poll(int(left * 1000) + 1) and self.told in posix.read(self.wakeup, 4096):
                break  # asked once more: the engine may hang
        return 0
