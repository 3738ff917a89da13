"""Hear the children until one of them is the command; give the go, and watch over it until it ends.

The go is given, and all after it done, without power but to signal the command: launch.py has let it go before.
"""

import posix
from select import POLLIN, poll
from time import monotonic

from ..channel import Channels
from ..errors import EntryError
from ..hardening import powerless
from . import client
from .journal import Journal
from .supervisor import ENDING, Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..plan import Plan

    Report = tuple[str, str]  # a word, and what follows it
    Undo = Callable[[], object]

START_TIMEOUT = 30.0  # seconds from the fork to execve; a frozen cgroup or a dead file system must not hang us


class Run:
    """Hold what the supervisor hears of: its children's words, signals, docker."""

    def __init__(self, session: Supervisor, channels: Channels) -> None:
        """Begin when the installer has been forked."""
        self.session, self._channels = session, channels
        self._early = b""  # signals that came before the command ran
        self.words = self._words(monotonic() + START_TIMEOUT)

    def _words(self, deadline: float) -> "Iterator[Report]":
        """Yield the children's lines until they hang up, which execve does for the command."""
        data, channel, wakeup, docker = b"", self._channels.words, self.session.wakeup, self.session.socket
        waiting = poll()
        for fd in (channel, wakeup, docker):
            if fd >= 0:
                waiting.register(fd, POLLIN)
        while True:
            ready = [fd for fd, _ in waiting.poll(max(0, int((deadline - monotonic()) * 1000)))]
            if wakeup in ready:
                self._early += _uncancelled(posix.read(wakeup, 4096))
            if docker in ready and client.gone(docker):
                raise EntryError("cancelled")
            if monotonic() >= deadline:  # also when somebody in the container makes that process talk without end
                raise EntryError(
                    "the command did not start within 30 seconds: is the container frozen or out of memory?"
                )
            if channel not in ready:
                continue
            chunk = posix.read(channel, 4096)
            if not chunk:
                return
            *lines, data = (data + chunk)[-8192:].split(b"\n")
            for line in lines:
                word, _, rest = line.decode("utf-8", "replace").partition(" ")
                yield word, rest

    def command(self, pid: int, plan: "Plan", journal: Journal, told: dict[str, str], undo: "Undo") -> int:
        """Have a process that is ready become the command; return its exit status. `undo` ends it where it does not."""
        try:
            journal.start({**told, "COMMAND_PID": str(pid)})
        except EntryError:
            undo()
            raise
        status = 125
        try:
            code = self._go(pid, plan, undo)
            status = 0 if plan["detach"] else self._watch(pid, journal, code)
        except EntryError as refusal:
            status = refusal.status
            raise
        finally:
            if not plan["detach"]:
                journal.end(status, *self.session.carried())
        return status

    def _go(self, pid: int, plan: "Plan", undo: "Undo") -> bytes:
        """Let the process execute, and tell a failure from the end of its words, which is the command's begin.

        Return the filter of the carrier that this process will be, which is written meanwhile.
        """
        try:
            if self.session.guardian:
                from . import guardian  # only where a label changes

                guardian.begin(pid, *self.session.guardian)
            self._channels.go()
            relay = {posix.getppid()} if self.session.helper else set()
            code = powerless.carriers(pid, relay, [recording.fd for recording in self.session.recordings])
            for report in self.words:
                from . import failures  # half a millisecond, which only a failure is worth

                raise failures.explain(report, {}, plan)
        except (EntryError, OSError):
            undo()
            raise
        return code

    def _watch(self, pid: int, journal: Journal, code: bytes) -> int:
        """Carry the command's bytes and signals until it ends."""
        session = self.session
        session.journal = journal
        powerless.confine(session.files(), code)
        session.begin(pid, self._early)
        return session.run()


def _uncancelled(numbers: bytes) -> bytes:
    """Refuse when a signal asks for the end: who stops the command's process must not keep us; keep the others."""
    for number in numbers:
        if number in ENDING:
            raise EntryError("cancelled", status=128 + number)
    return numbers
