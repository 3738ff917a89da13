"""Reach a container's ports and sockets from here, until ^C or for as long as a command runs: --forward.

The process that listens is the caller's and has no power (enter/session/listener.py). It starts an entry of its own,
by whichever route, in which enter/session/connector.py stands in a command's place. Two pipes are between them.
"""

import errno
import os
import posix
import stat
from contextlib import suppress
from select import POLLIN, poll
from socket import (
    AF_INET6,
    AF_UNIX,
    AI_PASSIVE,
    SO_REUSEADDR,
    SOCK_STREAM,
    SOL_SOCKET,
    getaddrinfo,
    socket,
)

from ..cli.grammar import DEFAULTS
from ..cli.request import Request
from ..engine import endpoints
from ..enter.hardening import exeseal
from ..enter.linux import syscalls
from ..enter.session.client import connect
from ..enter.session.listener import Listener
from ..errors import CliError, printable
from ..planning.planned import Planned
from ..routes.plugin_socket import docker_socket
from . import dry_run, enter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from ..cli.forwards import Forward

    Ending = Callable[[Callable[[], int]], NoReturn]

BACKLOG = 128
IPPROTO_IPV6, IPV6_V6ONLY = 41, 26
WHOSE_END = b"DOCKER_CLI_PLUGIN_SOCKET"  # names what an entry hears of docker's end by


def act(request: Request, options: endpoints.Globals, end: "Ending") -> int:
    """Listen, enter, and carry; run the command meanwhile, if there is one. `end` acts, and ends the process."""
    connecting = _plan(request, options)
    if request.dry_run:
        return dry_run.show(enter.plan(request, options) if request.command else _shown(connecting, request))
    command = enter.plan(request, options) if request.command else None
    listening = Listening(request.forward)
    forwarding = Forwarding(connecting, listening, end)
    if command is None:
        listening.tidy()
        return forwarding.run(connect(docker_socket()), lambda: listening.say(1, request.container))
    heard, ready = os.pipe()
    us = syscalls.pidfd_open(os.getpid())
    child = os.fork()
    if not child:
        os.setsid()  # the terminal's keys are the command's
        listening.tidy()
        end(lambda: forwarding.run(us, lambda: os.write(ready, b"r"), ready))
    for fd in (ready, us):
        os.close(fd)
    if not os.read(heard, 1):
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(heard)
    listening.say(2, request.container)
    listening.close()
    return enter.enter(command)


def _plan(request: Request, options: endpoints.Globals) -> Planned:
    """Plan the entry that connects: only the network, and nothing held; with the container's files for a socket's."""
    files = any(each.names_a_file() for each in request.forward)
    values = {
        **DEFAULTS,
        "tty": False,
        "interactive": True,
        "security_opt": ["no-new-privileges"],
        "join_cgroup": False,
    }
    values |= {name: request.values[name] for name in ("at_start", "route", "helper_image", "dry_run")}
    if files:
        values |= {"userns": True, "mount": True, "net": True, "user": request.user}
    else:
        values |= {"net_only": True, "cap_drop": ["ALL"]}
    words = ["--forward", *(each.word for each in request.forward)]
    wanted = Request(values, request.container, words)
    wanted.debug, wanted.format, wanted.verbose = request.debug, request.format, request.verbose
    planned = enter.plan(wanted, options)
    plan = planned.plan
    plan["connect"] = [each.target() for each in request.forward]
    plan["limits"], plan["mounts"], plan["directory"] = False, [], "/"
    plan["environment"] = {"base": "given", "set": []}
    plan["apparmor"], plan["selinux"] = "unconfined", ""  # what changes with a program; none is executed
    plan["typed"] = {"words": [], "options": 0, "container": 0}  # a hint would change the command's entry
    return planned


def _shown(connecting: Planned, request: Request) -> Planned:
    """Show what was typed beside the Plan, and not the options by which that was made."""
    return Planned(request, connecting.container, connecting.endpoint, connecting.plan, connecting.why)


class Listening:
    """Hold the sockets that listen, by the caller's own rights."""

    def __init__(self, forwards: "list[Forward]") -> None:
        """Begin to listen everywhere, or nowhere."""
        self.forwards = forwards
        self.sockets: list[tuple[socket, int]] = []  # and which target each leads to
        self.places: list[tuple[str, int]] = []
        self.files: dict[str, tuple[int, int]] = {}  # the unix sockets' names, and what they name
        for number, each in enumerate(forwards):
            try:
                self._listen(each, number)
            except (OSError, UnicodeError) as problem:
                self.remove()
                place = f"{each.bind}:{each.port}" if each.port else each.bind
                reason = getattr(problem, "strerror", None) or str(problem)
                raise CliError(f"cannot listen at {place}: {reason[:1].lower()}{reason[1:]}") from None

    def _listen(self, forward: "Forward", number: int) -> None:
        if not forward.port:
            self._add(AF_UNIX, os.path.abspath(forward.bind), number)
            return
        host = None if forward.bind == "*" else forward.bind
        found = getaddrinfo(host, int(forward.port), type=SOCK_STREAM, flags=AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            self._add(family, address, number)

    def _add(self, family: int, address: "str | tuple[object, ...]", number: int) -> None:
        sock = socket(family, SOCK_STREAM)
        self.sockets.append((sock, number))
        sock.setblocking(False)
        if family == AF_UNIX:
            assert isinstance(address, str)
            _remove_stale(address)
            before = os.umask(0o177)  # as ssh: for the caller alone
            try:
                sock.bind(address)
            finally:
                os.umask(before)
            found = os.stat(address)
            self.files[address] = found.st_ino, found.st_dev
        else:
            sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            if family == AF_INET6:
                sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
            sock.bind(address)
        sock.listen(BACKLOG)
        name = sock.getsockname()
        host = name if family == AF_UNIX else f"[{name[0]}]" if family == AF_INET6 else name[0]
        self.places.append((host if family == AF_UNIX else f"{host}:{name[1]}", number))

    def say(self, fd: int, container: str) -> None:
        """Say from where to where, each in a line; in standard error only what nobody knows yet."""
        for place, number in self.places:
            forward = self.forwards[number]
            if fd == 1 or forward.port == "0":
                text = f"{'docker nsenter: ' if fd == 2 else ''}{place} leads to {forward.shown()} in {container}"
                os.write(fd, f"{printable(text)}\n".encode("utf-8", "replace"))

    def close(self) -> None:
        """Leave them to the process that listens."""
        for sock, _ in self.sockets:
            sock.close()

    def remove(self) -> None:
        """Remove the unix sockets' names, if they still are ours."""
        for name, which in self.files.items():
            with suppress(OSError):
                found = os.lstat(name)
                if (found.st_ino, found.st_dev) == which:
                    os.unlink(name)

    def tidy(self) -> None:
        """Leave a process behind that removes the names when this one has ended, which by then can't itself."""
        if not self.files:
            return
        ours = syscalls.pidfd_open(os.getpid())
        if os.fork():
            os.close(ours)
            return
        os.setsid()
        for number in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), number)
        self.close()
        waiting = poll()
        waiting.register(ours, POLLIN)
        waiting.poll()
        self.remove()
        os._exit(0)


def _remove_stale(path: str) -> None:
    """Remove a socket of the caller's at which nobody listens any more."""
    with suppress(FileNotFoundError):
        found = os.lstat(path)
        if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid():
            with socket(AF_UNIX, SOCK_STREAM) as probe:
                probe.setblocking(False)
                if probe.connect_ex(path) == errno.ECONNREFUSED:
                    os.unlink(path)


class Forwarding:
    """Hold what is needed to enter and to listen."""

    def __init__(self, connecting: Planned, listening: Listening, end: "Ending") -> None:
        """Take it."""
        self.connecting, self.listening, self.end = connecting, listening, end

    def run(self, company: int, ready: "Callable[[], object]", also: int = 1) -> int:
        """Enter in a child, and listen until nobody waits for it; return the exit status.

        `ready` is called once it carries, and writes to `also`.
        """
        pipes = down, up, alive = os.pipe(), os.pipe(), os.pipe()
        entered = os.fork()
        if not entered:
            self._enter(*pipes)
        for fd in (down[0], up[1], alive[0]):
            os.close(fd)
        exeseal.entitle(exeseal.words(), f"docker-nsenter: {self.connecting.container.name} (listener)")
        sockets = [(sock.detach(), number) for sock, number in self.listening.sockets]
        names = [each.shown() for each in self.listening.forwards]
        listener = Listener((up[0], down[1], alive[1]), sockets, names, entered, company)
        try:
            listener.files.add(also)
            return listener.run(ready)
        except ValueError as problem:
            raise CliError(f"the process that connects in the container sent {problem}") from None

    def _enter(self, down: tuple[int, int], up: tuple[int, int], alive: tuple[int, int]) -> "NoReturn":
        """Be the entry, for whom the process that listens is what docker is for another."""
        os.setsid()  # the terminal's keys are for that one
        os.dup2(down[0], 0)
        os.dup2(up[1], 1)
        self.listening.close()
        for fd in (*down, *up, alive[1]):
            os.close(fd)
        os.set_inheritable(alive[0], True)
        posix.environ[WHOSE_END] = b"fd:%d" % alive[0]
        self.end(lambda: enter.enter(self.connecting))
