"""Fork the installer and, from it, the command's process; each takes its table of steps.py."""

import posix
from _signal import SIG_DFL, SIG_SETMASK, pthread_sigmask, signal, valid_signals
from time import sleep

from . import command
from .channel import Channels
from .entry import Entry
from .errors import EntryError
from .hardening import exeseal
from .linux import seccomp, syscalls
from .linux.cgroups import not_delegated
from .steps import COMMAND, INIT, INSTALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .steps import Step

SIGCHLD = 17
ROLES: "dict[str, tuple[Step, ...]]" = {"install": INSTALL, "init": INIT, "command": COMMAND}


def start(entry: Entry, channels: Channels) -> tuple[int, bool]:
    """Fork the installer, into the container's v2 cgroup where possible; return its pid and whether it is in there."""
    if entry.cgroups and entry.cgroups.unified >= 0:
        pid = _clone_into(entry.cgroups.unified)
        if pid == 0:
            _install(entry, channels)
        if pid > 0:
            return pid, True
    pid = posix.fork()
    if pid == 0:
        _install(entry, channels)
    return pid, False


def _clone_into(cgroup: int) -> int:
    """Fork by clone3(CLONE_INTO_CGROUP) (Linux 5.7); -1 where that can't be: an old kernel, a full pids limit."""
    values = (syscalls.CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, cgroup)
    try:
        return syscalls.clone3(bytearray(b"".join(value.to_bytes(8, "little") for value in values)))
    except OSError as problem:
        if problem.errno == 13:  # EACCES
            raise not_delegated() from None
        if problem.errno in (7, 11, 16, 22, 38, 95):  # E2BIG, EAGAIN, EBUSY, EINVAL, ENOSYS, EOPNOTSUPP
            return -1
        raise


def _run(role: str, entry: Entry, channels: Channels) -> None:
    """Take the steps of a role; the first that fails is told and ends this process."""
    for number, (_, action) in enumerate(ROLES[role]):
        try:
            action(entry)
        except EntryError as refusal:
            refusal.word(entry.plan["typed"])
            channels.say("W", role, number, f"{refusal.sentence[:500]}\t{refusal.hint}")
            posix._exit(125)
        except OSError as problem:
            channels.say("F", role, number, problem.errno, problem.filename or "system call")
            posix._exit(125)


def _install(entry: Entry, channels: Channels) -> None:
    """Be the installer: join, drop, fork the command's process, end."""
    exeseal.entitle(entry.words, entry.title("installer"))
    _default_signals(entry)
    channels.close_supervisors()
    entry.keep += channels.inner()
    _run("install", entry, channels)
    if any(seccomp.notifies(each.program) for each in entry.filters):
        channels.say("N")
    if entry.forbids_fork and not entry.late_filters:
        channels.say("S")
        channels.wait()
    try:
        if entry.own_pids:
            _begin_pids(entry, channels)
        pid = _clone_sibling()
    except OSError as problem:
        channels.say("F", "install", len(INSTALL) - 1, problem.errno, "clone")
        posix._exit(125)
    if pid == 0:
        _command(entry, channels)
    channels.say("P", pid)
    channels.close_inner()  # the end of a process takes a millisecond, and files are the last that it closes
    posix._exit(0)


def _clone_sibling() -> int:
    """Fork a child of the supervisor's: its end is that one's to see, and the death signal comes when that one dies.

    By clone(2), for which Docker's filter looks at the flags; it answers ENOSYS to clone3, whose flags it can't see.
    """
    return syscalls.clone(syscalls.FORK_SIBLING[1])


def _begin_pids(entry: Entry, channels: Channels) -> None:
    """Fork the first process of the command's own pid namespace; it ends with the last of the others, or with us."""
    gate, held = posix.pipe2(posix.O_CLOEXEC)  # `held` closes when the command executes
    if _clone_sibling():
        posix.close(gate)
        entry.keep.append(held)
        return
    posix.close(held)
    exeseal.entitle(entry.words, entry.title("init"))
    _run("init", entry, channels)
    channels.close_inner()
    posix.read(gate, 1)
    while True:
        try:
            posix.kill(-1, 0)
        except ProcessLookupError:
            posix._exit(0)
        except PermissionError:
            pass  # somebody is there
        sleep(1)


def _command(entry: Entry, channels: Channels) -> None:
    """Be the command's process: the last steps, the go, execve."""
    exeseal.entitle(entry.words, entry.title("connector") if entry.connector else "")
    _run("command", entry, channels)
    if not entry.plan["detach"]:
        channels.check()
    channels.say("R")
    plan = entry.plan
    words = [command.encode(word) for word in plan["command"]]
    candidates = command.candidates(words, plan["shell"], entry.credentials)
    env, own = entry.environment, entry.environment.get(b"PATH", command.DEFAULT_PATH)
    if entry.tools:
        env[b"PATH"] = own + b":" + entry.tools.path
    channels.wait()
    if entry.connector:
        channels.close_inner()
        entry.connector.run()
    failure = command.become(candidates, env, own)
    if entry.tools and failure.errno in (command.ENOENT, command.ENOTDIR):
        # after the container's: even its sh before our bash
        failure = command.become(candidates, env, entry.tools.path)
    channels.say("F", "execve", command.status_for(failure.errno or 0), failure.errno, failure.strerror)
    posix._exit(command.status_for(failure.errno or 0))


def _default_signals(entry: Entry) -> None:
    """Give the command the signals that docker gives: Python ignores SIGPIPE and SIGXFSZ, nohup SIGHUP."""
    ours = entry.own_status["SigIgn"][0] | entry.own_status["SigCgt"][0]
    for number in valid_signals():
        if ours >> (number - 1) & 1:
            signal(number, SIG_DFL)
    pthread_sigmask(SIG_SETMASK, [])
