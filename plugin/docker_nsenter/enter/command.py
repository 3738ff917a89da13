"""Be the command's process, visible in the container, with nothing left to take away: the last steps, and execve."""

import posix
from _signal import SIG_IGN, SIGCHLD, SIGKILL, signal
from fcntl import ioctl
from time import sleep

from .channel import Channels
from .entry import Entry, encode, install_filters
from .linux import syscalls
from .linux.credentials import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

ENOENT, ENOTDIR, EACCES, EPERM, ENOEXEC, ELOOP, ENAMETOOLONG = 2, 20, 13, 1, 8, 40, 36
DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELLS = (b"bash", b"ash", b"sh")
NO_SHELLS = (b"nologin", b"false", b"true", b"sync", b"halt", b"shutdown")


def join_cgroups(entry: Entry) -> None:
    """Join the v1 ones, each by its open file."""
    if entry.cgroups:
        entry.cgroups.join()
        for fd in entry.cgroups.tasks:
            posix.close(fd)


def own_session(entry: Entry) -> None:
    """Lead a session; standard input's or output's terminal is its controlling one."""
    syscalls.setsid()
    if entry.plan["tty"]:
        ioctl(0 if posix.isatty(0) else 1, syscalls.TIOCSCTTY, 0)


def settle_limits(entry: Entry) -> None:
    """Lower what is left to lower."""
    if entry.limits:
        entry.limits.settle()


def die_together(entry: Entry) -> None:
    """Set the death signal: kill -9 of the plugin must not leave the command behind."""
    if not entry.plan["detach"]:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, SIGKILL)


def install_late(entry: Entry) -> None:
    """Install last, as runc does, what needs no capability or would forbid the fork."""
    if entry.filters and entry.late_filters:
        install_filters(entry)


def own_nothing(entry: Entry) -> None:
    """Close standard input and output, whose readers wait for their end, and have the kernel collect orphans."""
    syscalls.setsid()
    for fd in (0, 1, 2):
        posix.close(fd)
    signal(SIGCHLD, SIG_IGN)


def reap_until_the_end() -> "NoReturn":
    """Be the first process of a pid namespace until it has no other."""
    while True:
        try:
            posix.kill(-1, 0)
        except ProcessLookupError:
            posix._exit(0)
        except PermissionError:
            pass  # somebody is there
        sleep(1)


def execute(entry: Entry, channels: Channels) -> None:
    """Say that all is dropped, wait for the go, and execute the command; end with the reason where that can't be."""
    if not entry.plan["detach"]:
        channels.check()
    channels.say("R")
    plan = entry.plan
    words = [encode(word) for word in plan["command"]]
    commands = candidates(words, plan["shell"], entry.credentials)
    env, own = entry.environment, entry.environment.get(b"PATH", DEFAULT_PATH)
    if entry.tools:
        env[b"PATH"] = own + b":" + entry.tools.path
    channels.wait()
    if entry.connector:
        channels.close_inner()
        entry.connector.run()
    failure = become(commands, env, own)
    if entry.tools and failure.errno in (ENOENT, ENOTDIR):
        failure = become(commands, env, entry.tools.path)  # after the container's: even its sh before our bash
    channels.say("F", "execve", status_for(failure.errno or 0), failure.errno, failure.strerror)
    posix._exit(status_for(failure.errno or 0))


def candidates(command: list[bytes], shell: "str | None", credentials: "Credentials | None") -> list[list[bytes]]:
    """List the commands to try: the one that was asked for, or shells in the order of preference."""
    if command:
        return [command]
    if shell:
        return [[encode(shell)]]
    found = [[name] for name in SHELLS] + [[b"/bin/sh"]]
    login = encode(credentials.shell) if credentials else b""
    if login.startswith(b"/") and login.rpartition(b"/")[2] not in NO_SHELLS:
        found.insert(0, [login])
    return found


def become(commands: list[list[bytes]], env: dict[bytes, bytes], path: bytes) -> OSError:
    """Execute the first candidate that can be, looked for in the directories of a path; return why none could.

    ENOENT of a file that exists is a missing interpreter, which must not read as a missing command.
    """
    failure = OSError(ENOENT, posix.strerror(ENOENT), "execve")
    for command in commands:
        failure = _search(command, env, path)
        if failure.errno not in (ENOENT, ENOTDIR):
            break
    return failure


def _search(command: list[bytes], env: dict[bytes, bytes], path: bytes) -> OSError:
    """Try a command in each directory of a path, as execvp(3) does, and return the best reason."""
    name = command[0]
    if b"/" in name:
        return _execute(name, command, env)
    best = OSError(ENOENT, posix.strerror(ENOENT), "execve")
    if not name:
        return best
    for directory in path.split(b":"):
        failure = _execute((directory or b".") + b"/" + name, command, env)
        if failure.errno in (EACCES, EPERM):
            best = failure
        elif failure.errno not in (ENOENT, ENOTDIR, ELOOP):  # a link to itself: execvp(3) goes on, too
            return failure
    return best


def _execute(path: bytes, command: list[bytes], env: dict[bytes, bytes]) -> OSError:
    """Call execve and return its error."""
    try:
        posix.execve(path, command, env)
    except OSError as problem:
        failure = problem
    except ValueError:  # an empty argv[0] or a NUL byte: no such file can exist
        failure = OSError(ENOENT, posix.strerror(ENOENT), "execve")
    if failure.errno == ENOENT:
        try:
            posix.stat(path)
        except OSError:
            return failure
        return OSError(ENOEXEC, "its interpreter (the #! line or the loader) does not exist", "execve")
    if failure.errno == EACCES:
        try:
            posix.stat(path)
        except OSError as problem:  # the directory, not the file, was refused: PATH goes on
            return problem
    return failure


def status_for(errno: int) -> int:
    """Give the exit status of a command that could not be executed: 127 not found, 126 otherwise."""
    return 127 if errno in (ENOENT, ENOTDIR) else 126
