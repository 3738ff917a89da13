"""Watch the command's system calls from a process of our own, and note those that are refused: for --why only.

The watcher is a tracer (ptrace(2)) that changes nothing and that the command survives: when it ends, the kernel lets go
of everything it traced. It runs on the host, as root, and takes what it reads of the command for hostile.
"""

import _signal
import posix

from ..hardening import powerless
from ..linux import seccomp, syscalls
from ..linux.procfs import read_all
from ..linux.syscall_table import NAMES
from .bounds import Bounds
from .endings import Endings
from .refused import Refused, Scene
from .risk import ROOT
from .why import explain, netlink_error, noticed, set_user_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.seccomp import Filter
    from ..plan import Plan

PTRACE_SYSCALL, PTRACE_LISTEN, PTRACE_GET_SYSCALL_INFO = 24, 0x4208, 0x420E
PTRACE_GETEVENTMSG = 0x4201
OPTIONS = 0x5F  # TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, TRACEEXIT
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_EXIT, EVENT_STOP = 1, 2, 3, 4, 6, 128
ENTRY, EXIT = 1, 2
WALL = 0x40000000
SYSCALL_STOP = 5 | 0x80
STOPS = (_signal.SIGSTOP, _signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU)
IGNORED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGUSR1, _signal.SIGUSR2)
SIGSYS = 31
TRACEME = 0
MOST = 200  # refusals that are told; a hostile command could make them without end


class Tracer:
    """Hold the watcher of one command, in the supervisor."""

    def __init__(self, filters: "list[Filter]", count: int, plan: "Plan", held: int) -> None:
        """Take the filters that the command runs under, what the entry is, and the caller's capabilities.

        Where the filters aren't known, their `count` is read of the command: the kernel shows them to the host's root
        alone (EACCES), and the owner of a rootless engine has brought his own.
        """
        self._filters, self._count = filters, count
        self._scene = Scene(plan, held)
        self.reader = -1

    def attach(self, pid: int) -> None:
        """Start the watcher on a process that waits for its go; OSError when it can't be traced."""
        self.reader, writer = posix.pipe2(posix.O_CLOEXEC)
        ready, started = posix.pipe2(posix.O_CLOEXEC)
        if not posix.fork():
            try:
                _watch(pid, self._filters, self._count, self._scene, (writer, started))
            finally:
                posix._exit(0)
        posix.close(writer)
        posix.close(started)
        if posix.read(ready, 1) != b"r":
            raise OSError(1, posix.strerror(1), "ptrace")
        posix.close(ready)

    def report(self, *, failed: bool) -> None:
        """Write what was refused, and the line that lifts the last of it, to standard error.

        Where the command has not failed, nothing that is as good as root on the host is offered: a hostile one could
        have had itself refused for it.
        """
        text = read_all(self.reader, 1 << 20).decode("utf-8", "replace")
        *lines, risky, hint = text.split("\n") if text else ["the watcher ended early, and can't say", "", ""]
        if not any(lines):
            lines = ["nothing was refused" + (": the failure is the command's own" if failed else "")]
        hint = "" if risky and not failed else hint
        shown = "".join(f"docker nsenter: {line}\n" for line in lines if line) + (f"hint: {hint}\n" if hint else "")
        posix.write(2, shown.encode("utf-8", "replace"))


def _watch(pid: int, filters: "list[Filter]", count: int, scene: Scene, pipes: tuple[int, int]) -> None:
    """Be the watcher: attach, note, tell, end."""
    _signal.set_wakeup_fd(-1)
    for number in IGNORED:
        _signal.signal(number, _signal.SIG_IGN)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
    syscalls.ptrace(syscalls.PTRACE_SEIZE, pid, 0, OPTIONS)
    syscalls.ptrace(syscalls.PTRACE_INTERRUPT, pid, 0, 0)
    _, status = posix.waitpid(pid, WALL)
    filters = filters or [seccomp.read_filter(pid, index) for index in range(count)]  # while it is stopped
    watch = _Watch(pid, filters, Bounds(pid, scene), scene)
    writer, started = pipes
    powerless.watcher(pipes)
    syscalls.ptrace(PTRACE_SYSCALL, pid, 0, 0)
    posix.write(started, b"r")
    posix.close(started)
    text = watch.run().encode("utf-8", "replace")
    while text:
        text = text[posix.write(writer, text) :]


class _Watch:
    """Hold what is known of each traced thread."""

    def __init__(self, pid: int, filters: "list[Filter]", bounds: Bounds, scene: Scene) -> None:
        self.pid = pid
        self.filters = filters
        self.bounds = bounds
        self.scene = scene
        self.endings = Endings(pid, bounds)
        self.entered: dict[int, tuple[int, list[int]]] = {}
        self.last: dict[int, tuple[int, list[int]]] = {}
        self.found: dict[tuple[str, ...], Refused] = {}

    def run(self) -> str:
        """Follow the command and its children until it ends; return the lines, whether it is risky, and the hint."""
        while True:
            thread, status = posix.waitpid(-1, WALL)
            if posix.WIFEXITED(status) or posix.WIFSIGNALED(status):
                self.entered.pop(thread, None)
                self.last.pop(thread, None)
                self._note(self.endings.ended(thread, status))
                if thread == self.pid:
                    break
                continue
            try:
                request, data = self._stopped(thread, status)
                syscalls.ptrace(request, thread, 0, data)
            except OSError as problem:
                if problem.errno != 3:  # ESRCH: it was killed meanwhile
                    raise
        refused = list(self.found.values())
        lines = [each.text(self.scene) for each in refused]
        offered = [each for each in refused if each.lifted()]
        hint = offered[-1].line(self.scene.again) if offered else ""
        return "\n".join([*lines, "risky" if offered and offered[-1].risk == ROOT else "", hint])

    def _stopped(self, thread: int, status: int) -> tuple[int, int]:
        """Note what a stop says; return how to go on: the request and its signal."""
        number, event = posix.WSTOPSIG(status), status >> 16
        if number == SYSCALL_STOP:
            return self._call(thread), 0
        if event == EVENT_STOP:
            self.endings.named(thread)  # a process just forked has its parent's name
            return (PTRACE_LISTEN if number in STOPS else PTRACE_SYSCALL), 0
        if event:
            if event in (EVENT_FORK, EVENT_VFORK, EVENT_CLONE):  # its own first stop may come after its parent's next
                self.endings.named(self._message(thread))
            elif event == EVENT_EXEC:
                self.endings.named(thread)
                self._note(set_user_id(thread))
            elif event == EVENT_EXIT and self._message(thread) & 0x7F == SIGSYS:
                self._killed(thread)
            return PTRACE_SYSCALL, 0
        if number == SIGSYS:
            self._killed(thread)
        self.endings.signalled(thread, number)
        return PTRACE_SYSCALL, number

    def _call(self, thread: int) -> int:
        """Note the entry to or the exit from a system call."""
        info = bytearray(88)
        syscalls.ptrace(PTRACE_GET_SYSCALL_INFO, thread, len(info), info)
        words = [int.from_bytes(info[at : at + 8], "little") for at in range(24, 80, 8)]
        if info[0] == ENTRY:
            self.entered[thread] = words[0], words[1:7]
            self.endings.entering(thread, NAMES.get(words[0], ""), words[1:7])
            if NAMES.get(words[0]) == "ptrace" and words[1] == TRACEME:
                self.entered.pop(thread)
                return syscalls.PTRACE_DETACH  # who wants to be traced by another can't be by us
            return PTRACE_SYSCALL
        entered = self.entered.pop(thread, None)
        if info[0] != EXIT or entered is None:
            return PTRACE_SYSCALL
        self.last[thread] = entered
        result = words[0] - (1 << 64) if words[0] >> 63 else words[0]
        if result > 0 and NAMES.get(entered[0]) in ("recvmsg", "recvfrom"):
            errno = netlink_error(thread, NAMES[entered[0]], entered[1])
            if errno:
                self._note(explain(thread, entered[0], entered[1], errno, self.filters, self.bounds, netlink=True))
        elif result < 0 and noticed(entered[0], entered[1], -result, self.filters):
            refused = explain(thread, entered[0], entered[1], -result, self.filters, self.bounds)
            if refused and NAMES.get(entered[0]) == "ptrace" and self.endings.watched(entered[1][1]):
                refused.layers, refused.options = ["--why watches that process itself, and there can be one tracer"], []
            self._note(refused)
        return PTRACE_SYSCALL

    def _message(self, thread: int) -> int:
        """Return what a stop brings: the number of a child, or the status of a thread that ends and can be read yet."""
        message = bytearray(8)
        syscalls.ptrace(PTRACE_GETEVENTMSG, thread, 0, message)
        return int.from_bytes(message, "little")

    def _killed(self, thread: int) -> None:
        """Note that a filter ended or trapped the call that a thread was about to make."""
        entered = self.entered.get(thread) or self.last.get(thread)  # newer kernels leave the call before they kill
        if entered:
            self._note(explain(thread, entered[0], entered[1], 0, self.filters, self.bounds))

    def _note(self, refused: "Refused | None") -> None:
        """Keep one of a kind, the last kind last: that one's is the hint."""
        if refused:
            known = self.found.pop(refused.key(), None)
            if known:
                known.count += 1
            if known or len(self.found) < MOST:
                self.found[refused.key()] = known or refused
