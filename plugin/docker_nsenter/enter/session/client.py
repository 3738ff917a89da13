"""Hear that docker, for whom all this is done, is gone."""

import posix
import sys
from _signal import SIGKILL
from select import POLLIN, poll

from .. import errors
from ..errors import EntryError
from ..linux import syscalls
from ..linux.procfs import read_all
from ..start import SEVERAL

LARGEST_PLAN = 64 << 20


def connect(name: str) -> int:
    """Connect to the socket whose end means that docker is gone or wants us to end; -1 when there is none.

    `parent` asks for a pidfd of docker itself instead, which can be read from when that has ended; `fd:N` is open, and
    with `fd:N,M` so is what Refusals are written to.
    Before any namespace is joined: an abstract name lives in the network namespace. A stale name is passed over.
    """
    if not name:
        return -1
    if name == "parent":
        return syscalls.pidfd_open(posix.getppid())
    if name.startswith("fd:"):
        return descriptors(name)[0]
    path = "\0" + name[1:] if name.startswith("@") else name + "\0"
    connection = syscalls.socket(syscalls.AF_UNIX, syscalls.SOCK_STREAM | syscalls.SOCK_CLOEXEC, 0)
    try:
        family = syscalls.AF_UNIX.to_bytes(2, sys.byteorder)
        syscalls.connect(connection, family + path.encode("utf-8", "surrogateescape"))
    except OSError:
        posix.close(connection)
        return -1
    return connection


def descriptors(name: str) -> list[int]:
    """List what a name of open descriptors names; the second is where Refusals go."""
    numbers = [int(word) for word in name[3:].split(",")] if name.startswith("fd:") else []
    if numbers[1:]:
        errors.reports = numbers[1]
    return numbers


def gone(connection: int) -> bool:
    """Tell whether docker closed a connection that can be read from; bytes mean nothing."""
    try:
        return not posix.read(connection, 4096)
    except BlockingIOError:
        return False
    except OSError as problem:
        if problem.errno in (syscalls.ECONNRESET, syscalls.EINVAL):  # EINVAL: a pidfd, readable because docker ended
            return True
        raise


def receive(plan_fd: int, connection: int, planner: int, parent: int) -> bytes:
    """Read the Plan, which a pull may delay by minutes; EntryError once docker is gone: nobody waits for the command.

    Of a document of several no more than its letter.

    Docker, the process `parent`, may have ended before there was a connection.
    """
    waiting = poll()
    for fd in (plan_fd, connection):
        if fd >= 0:
            waiting.register(fd, POLLIN)
    ended = parent not in (0, posix.getppid())
    while not ended and plan_fd not in (ready := [fd for fd, _ in waiting.poll()]):
        ended = connection in ready and gone(connection)
    if ended:
        if planner:
            posix.kill(planner, SIGKILL)
        raise EntryError("cancelled")
    first = posix.read(plan_fd, 1)
    return first if first == SEVERAL else first + read_all(plan_fd, LARGEST_PLAN)
