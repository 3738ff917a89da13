"""Watch over the command: start it, check it, carry its bytes and signals, give back its exit status."""

import _signal
import posix
from select import POLLIN, poll
from time import monotonic, sleep

from .. import stdio
from ..child import ROLES, Channels, exit_status
from ..entry import Entry
from ..errors import Refusal, printable, say
from ..hardening import powerless, secure_path
from ..linux import seccomp
from ..verify import Check
from . import client, pumps
from .terminal import VINTR, VQUIT, VSUSP, Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..tracing.tracer import Observer

FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGUSR1, _signal.SIGUSR2)
ENDING = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT)
START_TIMEOUT = 30.0  # seconds from the fork to execve; a frozen cgroup or a dead file system must not hang us
GRACE = 5.0  # seconds between SIGTERM and SIGKILL when the client is gone
PATIENCE = 1.0  # seconds that who was told to end has: a command that had been stopped, a slow reader
KEY = 1.0  # seconds between the key for it and a stop that it explains
COMPANY = 0.1  # seconds between docker's goodbye and the signal that caused it, which comes to us as well
GLANCE = 0.3  # seconds between looks at a terminal that is another job's: bash's fg sends no signal to what runs
NOT_FOUND = 127
NEED_QUOTES = frozenset(" \t\n\"'\\$`*?[]{}()<>|&;#~!")


class Supervisor:
    """Hold the running entry: the command's pid, the pumps, the caller's terminal, the signals that came."""

    observer: "Observer | None" = None  # for --why
    _check: Check

    def __init__(self, entry: Entry, socket: int, channels: Channels, installer: int, *, inside: bool) -> None:
        """Begin when the installer has been forked; `socket` is the docker CLI's plugin socket, or -1.

        `inside` tells that the installer was born in the container's v2 cgroup.
        """
        self.entry = entry
        self.socket = socket
        self._channels, self._installer, self._inside = channels, installer, inside
        self.terminal = Terminal(0)
        self.pumps = pumps.begin(entry.io.flows)
        self.pid = 0
        self.status: int | None = None
        self.deadline = self.leaving = self.patience = 0.0
        self._released = False  # to execute; only once: who traces the command's process could ask again and again
        self._killed = False
        self._told = 0  # the signal of who wants us to end
        self._stopped = self._suspended = False  # the command, by whomever; all of the job, by ^Z
        self._key = self._asked = float("-inf")  # when ^Z was typed, and when a signal asked the command to end
        self._early = b""  # signals that came before the command ran
        self._docker = posix.getppid()
        for pump in self.pumps:
            pump.notice = self._typed if pump.source == 0 else None
        self._wakeup, self._writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (*FORWARDED, _signal.SIGCHLD, _signal.SIGWINCH, _signal.SIGTSTP, _signal.SIGCONT):
            if _signal.getsignal(number) != _signal.SIG_IGN or number in (_signal.SIGCHLD, _signal.SIGTSTP):
                _signal.signal(number, _noted)
        for number in (_signal.SIGTTOU, _signal.SIGPIPE):
            _signal.signal(number, _signal.SIG_IGN)

    def run(self) -> int:
        """Start the command, wait for its end and return its exit status."""
        self._start()
        if self.entry.plan["detach"]:
            return 0
        try:
            self._loop()
        finally:
            self.terminal.restore()
        assert self.status is not None
        if self.observer:
            self.observer.report()
        return exit_status(self.status)

    # --- until execve -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Wait until all is dropped, verify, and let the command execute."""
        channels, installer = self._channels, self._installer
        channels.close_inner()
        deadline = monotonic() + START_TIMEOUT
        ready = False
        try:
            self._meanwhile()
            for word, rest in self._words(channels, deadline):
                if word == "P" and not self.pid and _number(rest) > 0:
                    self._adopt(_number(rest))
                elif word == "N" and not self.pid:
                    say("the container's filter asks its supervisor about some calls, which fail here (ENOSYS)")
                elif word == "S" and not self.pid:
                    self._let_fork()
                elif word == "R" and not ready:
                    ready = True
                else:
                    raise self._failure(word, rest)
                if ready and self.pid and not self._released:
                    self._release(channels)
            self._executed(installer)
        except (Refusal, OSError):
            for pid in (installer, self.pid):
                if pid:
                    _kill(pid)
            raise
        posix.write(self._writer, self._early) if self._early else None
        self.entry.io.close_inner()
        if not self.entry.plan["detach"]:
            relay = {posix.getppid()} if self.entry.plan["route"] == "helper" else set()
            powerless.carrier(self.pid, self._files(), relay)

    def _files(self) -> set[int]:
        """List the descriptors that are needed from now on."""
        carried = {fd for pump in self.pumps for fd in pump.files()}
        own = {self.socket, self._wakeup, self._writer, self.entry.io.master}
        return carried | own | ({self.observer.reader} if self.observer else set())

    def _let_fork(self) -> None:
        """Hold off a filter that denies clone while the installer forks: what is born has it in force, unlike before.

        A process forked without it would be visible with the power to install it, and without the filter.
        """
        try:
            seccomp.suspend(self._installer)
        except OSError as problem:
            raise Refusal(
                f"the container's seccomp filter denies clone, and cannot be held off: {problem.strerror}",
                "docker exec enters such a container",
            ) from None
        self._channels.go()

    def _meanwhile(self) -> None:
        """Do what need not be done before the fork, while the children take their steps."""
        if self.entry.files == "/":  # who may start a helper is root of the engine's machine by that already
            secure_path.check()
        self._check = Check(self.entry)

    def _release(self, channels: Channels) -> None:
        """Read back, and let the command's process execute."""
        self._released = True
        if self.entry.limits:
            self.entry.limits.score(self.pid)
        self._check.confirm(self.pid)
        if self.entry.plan["debug"]:
            self._say_done()
        if self.observer:
            self.observer.attach(self.pid)
        channels.go()

    def _say_done(self) -> None:
        """Name the steps that the children took: with -D, once the kernel has confirmed them."""
        for role, steps in ROLES.items():
            for label, _ in steps if role != "init" or self.entry.own_pids else ():
                say(f"{role}: {label}")
        say("read back: the kernel confirms all of it")

    def _words(self, channels: Channels, deadline: float) -> "Iterator[tuple[str, str]]":
        """Yield the children's lines until they hang up, which execve does for the command."""
        data = b""
        waiting = poll()
        waiting.register(channels.words, POLLIN)
        waiting.register(self._wakeup, POLLIN)
        if self.socket >= 0:
            waiting.register(self.socket, POLLIN)
        while True:
            ready = [fd for fd, _ in waiting.poll(max(0, int((deadline - monotonic()) * 1000)))]
            if self._wakeup in ready:
                self._early += self._cancelled(posix.read(self._wakeup, 4096))
            if self.socket in ready and client.gone(self.socket):
                raise Refusal("cancelled")
            if monotonic() >= deadline:  # also when somebody in the container makes that process talk without end
                raise Refusal("the command did not start within 30 seconds: is the container frozen or out of memory?")
            if channels.words not in ready:
                continue
            chunk = posix.read(channels.words, 4096)
            if not chunk:
                return
            *lines, data = (data + chunk)[-8192:].split(b"\n")
            for line in lines:
                word, _, rest = line.decode("utf-8", "replace").partition(" ")
                yield word, rest

    def _cancelled(self, numbers: bytes) -> bytes:
        """Refuse when a signal asks for the end: who stops the command's process must not keep us; keep the others."""
        for number in numbers:
            if number in ENDING:
                raise Refusal("cancelled", status=128 + number)
        return numbers

    def _failure(self, word: str, rest: str) -> Refusal:
        """Word a child's report: the label is ours, from the table; what the child says is only shown printably."""
        role, _, rest = rest.partition(" ")
        text, _, detail = rest.partition(" ")
        number = _number(text)
        if word == "F" and role == "execve" and number in (126, NOT_FOUND):
            return self._not_run(number, detail.partition(" ")[2])
        if role not in ROLES or not 0 <= number < len(ROLES[role]):
            return Refusal("the process that enters reported something that cannot be")
        if word == "W":
            sentence, _, hint = detail.partition("\t")
            return Refusal(printable(sentence), printable(hint) if role == "install" else "")
        code, _, call = detail.partition(" ")
        reason = posix.strerror(_number(code)) if _number(code) >= 0 else "unknown error"
        return Refusal(f"cannot {ROLES[role][number][0]}: {printable(call)}: {reason}")

    def _not_run(self, status: int, reason: str) -> Refusal:
        """Say which command could not be executed, and what that means to who typed it."""
        plan = self.entry.plan
        if not plan["command"] and not plan["shell"] and status == NOT_FOUND:
            hint = "" if self.entry.tools else f"docker nsenter --tools host {plan['target']['name']}"
            return Refusal("cannot run a shell: the container has none (no bash, ash or sh)", hint, status)
        name = printable((plan["command"] or [plan["shell"] or "the shell"])[0])
        if status == NOT_FOUND and "/" not in name:
            hint = self._line_with_tools(name)
            return Refusal(f"cannot run {name}: there is no such program on the PATH there", hint, status)
        return Refusal(f"cannot run {name}: {printable(reason)}", status=status)

    def _line_with_tools(self, name: str) -> str:
        """Write the line that finds the program on this machine, if it would."""
        plan = self.entry.plan
        here = any(
            posix.access(f"{folder}/{name}", posix.X_OK) for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin")
        )
        if plan["tools"] or not here or "mnt" not in plan["namespaces"]:
            return ""
        plain = all(word and not set(word) & NEED_QUOTES for word in plan["command"])
        words = " ".join(plan["command"]) if plain else name
        return f"docker nsenter --tools host {plan['target']['name']} {words}"

    def _adopt(self, pid: int) -> None:
        """Take over the command's process, and put it into its v2 cgroup if need be."""
        posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)  # ECHILD unless it is ours
        self.pid = pid
        cgroups = self.entry.cgroups
        if cgroups and cgroups.unified >= 0 and not self._inside:
            cgroups.attach(pid)
        self._check.place(pid)

    def _executed(self, installer: int) -> None:
        """Tell a successful execve from a death before it: both hang up."""
        if not self.pid:
            _, status = posix.waitpid(installer, 0)
            if posix.WIFSIGNALED(status) and posix.WTERMSIG(status) == _signal.SIGALRM:
                raise seccomp.explain(OSError(seccomp.ETIMEDOUT, "", "ptrace"), self.entry.plan["target"]["container"])
            raise Refusal(f"the entry was ended from outside ({describe(status)}) before the command could start")

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
        if self._wakeup in ready:
            self._signals()
        if self.socket in ready and client.gone(self.socket):
            self._left_alone()
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
        if ours and self.entry.plan["tty"]:
            self._take_terminal()
        return [pump for pump in self.pumps if pump.active and (ours or pump.source != 0)]

    def _interests(self) -> dict[int, int]:
        """Say what to wait for."""
        wanted = {self._wakeup: POLLIN}
        if self.socket >= 0:
            wanted[self.socket] = POLLIN
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
        if pump.sink == self.entry.io.master and posix.isatty(0):
            self._end()  # the terminal has hung up

    # --- signals, stops, the end -----------------------------------------------------------------------------------

    def _signals(self) -> None:
        """Act on the signals that came since the last look."""
        for number in posix.read(self._wakeup, 4096):
            if number == _signal.SIGWINCH:
                self._resize()
            elif number == _signal.SIGTSTP:
                self._suspend()
            elif number == _signal.SIGCONT:
                self._resume()
            elif number in FORWARDED:
                if number in ENDING:
                    self._tell(number)
                if number == _signal.SIGHUP and posix.isatty(0) is False and self.entry.plan["tty"]:
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
            self._send(_signal.SIGHUP if self.entry.plan["tty"] else _signal.SIGTERM)
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

    def _typed(self, data: bytes) -> None:
        """Look at keys on their way to the command: ^Z explains a stop, and a stopped one can't hear ^C."""
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
        helper = self.entry.plan["route"] == "helper"
        if self._suspended or not (helper or self.terminal.has_jobs()):
            return
        self._suspended = True
        self._key = float("-inf")
        self.terminal.restore()
        self._send(_signal.SIGSTOP)
        if helper:
            posix.kill(posix.getppid(), _signal.SIGUSR1)
        else:
            self.terminal.stop_job(others=job)

    def _resume(self) -> None:
        """Go on after a stop."""
        self._suspended = False
        self._send(_signal.SIGCONT)
        if self.entry.plan["tty"]:
            self._take_terminal()

    def _take_terminal(self) -> None:
        """Have every key pass, now or once the terminal is our job's."""
        if not self.deadline and self.terminal.raw():
            self._resize()

    def _resize(self) -> None:
        """Give the command's terminal the size of the caller's."""
        if self.entry.io.master >= 0:
            size = stdio.window_size()
            if size:
                stdio.set_window_size(self.entry.io.master, size)


def _noted(number: int, frame: object) -> None:
    """Do nothing: the wake-up descriptor carries the number."""


def _carried(act: "Callable[[], bool | None]", pump: pumps.Pump) -> "bool | None":
    """Carry, and say of which stream an error is: a full disk, a file system that is gone."""
    try:
        return act()
    except OSError as problem:
        name = "input" if pump.source == 0 else "output"
        raise Refusal(f"cannot carry the command's {name}: {problem.strerror}") from problem


def _number(text: str) -> int:
    """Read a small whole number of a child's; -1 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _kill(pid: int) -> None:
    """End a process of ours that has not become the command, and reap it; one that is frozen dies when it thaws."""
    try:
        posix.kill(pid, _signal.SIGKILL)
        for _ in range(200):
            if posix.waitpid(pid, posix.WNOHANG)[0]:
                return
            sleep(0.01)
    except (ProcessLookupError, ChildProcessError):
        return


def describe(status: int) -> str:
    """Put a wait status in words."""
    if posix.WIFSIGNALED(status):
        return f"signal {posix.WTERMSIG(status)}"
    return f"status {posix.WEXITSTATUS(status)}"
