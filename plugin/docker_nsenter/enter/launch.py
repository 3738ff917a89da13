"""Bring the children to where the command can begin: hear them, read back, and give up all power but to signal it.

The last acts with power are here: hold off a filter that forbids the fork, attach to the cgroup, set the score, read
back, attach the watcher of --why, drop. Only then is the go given (session/run.py), or said why there is none.
"""

import posix
from _signal import SIGKILL
from time import sleep

from . import told
from .channel import Channels, number
from .entry import Entry
from .errors import CANNOT_BE, EXEC, EntryError, say
from .hardening import secure_path
from .linux import capset, seccomp
from .linux.capabilities import KILL
from .session.journal import Journal
from .session.run import Run
from .session.supervisor import Supervisor
from .steps import ROLES
from .target import ended
from .verify import Check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .session.run import Report
    from .tracing.tracer import Tracer

LABELS = {role: [label for label, _ in steps] for role, steps in ROLES.items()}


class Launch:
    """Hold what is known of the children until the command runs."""

    tracer: "Tracer | None" = None  # for --why

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
        self._run = Run(self.session, channels)
        self.pid = 0

    def run(self) -> int:
        """Make the command ready, let all power go, and have it run; return its exit status."""
        entry, session = self.entry, self.session
        try:
            report = self._start()
        except (EntryError, OSError) as problem:
            self._undo()
            if isinstance(problem, OSError) and not entry.target.alive():  # ENOENT or ESRCH of a file in its /proc
                raise ended() from None
            raise
        if report:
            status = self._undo()
            capset.hold(0)
            from .session import failures  # half a millisecond, which only a failure is worth

            raise failures.explain(report, LABELS, entry.plan, status)
        capset.hold(KILL)
        entry.io.close_inner()
        if entry.plan["debug"]:
            told.taken(entry)
        told.equip(session, entry, self.tracer)
        journal = Journal(self._root, entry.plan, required=entry.config["journal"] == "required")
        return self._run.command(self.pid, entry.plan, journal, told.held(entry) if journal.fd >= 0 else {}, self._undo)

    def _start(self) -> "Report | None":
        """Wait until all is dropped, and verify; return what a child said instead."""
        self._channels.close_inner()
        self._meanwhile()
        ready = False
        for word, rest in self._run.words:
            if word == "P" and not self.pid and number(rest) > 0:
                self._adopt(number(rest))
            elif word == "N" and not self.pid:
                say("the container's filter asks its supervisor about some calls, which fail here (ENOSYS)")
            elif word == "S" and not self.pid:
                self._let_fork()
            elif word == "R" and not ready:
                ready = True
            else:
                return word, rest
            if ready and self.pid:
                self._confirm()
                return None
        return "", ""

    def _meanwhile(self) -> None:
        """Do what need not be done before the fork, while the children take their steps."""
        entry = self.entry
        self._check = Check(entry)
        self._root = entry.open_root()
        if entry.host_root == "/":  # who may start a helper is root of the engine's machine by that already
            secure_path.check()
        capset.drop_bounding(0)  # this process executes nothing any more

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

    def _confirm(self) -> None:
        """Read back all that was set, and have it watched where that was asked for."""
        if self.entry.limits:
            self.entry.limits.score(self.pid)
        self._check.confirm(self.pid)
        if self.tracer:
            self.tracer.attach(self.pid)

    def _undo(self) -> int:
        """Leave no process, and no recording of what was not run; return how the installer ended, or its child."""
        ended = [_kill(pid) for pid in (self.pid, self._installer) if pid]
        for recording in self.session.recordings:
            recording.discard()
        return ended[0]


def _kill(pid: int) -> int:
    """End a process of ours that has not become the command, and return its wait status, or 0.

    One that is frozen dies when it thaws.
    """
    try:
        posix.kill(pid, SIGKILL)
        for _ in range(200):
            ended, status = posix.waitpid(pid, posix.WNOHANG)
            if ended:
                return status
            sleep(0.01)
    except (ProcessLookupError, ChildProcessError):
        pass
    return 0
