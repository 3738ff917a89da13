"""Connect, in a container's network, to what --forward names: in the place of a command, and executing nothing.

It is forked and restricted as the command of an entry that joins only the network. It has no files, no capability but
its guard, and last of all a system call filter of its own. What it is sent over its standard input and output is
session/tunnel.py's; the other end is session/listener.py.
"""

import posix
from _signal import SIG_IGN, SIGINT, SIGPIPE, signal
from _socket import AF_UNIX, SO_ERROR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, socket
from select import POLLIN, POLLOUT
from time import monotonic

from .resolver import PATIENCE, Address, Files, Question, numeric
from .tunnel import Link, Tunnel, open_only, prompt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

EAGAIN, EINPROGRESS = 11, 115
QUEUE = 0.05  # seconds until a unix socket whose queue is full is tried again
UNKNOWN = "no such name in the container"


class Opening(Link):
    """Hold a connection that is not open yet: what is left to try."""

    addresses: "list[Address]"
    names: list[str]
    servers: "list[Address]"
    question: "Question | None" = None
    trying: "socket | None" = None
    waited = -1  # the descriptor of either
    until = 0.0  # when to go on without it
    port = 0
    name = ""
    reason = UNKNOWN


class Connector(Tunnel):
    """Hold the targets, and the connections that are not open yet."""

    def __init__(self, targets: list[str], files: Files, ended: int, tally: int) -> None:
        """Begin before anything is joined: `ended` can be read from when the container has stopped.

        `tally` is told at the end how many bytes were carried.
        """
        self.targets, self.files, self.target, self.tally = targets, files, ended, tally
        self.opening: dict[int, Opening] = {}

    def run(self) -> "NoReturn":
        """Serve until the other end hangs up, or the container stops; never return."""
        signal(SIGPIPE, SIG_IGN)
        signal(SIGINT, SIG_IGN)
        super().__init__(0, 1)
        open_only()
        self.watch_always(self.target)
        self.say(b"H")
        while not self.ended:
            others = self.turn(self._timeout())
            if self.target in others:
                self.say(b"X")
                break
            now = monotonic()
            for link in [*self.opening.values()]:
                if link.waited in others:
                    self._go_on(link)
                elif link.until and link.until <= now:
                    self._next(link)
        posix.write(self.tally, b"%d %d" % (self.given, self.taken))
        posix._exit(0)

    def _timeout(self) -> "int | None":
        times = [link.until - monotonic() for link in self.opening.values() if link.until]
        return max(0, int(min(times) * 1000) + 1) if times else None

    def act(self, letter: bytes, number: int, data: memoryview) -> None:
        """Open a connection, or act on one."""
        if letter == b"O":
            self._open(number, self.targets[int.from_bytes(data, "big")])
        else:
            super().act(letter, number, data)

    def drop(self, link: Link, *, told: bool = True) -> None:
        """End a connection, also one that is not open yet."""
        if self.opening.pop(link.number, None):
            assert isinstance(link, Opening)
            self._leave(link)
        super().drop(link, told=told)

    # --- opening ---------------------------------------------------------------------------------------------------

    def _open(self, number: int, target: str) -> None:
        """Begin to connect to a path, an address or a name."""
        link = self.opening[number] = Opening(number, None)
        self.add(link)
        host, _, port = target.rpartition(" ")
        link.port = int(port) if host else 0
        link.addresses = numeric(host) if host else [(AF_UNIX, target)]
        link.addresses = link.addresses or [*self.files.hosts.get(host.lower(), [])]
        link.names, link.servers = [] if link.addresses else self.files.names(host), []
        self._next(link)

    def _leave(self, link: Opening) -> None:
        """Wait for nothing more that would open it."""
        if link.waited >= 0:
            self.unwatch(link.waited)
        for each in (link.question, link.trying):
            if each:
                each.close()
        link.question = link.trying = None
        link.waited, link.until = -1, 0.0

    def _go_on(self, link: Opening) -> None:
        """Take an answer, or find out how an attempt has ended."""
        if link.trying:
            errno = link.trying.getsockopt(SOL_SOCKET, SO_ERROR)
            if errno:
                self._failed(link, errno)
            else:
                self._opened(link)
            return
        assert link.question
        try:
            if not link.question.hear():
                return
            link.addresses = link.question.found
        except OSError:  # ECONNREFUSED: no server there
            pass
        self._next(link)

    def _next(self, link: Opening) -> None:
        """Try the next address, or ask for more."""
        self._leave(link)
        if link.addresses:
            self._try(link, *link.addresses.pop(0))
        elif not self._ask(link):
            self.say(b"F", link.number, link.reason.encode())
            self.drop(link, told=False)

    def _ask(self, link: Opening) -> bool:
        """Ask the next name server, or all for the next name; False when there is none left."""
        while link.servers or link.names:
            if not link.servers:
                link.name, link.servers = link.names.pop(0), [*self.files.servers]
                continue
            try:
                link.question = Question(link.servers.pop(0), link.name)
            except (OSError, UnicodeError):  # ENETUNREACH: a container without a network; not a name at all
                continue
            self._wait(link, link.question.fd, POLLIN)
            link.until = monotonic() + PATIENCE
            return True
        return False

    def _try(self, link: Opening, family: int, host: str) -> None:
        """Begin to connect to an address."""
        try:
            link.trying = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
            errno = link.trying.connect_ex(host if family == AF_UNIX else (host, link.port))
        except OSError as problem:
            errno = problem.errno or 0
        if errno == EINPROGRESS and link.trying:
            self._wait(link, link.trying.fileno(), POLLOUT)
        elif errno == EAGAIN:
            self._leave(link)
            link.addresses, link.until = [(family, host)], monotonic() + QUEUE
        elif errno:
            self._failed(link, errno)
        else:
            self._opened(link)

    def _failed(self, link: Opening, errno: int) -> None:
        """Try another address; the first that was there at all says why none was."""
        if link.reason == UNKNOWN:
            link.reason = posix.strerror(errno)
        self._next(link)

    def _wait(self, link: Opening, fd: int, mask: int) -> None:
        link.waited = fd
        self.watch(fd, mask)

    def _opened(self, link: Opening) -> None:
        """Carry it from now on."""
        sock, link.trying = link.trying, None
        assert sock
        self._leave(link)
        del self.opening[link.number]
        prompt(sock)
        self.connected(link, sock)
