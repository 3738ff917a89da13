"""Watch over the running command without power: carry its bytes and signals, give back its exit status."""

import _signal
import posix
import sys
from select import POLLIN, POLLOUT, poll
from time import monotonic

from .. import errors
from ..errors import EntryError, say
from ..linux import signals
from . import client, pumps
from .status import exit_status
from .terminal import VINTR, VQUIT, VSUSP, Terminal, set_window_size, window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from sys import UnraisableHookArgs

    from ..tracing.tracer import Tracer
    from .journal import Journal
    from .recording import Recording

FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGUSR1, _signal.SIGUSR2)
ENDING = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT)
GRACE = 5.0  # seconds between SIGTERM and SIGKILL when the client is gone
PATIENCE = 1.0  # seconds that who was told to end has: a command that had been stopped, a slow reader
KEY = 1.0  # seconds between the key for it and a stop that it explains
COMPANY = 0.1  # seconds between docker's goodbye and the signal that caused it, which comes to us as well
LAST = 0.2  # seconds in which a container's first process ends behind all others
GLANCE = 0.3  # seconds between looks at a terminal that is another job's: bash's fg sends no signal to what runs


class Supervisor:
    """Hold the running entry: the command's pid, the pumps, the caller's terminal, the signals that came."""

    tracer: "Tracer | None" = None  # for --why
    tally = -1  # of what connects for --forward: tells at the end what it has carried
    first = -1  # a pidfd of the container's first process, to name its end among many
    guardian: "tuple[tuple[int, int, int], str] | None" = None  # where one is needed: our words' place, its title
    journal: "Journal | None" = None
    recordings: "tuple[Recording, ...]" = ()

    def __init__(
        self, flows: "list[tuple[str, int, int, int]]", master: int, socket: int, *, tty: bool, helper: bool
    ) -> None:
        """Begin before the command runs: from here on a signal is noted, not acted on.

        `flows` says what is to be carried (pumps.begin), `master` is the command's terminal, `socket` the docker CLI's
        plugin socket; each may be -1. In a `helper` the relay stands for docker.
        """
        self.master, self.socket = master, socket
        self.tty, self.helper = tty, helper
        self.terminal = Terminal(0)
        self.pumps = pumps.begin(flows)
        self.pid = 0
        self.status: int | None = None
        self.deadline = self.leaving = self.patience = 0.0
        self._killed = False
        self._told = 0  # the signal of who wants us to end
        self._stopped = self._suspended = False  # the command, by whomever; all of the job, by ^Z
        self._key = self._asked = float("-inf")  # when ^Z was typed, and when a signal asked the command to end
        self._docker = posix.getppid()
        for pump in self.pumps:
            pump.notice = self._typed if pump.source == 0 else None
        self.wakeup, self._writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (*FORWARDED, _signal.SIGCHLD, _signal.SIGWINCH, _signal.SIGTSTP, _signal.SIGCONT):
            if _signal.getsignal(number) != _signal.SIG_IGN or number in (_signal.SIGCHLD, _signal.SIGTSTP):
                _signal.signal(number, _noted)
        for number in (_signal.SIGTTOU, _signal.SIGPIPE):
            _signal.signal(number, _signal.SIG_IGN)

    def record(self, recordings: "list[Recording]") -> None:
        """Show what the command writes to these; what they have to see is copied, not spliced."""
        self.recordings = tuple(recordings)
        for pump in self.pumps if recordings else ():
            if pump.source != 0:
                pump.notice, pump.splicing = self._shown, False

    def begin(self, pid: int, early: bytes) -> None:
        """Take over the command that runs now; `early` are the signals that came before."""
        self.pid = pid
        posix.write(self._writer, bytes((*early, _signal.SIGCHLD)))  # who ended before we listened is reaped at once
        signals.in_turn()

    def run(self) -> int:
        """Wait for the command's end and return its exit status."""
        self._unraisable = sys.unraisablehook
        sys.unraisablehook = self._lost
        try:
            self._loop()
        finally:
            self.terminal.restore()
            for recording in self.recordings:
                recording.end(125 if self.status is None else exit_status(self.status))
        assert self.status is not None
        if self.tracer:
            self.tracer.report(failed=self.status != 0)
        if errors.reports != 2 and self.status == _signal.SIGKILL and self._ended():
            say("the container ended while the command ran", errors.reports)
        return exit_status(self.status)

    def _lost(self, told: "UnraisableHookArgs") -> None:
        """Give the terminal back before what a clean-up raised ends this process at once."""
        self.terminal.restore()
        self._unraisable(told)

    def _ended(self) -> bool:
        """Tell whether it was the end of the container that killed the command: its first process goes last."""
        first = poll()
        first.register(self.first, POLLIN)
        return bool(first.poll(int(LAST * 1000)))

    def files(self) -> set[int]:
        """List the descriptors that are needed from now on."""
        carried = {fd for pump in self.pumps for fd in pump.files()}
        own = {self.socket, self.wakeup, self._writer, self.master, errors.reports, self.first, self.tally}
        told = {recording.fd for recording in self.recordings} | (self.journal.files() if self.journal else set())
        return carried | own | told | ({self.tracer.reader} if self.tracer else set())

    def carried(self) -> tuple[int, int]:
        """Count the bytes that the command was given, and those that it wrote; -1 where nobody knows."""
        if self.tally >= 0:
            try:
                into, out = map(int, posix.read(self.tally, 64).split())
            except (BlockingIOError, ValueError):  # it was killed
                return -1, -1
            return into, out
        given = sum(pump.moved for pump in self.pumps if pump.source == 0)
        return given, sum(pump.moved for pump in self.pumps) - given

    # --- while the command runs -----------------------------------------------------------------------------------

    def _loop(self) -> None:
        """Carry bytes and signals until the command ends."""
        self._resize()
        try:
            while self.status is None or self._suspended or self._flushing():
                self._turn()
        finally:
            for pump in self.pumps:
                _carried(pump.end, pump)

    def _turn(self) -> None:
        """Wait for anything, and act on it."""
        waiting = poll()
        for fd, mask in self._interests().items():
            waiting.register(fd, mask)
        ready = dict(waiting.poll(self._timeout()))
        if self.wakeup in ready:
            self._signals()
        if self.socket in ready and client.gone(self.socket):
            self._left_alone()
        if self.journal and self.journal.fd in ready:
            self.journal.go_on()
        self._on_time()
        for pump in self._active():
            if pumps.ready(pump, ready) and not _carried(pump.carry, pump):
                self._finish(pump)

    def _flushing(self) -> bool:
        """Carry what the ended command wrote; tell whether its reader is waited for."""
        for pump in [pump for pump in self.pumps if pump.active]:
            pump.last()
            while pump.active and not pump.waits():
                if not _carried(pump.carry, pump):
                    self._finish(pump)
        waits = any(pump.active for pump in self.pumps)
        if waits and self._told and monotonic() >= self.deadline:  # output is lost, and the status says by what
            self.status, waits = self._told, False
        return waits

    def _active(self) -> "list[pumps.Pump]":
        """List the pumps that may be carried now: none of a stopped job, nothing from a terminal that is another's."""
        if self._suspended:
            return []
        ours = self.terminal.ours()
        if ours and self.tty:
            self._take_terminal()
        return [pump for pump in self.pumps if pump.active and (ours or pump.source != 0)]

    def _interests(self) -> dict[int, int]:
        """Say what to wait for."""
        wanted = {self.wakeup: POLLIN}
        if self.socket >= 0:
            wanted[self.socket] = POLLIN
        if self.journal and self.journal.waits():
            wanted[self.journal.fd] = POLLOUT
        for pump in self._active():
            fd, mask = pump.interest()
            wanted[fd] = wanted.get(fd, 0) | mask
        return wanted

    def _timeout(self) -> "int | None":
        """Say for how many milliseconds to wait at most."""
        times = [time - monotonic() for time in (self.deadline, self.leaving, self.patience) if time]
        if not self._suspended and not self.terminal.ours():
            times.append(GLANCE)
        return max(0, int(min(times) * 1000) + 1) if times else None

    def _on_time(self) -> None:
        """Do what was put off, when its time has come."""
        now = monotonic()
        if self.leaving and now >= self.leaving:
            self._end()
        if self.patience and now >= self.patience:
            self.patience = 0.0
            if self._stopped:
                self._send(_signal.SIGKILL)
        if self.deadline and now >= self.deadline and self.status is None:
            self._force()

    def _finish(self, pump: pumps.Pump) -> None:
        """Pass the end of a stream on."""
        if pump.source == 0 and not self.terminal.ours():  # EIO: it became another job's a moment ago
            return
        pump.close()
        if pump.sink == self.master and posix.isatty(0):
            self._end()  # the terminal has hung up

    # --- signals, stops, the end -----------------------------------------------------------------------------------

    def _signals(self) -> None:
        """Act on the signals that came since the last look."""
        for number in posix.read(self.wakeup, 4096):
            if number == _signal.SIGWINCH:
                self._resize()
            elif number == _signal.SIGTSTP:
                self._suspend()
            elif number == _signal.SIGCONT:
                self._resume()
            elif number in FORWARDED:
                if number in ENDING:
                    self._tell(number)
                if number == _signal.SIGHUP and posix.isatty(0) is False and self.tty:
                    self._end()
                self._send(number)
                if number in ENDING:
                    self._ask()
        self._reap()

    def _send(self, number: int) -> None:
        """Signal the command's process group, which is its own session's; a zombie still keeps the number."""
        if self.pid and self.status is None:
            try:
                posix.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):
                posix.kill(self.pid, number)

    def _tell(self, number: int) -> None:
        """Note that somebody wants us to end: at once, when only a slow reader is waited for."""
        if self.status is not None:
            self.deadline = monotonic()
        self._told = number

    def _ask(self) -> None:
        """See that a signal which asks the command to end is heard, though somebody stopped the command."""
        self._asked = monotonic()
        if self.leaving:  # docker left because of this signal; another one at once would change the exit status
            self.leaving = self._asked + PATIENCE
        if self._stopped:
            self._send(_signal.SIGCONT)
            self.patience = self.patience or self._asked + PATIENCE

    def _left_alone(self) -> None:
        """Docker has hung up: it is dead, or a signal that came to it has yet to come to us or has come already."""
        posix.close(self.socket)
        self.socket = -1
        now = monotonic()
        asked = now - self._asked < COMPANY
        if asked or posix.getppid() == self._docker:
            self.leaving = now + (PATIENCE if asked else COMPANY)
        else:
            self._end()

    def _end(self) -> None:
        """Ask the command to end: the client is gone. SIGKILL follows after a grace."""
        self.leaving = 0.0
        self._tell(_signal.SIGHUP)
        if not self.deadline:
            self.terminal.restore()  # first of all: the caller's shell is about to prompt
            self._suspended = False
            self._send(_signal.SIGHUP if self.tty else _signal.SIGTERM)
            self._ask()
            self._send(_signal.SIGCONT)
            self.deadline = monotonic() + GRACE

    def _force(self) -> None:
        """Kill; and end without the command when even that has to wait, until docker unpause."""
        self._send(_signal.SIGKILL)
        self.deadline = monotonic() + GRACE
        if self._killed:
            self.status = _signal.SIGKILL
        self._killed = True

    def _reap(self) -> None:
        """Collect children: the command's end or stop, and orphans that came to us as subreaper."""
        while True:
            try:
                pid, status = posix.waitpid(-1, posix.WNOHANG | posix.WUNTRACED | posix.WCONTINUED)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid != self.pid:
                continue
            if posix.WIFSTOPPED(status) or posix.WIFCONTINUED(status):
                self._stopped = posix.WIFSTOPPED(status)
                if self._stopped:
                    self._stopped_now()
            else:
                self.status = status
                self.deadline = monotonic() + PATIENCE if self._told else 0.0
                return

    def _stopped_now(self) -> None:
        """Stop as the command did if that was the caller's wish; whoever else stops it must not stop us, who reap."""
        now = monotonic()
        if now - self._key < KEY:
            self._suspend(job=True)
        elif now - self._asked < PATIENCE:
            self._ask()

    def _shown(self, data: bytes) -> None:
        """Record what the command wrote."""
        for recording in self.recordings:
            recording.shown(data)

    def _typed(self, data: bytes) -> None:
        """Look at keys on their way to the command: ^Z explains a stop, and a stopped one can't hear ^C."""
        for recording in self.recordings:
            recording.typed(data)
        if self.terminal.key(data, VSUSP):
            self._key = monotonic()
            if self._stopped:
                self._suspend(job=True)
        elif self._stopped and self.terminal.key(data, VINTR, VQUIT):
            self._ask()

    def _suspend(self, *, job: bool = False) -> None:
        """Have the command stopped until SIGCONT, and with `job` what the caller's shell watches; reap on.

        In a helper the relay tells the client, whose job it is. In an orphaned group nobody would continue us.
        """
        if self._suspended or not (self.helper or self.terminal.has_jobs()):
            return
        self._suspended = True
        self._key = float("-inf")
        self.terminal.restore()
        self._send(_signal.SIGSTOP)
        if self.helper:
            posix.kill(posix.getppid(), _signal.SIGUSR1)
        else:
            self.terminal.stop_job(others=job)

    def _resume(self) -> None:
        """Go on after a stop."""
        self._suspended = False
        self._send(_signal.SIGCONT)
        if self.tty:
            self._take_terminal()

    def _take_terminal(self) -> None:
        """Have every key pass, now or once the terminal is our job's."""
        if not self.deadline and self.terminal.raw():
            self._resize()

    def _resize(self) -> None:
        """Give the command's terminal the size of the caller's."""
        if self.master >= 0:
            size = window_size()
            if size:
                set_window_size(self.master, size)
                for recording in self.recordings:
                    recording.resized(size)


def _noted(number: int, frame: object) -> None:
    """Do nothing: the wake-up descriptor carries the number."""


def _carried(act: "Callable[[], bool | None]", pump: pumps.Pump) -> "bool | None":
    """Carry, and say of which stream an error is: a full disk, a file system that is gone."""
    try:
        return act()
    except OSError as problem:
        name = "input" if pump.source == 0 else "output"
        raise EntryError(f"cannot copy the command's {name}: {problem.strerror}") from problem
