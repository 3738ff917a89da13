"""Carry the few words of the installer and the command's process to the supervisor, and its go to them.

The words are short lines: `N` (a filter asks a supervisor of its own), `S` (one that forbids the fork must be held off
for it), `P PID` (the installer names its child), `R` (ready: all is dropped), and `F ROLE STEP ERRNO CALL` or `W ROLE
STEP CHANGE TEXT` (failed). The supervisor words the message; it takes a PID only from the installer, and only if the
kernel says that this process is a child of its own.
"""

import posix
from select import poll

LONGEST = 4000  # bytes of a line: a pipe takes it at once (PIPE_BUF)


def number(text: str) -> int:
    """Read a small whole number of a child's; -1 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


class Channels:
    """Hold the pipe with the children's words and the pipe with the supervisor's go."""

    def __init__(self) -> None:
        """Open both, close-on-exec: the end of file tells that execve succeeded."""
        self.words, self._say = posix.pipe2(posix.O_CLOEXEC)
        self._wait, self._go = posix.pipe2(posix.O_CLOEXEC)

    def inner(self) -> list[int]:
        """List the children's ends."""
        return [self._say, self._wait]

    def say(self, *words: object) -> None:
        """Send one line to the supervisor; if that is gone there is nobody to tell."""
        line = " ".join(str(word) for word in words).replace("\n", " ")
        try:
            posix.write(self._say, line.encode("utf-8", "replace")[:LONGEST] + b"\n")
        except BrokenPipeError:
            posix._exit(125)

    def wait(self) -> None:
        """Wait for the go; end of file means that the supervisor died or refused."""
        if posix.read(self._wait, 1) != b"g":
            posix._exit(125)

    def check(self) -> None:
        """End when the supervisor died before the death signal could be set."""
        hung_up = poll()
        hung_up.register(self._wait, 0)
        if hung_up.poll(0):
            posix._exit(125)

    def go(self) -> None:
        """Let the command's process go on."""
        posix.write(self._go, b"g")

    def close_inner(self) -> None:
        """Close the children's ends in the supervisor."""
        posix.close(self._say)
        posix.close(self._wait)

    def close_supervisors(self) -> None:
        """Close the supervisor's ends in a child, which must see that one die."""
        posix.close(self.words)
        posix.close(self._go)
