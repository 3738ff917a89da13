"""Enter many containers from one start: a process for each entry, some at a time, and one without power for the output.

This process forks the entries, and hears of them how they ended. What a container says goes from its entry through a
pipe to the collector (session/collector.py), which holds no power from the first entry on; this one none but to signal
after the last. An entry is what it is for one container, with a Plan and a supervisor of its own.
"""

import _signal
import posix
from select import POLLIN, poll
from time import monotonic

from . import errors, jsonlite
from .document import Document
from .errors import EntryError
from .hardening import powerless, secure_path
from .linux import signals, syscalls
from .session import client, collector
from .session.terminal import Terminal
from .start import Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

MOST_AT_ONCE = 100  # three pipes each: a process may have 1024 files
PASSED_ON = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGUSR1, _signal.SIGUSR2)
ENDING = PASSED_ON[:4]
COMPANY = 0.1  # seconds between docker's goodbye and the signal that caused it
PATIENCE = 1.0  # seconds that commands have which were told to end, and a slow reader then
LONGEST = 12.0  # seconds until what was asked to end is killed; each supervisor does so after five
FIELDS = {"parallel": int, "fail_fast": bool, "json": bool}  # of the head


def each(start: Start, docker: int) -> tuple[bytes, int]:
    """Fork a process per Plan, and return in each of those alone: its Plan, and what tells that we are gone.

    The document is read from where its letter has come from.
    """
    if start.host_mounts < 0:  # who may start a helper is root of the engine's machine by that already
        secure_path.check()
    document = Document(start.plan_fd)
    return Conductor(validate(jsonlite.loads(document.head())), document, start, docker).run()


def validate(head: object) -> "dict[str, Any]":
    """Return the head, or refuse one that is none."""
    if not collector.fits(head, FIELDS) or not 0 < head["parallel"] <= MOST_AT_ONCE:  # type: ignore[index]
        raise EntryError("the plan for several containers does not fit them")
    return head  # type: ignore[return-value]


class Conductor:
    """Hold the running entries by process, the slots that they write through, and the process that collects."""

    def __init__(self, head: "dict[str, Any]", document: Document, start: Start, docker: int) -> None:
        """Make the pipes and fork the collector; `docker` is the connection to it, or -1."""
        self.document, self.start, self.docker = document, start, docker
        self.fail_fast: bool = head["fail_fast"]
        self.next = 0
        self.running: dict[int, tuple[int, int, float]] = {}  # process: slot, which Plan, since when
        self.told = self.failed = self.worst = 0  # the signal that asks for the end; --fail-fast's; the collector's
        self.ending = self.dropped = self.left = False
        self.asked = self.deadline = 0.0  # when to ask what runs to end, and when to kill it
        self.alive, self.lifeline = posix.pipe2(posix.O_CLOEXEC)
        slots = [collector.Slot(as_json=head["json"]) for _ in range(min(head["parallel"], document.plans))]
        self.slots = [slot.writers for slot in slots]
        self.free = list(range(len(slots)))[::-1]
        control, self.control = posix.pipe2(posix.O_CLOEXEC)
        self.acks, acks = posix.pipe2(posix.O_CLOEXEC)
        powerless.common()
        self.collector = posix.fork()
        if not self.collector:
            shown = collector.validate(jsonlite.loads(document.shown()), document.plans)
            collector.Collector({**head, **shown}, slots, control, acks).run()
        self.group = self.collector
        self._in_group(self.group, self.group)
        for fd in {control, acks, *(fd for slot in slots for fd in slot.readers)}:
            posix.close(fd)
        self.terminal = Terminal(0)
        self.wakeup, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self.files = {self.wakeup, writer, self.lifeline, self.control, self.acks, docker}
        _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self.ignored = {number for number in PASSED_ON if _signal.getsignal(number) == _signal.SIG_IGN}
        for number in {*PASSED_ON, _signal.SIGCHLD, _signal.SIGTSTP, _signal.SIGCONT} - self.ignored:
            _signal.signal(number, lambda *_: None)

    def run(self) -> tuple[bytes, int]:
        """Start what may run, and wait; end with the worst status, and return in what was started."""
        while True:
            while self.free and self.next < self.document.plans and not self.ending:
                if not self._start():
                    return self._become(*self.now)
            if not self.running and (self.ending or self.next == self.document.plans):
                self._end()
            self._drop()
            self._turn()

    # --- starting -----------------------------------------------------------------------------------------------

    def _start(self) -> int:
        """Fork the process for the next Plan into a free slot; all of them are one group, the collector's."""
        slot, index = self.now = self.free.pop(), self.next
        self.next += 1
        self._say(b"S", slot, index)
        pid = posix.fork()
        if pid:
            self._in_group(pid, self.group)
            self.running[pid] = (slot, index, monotonic())
        return pid

    def _become(self, slot: int, index: int) -> tuple[bytes, int]:
        """Be the process of one entry, with standard descriptors as from a caller, and nothing of the others'."""
        _signal.set_wakeup_fd(-1)
        for number in {*PASSED_ON, _signal.SIGCHLD, _signal.SIGTSTP, _signal.SIGCONT} - self.ignored:
            _signal.signal(number, _signal.SIG_DFL)
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        self._in_group(0, self.group)
        output, error, report = self.slots[slot]
        null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        for number, fd in enumerate((null, output, error)):
            posix.dup2(fd, number, True)
        plan = self.document.plan(index)
        powerless.close_others({self.alive, report, self.start.host_mounts})
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        errors.reports = report
        self.start.docker = f"fd:{self.alive},{report}"
        return plan, self.alive

    def _in_group(self, pid: int, group: int) -> None:
        """Put a process into a group: out of reach of the terminal's keys, which come to us alone."""
        try:
            posix.setpgid(pid, group)
        except (PermissionError, ProcessLookupError):  # it has executed or ended; it did so itself
            return

    def _drop(self) -> None:
        """After the last start keep nothing but the right to signal the group."""
        if not self.dropped and (self.ending or self.next == self.document.plans):
            self.dropped = True
            posix.close(self.alive)
            powerless.carrier(self.group, self.files)
            signals.in_turn()

    # --- while they run -----------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Wait for anything, and act on it."""
        waiting = poll()
        for fd in (self.wakeup, self.acks, self.docker):
            if fd >= 0:
                waiting.register(fd, POLLIN)
        times = [time - monotonic() for time in (self.asked, self.deadline) if time]
        ready = [fd for fd, _ in waiting.poll(max(0, int(min(times) * 1000) + 1) if times else None)]
        if self.wakeup in ready:
            self._signals()
        if self.acks in ready:
            self._free(posix.read(self.acks, 4096))
        if self.docker in ready and client.gone(self.docker):
            posix.close(self.docker)
            self.docker, self.left = -1, True
            self._stop(PATIENCE if self.told else COMPANY)
        now = monotonic()
        if self.asked and now >= self.asked:
            self._ask()
        if self.deadline and now >= self.deadline:
            self.deadline = now + PATIENCE
            self._signal_all(_signal.SIGKILL)
            self._tell_collector(_signal.SIGKILL)

    def _free(self, slots: bytes) -> None:
        """Use slots again whose output has been collected; the end of these words is the collector's."""
        if not slots:
            self.files.discard(self.acks)
            posix.close(self.acks)
            self.acks = -1
            self._stop(0)
        busy = {slot for slot, _, _ in self.running.values()}
        self.free += {slot for slot in slots if slot < len(self.slots)} - busy - set(self.free)

    def _signals(self) -> None:
        """Act on the signals that came since the last look."""
        for number in posix.read(self.wakeup, 4096):
            if number == _signal.SIGTSTP and self.terminal.has_jobs():  # entries go on until their pipes are full
                self._tell_collector(_signal.SIGSTOP)
                self.terminal.stop_job(others=False)
            elif number == _signal.SIGCONT:
                self._tell_collector(_signal.SIGCONT)
            elif number in PASSED_ON:
                self._signal_all(number)
            if number in ENDING:
                self._stop(0 if self.told else PATIENCE)
                self.told = number
        self._reap()

    def _reap(self) -> None:
        """Collect what has ended, and tell the collector."""
        while True:
            try:
                pid, status = posix.waitpid(-1, posix.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            code = posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else 128 + posix.WTERMSIG(status)
            if pid == self.collector:
                self.collector, self.worst = 0, code
                self._stop(0)
            elif pid in self.running:
                slot, index, since = self.running.pop(pid)
                self._say(b"E", slot, index, code, int((monotonic() - since) * 1000))
                if code and self.fail_fast and not self.ending:
                    self.failed = code
                    self._stop(0)

    def _stop(self, seconds: float) -> None:
        """Start nothing more, and have what runs asked to end after some seconds."""
        self.ending = True
        now = monotonic()
        self.asked = min(self.asked or now + seconds, now + seconds) if self.lifeline >= 0 else 0.0

    def _ask(self) -> None:
        """End the pipe by whose end supervisors learn that nobody waits for them: kindly, and then not."""
        posix.close(self.lifeline)
        self.files.discard(self.lifeline)
        self.lifeline, self.asked = -1, 0.0
        self.deadline = monotonic() + LONGEST
        self._tell_collector(_signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        """Signal the group, which is there as long as one of it runs; the collector passes over all but SIGKILL."""
        if self.running:
            posix.kill(-self.group, number)

    def _tell_collector(self, number: int) -> None:
        """Stop, continue or end the collector, if it has not ended."""
        if self.collector:
            posix.kill(self.collector, number)

    def _say(self, letter: bytes, *numbers: int) -> None:
        """Tell the collector; when that has ended, nobody."""
        try:
            posix.write(self.control, collector.record(letter, *numbers))
        except BrokenPipeError:
            return

    def _end(self) -> "NoReturn":
        """Wait until all is written, unless nobody takes it, and end with the worst status."""
        self._say(b"D")
        posix.close(self.control)
        self.deadline = monotonic() + PATIENCE if self.told or self.left else 0.0
        while self.collector:
            self._turn()
        posix._exit(128 + self.told if self.told else self.failed or self.worst)
