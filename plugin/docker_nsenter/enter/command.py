"""Become the command: its environment, its place on PATH, its shell where none was named."""

import posix

from .linux.credentials import Credentials
from .target import Target

ENOENT, ENOTDIR, EACCES, EPERM, ENOEXEC, ELOOP, ENAMETOOLONG = 2, 20, 13, 1, 8, 40, 36
DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELLS = (b"bash", b"ash", b"sh")
NO_SHELLS = (b"nologin", b"false", b"true", b"sync", b"halt", b"shutdown")


def encode(text: str) -> bytes:
    """Turn the Plan's text back into the bytes that the user typed."""
    return text.encode("utf-8", "surrogateescape")


def environment(given: "dict[str, object]", target: Target, credentials: "Credentials | None") -> dict[bytes, bytes]:
    """Build the environment: later entries win, and HOME comes from the container's passwd as runc does it."""
    found: dict[bytes, bytes] = {}
    words: list[bytes] = []
    if given["base"] == "target":
        words += target.read("environ").split(b"\0")
    settings = given["set"]
    assert isinstance(settings, list)
    words += [encode(word) for word in settings]
    for word in words:
        name, equals, value = word.partition(b"=")
        if name and equals:
            found[name] = value
    if credentials and not found.get(b"HOME"):
        found[b"HOME"] = encode(credentials.home) or b"/"
    return found


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
