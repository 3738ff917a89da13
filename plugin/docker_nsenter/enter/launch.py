"""Start the command: hear the installer and the command's process, read back, give the go, and give up all power.

The last acts with power are here: hold off a filter that forbids the fork, attach to the cgroup, set the score, read
back, attach the watcher of --why, drop. What comes after the go is session/supervisor.py's.
"""

import _signal
import posix
from select import POLLIN, poll
from time import monotonic, sleep

from . import hints
from .channel import Channels
from .entry import Entry
from .errors import EntryError, printable, say
from .hardening import powerless, secure_path
from .hints import EXEC, LONGEST
from .linux import seccomp
from .processes import ROLES
from .session import client
from .session.journal import Journal
from .session.status import describe
from .session.supervisor import ENDING, Supervisor
from .steps import SUPERVISE
from .verify import Check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .hints import Change
    from .tracing.tracer import Tracer

START_TIMEOUT = 30.0  # seconds from the fork to execve; a frozen cgroup or a dead file system must not hang us
NOT_FOUND = 127
CANNOT_BE = "the process that starts the command sent an invalid report"
TOOLS: "Change" = {"add": ["--tools", "host"]}


class Launch:
    """Hold what is known of the children until the command runs."""

    tracer: "Tracer | None" = None  # for --why
    _check: Check
    _journal: Journal

    def __init__(self, entry: Entry, docker: int, channels: Channels, installer: int, *, inside: bool) -> None:
        """Begin when the installer has been forked; `docker` is the docker CLI's plugin socket, or -1.

        `inside` tells that the installer was born in the container's v2 cgroup.
        """
        self.entry = entry
        plan = entry.plan
        self.session = Supervisor(
            entry.io.flows, entry.io.master, docker, tty=plan["tty"], helper=plan["route"] == "helper"
        )
        self.session.record(entry.recordings)
        self._channels, self._installer, self._inside = channels, installer, inside
        self.pid = 0
        self._released = False  # to execute; only once: who traces the command's process could ask again and again
        self._early = b""  # signals that came before the command ran

    def run(self) -> int:
        """Start the command, watch over it without power and return its exit status; have its end recorded."""
        status = 125
        try:
            self._start()
            if self.entry.plan["detach"]:
                return 0
            status = self._watch()
        except EntryError as refusal:
            status = refusal.status
            raise
        finally:
            if self._released and not self.entry.plan["detach"]:
                self._journal.end(status, *self.session.carried())
        return status

    def _watch(self) -> int:
        """Carry the command's bytes and signals until it ends, without power."""
        session = self.session
        session.tracer, session.first = self.tracer, self.entry.target.pidfd
        session.journal = self._journal
        relay = {posix.getppid()} if session.helper else set()
        recordings = [recording.fd for recording in session.recordings]
        powerless.carrier(self.pid, session.files(), relay, recordings)
        session.begin(self.pid, self._early)
        return session.run()

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
        except (EntryError, OSError):
            for pid in (installer, self.pid):
                if pid:
                    _kill(pid)
            for recording in self.session.recordings:
                recording.discard()
            raise
        self.entry.io.close_inner()

    def _let_fork(self) -> None:
        """Hold off a filter that denies clone while the installer forks: what is born has it in force, unlike before.

        A process forked without it would be visible with the power to install it, and without the filter.
        """
        try:
            seccomp.suspend(self._installer)
        except OSError as problem:
            raise EntryError(
                f"the container's seccomp filter denies clone, and cannot be suspended: {problem.strerror}", EXEC
            ) from None
        self._channels.go()

    def _meanwhile(self) -> None:
        """Do what need not be done before the fork, while the children take their steps."""
        if self.entry.host_root == "/":  # who may start a helper is root of the engine's machine by that already
            secure_path.check()
        self._check = Check(self.entry)
        self._journal = Journal(
            self.entry.host_root, self.entry.plan, required=self.entry.config["journal"] == "required"
        )

    def _release(self, channels: Channels) -> None:
        """Read back, have it recorded, and let the command's process execute."""
        if self.entry.limits:
            self.entry.limits.score(self.pid)
        self._check.confirm(self.pid)
        if self.entry.plan["debug"]:
            self._say_done()
        if self.tracer:
            self.tracer.attach(self.pid)
        self._journal.start({**self.entry.told(), "COMMAND_PID": str(self.pid)})
        self._released = True
        for recording in self.session.recordings:
            recording.kept()
        channels.go()

    def _say_done(self) -> None:
        """Name the steps that were taken: with -D, once the kernel has confirmed them."""
        for role, steps in ROLES.items():
            for label, _ in steps if role != "init" or self.entry.own_pids else ():
                say(f"{role}: {label}")
        for label, _ in SUPERVISE:
            say(f"supervisor: {label}")

    def _words(self, channels: Channels, deadline: float) -> "Iterator[tuple[str, str]]":
        """Yield the children's lines until they hang up, which execve does for the command."""
        data, wakeup, docker = b"", self.session.wakeup, self.session.socket
        waiting = poll()
        waiting.register(channels.words, POLLIN)
        waiting.register(wakeup, POLLIN)
        if docker >= 0:
            waiting.register(docker, POLLIN)
        while True:
            ready = [fd for fd, _ in waiting.poll(max(0, int((deadline - monotonic()) * 1000)))]
            if wakeup in ready:
                self._early += self._cancelled(posix.read(wakeup, 4096))
            if docker in ready and client.gone(docker):
                raise EntryError("cancelled")
            if monotonic() >= deadline:  # also when somebody in the container makes that process talk without end
                raise EntryError(
                    "the command did not start within 30 seconds: is the container frozen or out of memory?"
                )
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
                raise EntryError("cancelled", status=128 + number)
        return numbers

    def _failure(self, word: str, rest: str) -> EntryError:
        """Word a child's report: the label is ours, from the table; what the child says is only shown printably."""
        role, _, rest = rest.partition(" ")
        text, _, detail = rest.partition(" ")
        number = _number(text)
        if word == "F" and role == "execve" and number in (126, NOT_FOUND):
            return self._not_run(number, detail.partition(" ")[2])
        if role not in ROLES or not 0 <= number < len(ROLES[role]):
            return EntryError(CANNOT_BE)
        if word == "W":
            sentence, _, hint = detail.partition("\t")
            refusal = EntryError(printable(sentence))
            refusal.hint = printable(hint, LONGEST) if role == "install" else ""
            return refusal
        code, _, call = detail.partition(" ")
        reason = posix.strerror(_number(code)) if _number(code) >= 0 else "unknown error"
        return EntryError(f"cannot {ROLES[role][number][0]}: {printable(call)}: {reason}")

    def _not_run(self, status: int, reason: str) -> EntryError:
        """Say which command could not be executed, and what that means to who typed it."""
        plan = self.entry.plan
        if not plan["command"] and not plan["shell"] and status == NOT_FOUND:
            change: Change = {} if self.entry.tools else TOOLS
            return EntryError("cannot run a shell: the container has none (no bash, ash or sh)", change, status)
        word = (plan["command"] or [plan["shell"] or "the shell"])[0]
        name = printable(word)
        if not word:
            return EntryError("cannot run the command: its name is empty", status=status)
        if status == NOT_FOUND and len(plan["command"]) == 1 and len(word.split()) > 1:
            sentence = f"cannot run '{name}': that is the name of one program, with blanks in it"
            plain = hints.PLAIN.issuperset(word.replace(" ", ""))
            return EntryError(sentence, {"command": word.split() if plain else ["sh", "-c", word]}, status)
        if status == NOT_FOUND and "/" not in name:
            change = TOOLS if self._is_here(name) else {}
            return EntryError(f"cannot run {name}: no such program on the PATH", change, status)
        return EntryError(f"cannot run {name}: {printable(reason)}", status=status)

    def _is_here(self, name: str) -> bool:
        """Tell whether --tools host would find a program."""
        plan = self.entry.plan
        here = any(
            posix.access(f"{folder}/{name}", posix.X_OK) for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin")
        )
        return here and not plan["tools"] and "mnt" in plan["namespaces"]

    def _adopt(self, pid: int) -> None:
        """Take over the command's process, and put it into its v2 cgroup if need be."""
        try:
            posix.waitid(posix.P_PID, pid, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        except ChildProcessError:  # ECHILD: not one of ours
            raise EntryError(CANNOT_BE) from None
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
            raise EntryError(
                f"a process of docker nsenter was killed ({describe(status)}) before the command could start"
            )


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
