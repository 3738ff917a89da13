"""Keep the Plans of several containers out of the memory of who enters one: each tells of another's variables.

A command's process begins as a copy of ours, and a container that may trace it (CAP_SYS_PTRACE) reads what we have
read, also long ago: Python wipes nothing that it frees. So a document goes unread into a memfd, of which each process
reads its own part. It is a letter, and the parts, each behind its length (session/frames.py): the head, what the
collector has to know, a Plan for each entry.
"""

import posix

from .errors import EntryError
from .session.frames import SIZE

PIECE = 1 << 16


def spool(source: int, size: int = 1 << 62) -> int:
    """Move what can be read from a descriptor, or `size` bytes of it, into a memfd; nothing of it stays in here."""
    memory = posix.memfd_create("plans", 1)
    buffer = memoryview(bytearray(PIECE))
    while size and (got := posix.readv(source, [buffer[: min(size, PIECE)]])):
        size -= got
        written = 0
        while written < got:
            written += posix.write(memory, buffer[written:got])
    buffer[:] = bytes(PIECE)
    return memory


class Document:
    """Hold where the parts stand in the memfd, which the descriptor `memory` leads to."""

    def __init__(self, source: int) -> None:
        """Take a document whose letter has been read; EntryError where it is not whole."""
        self.memory = spool(source)
        posix.close(source)
        self._places: list[tuple[int, int]] = []
        at, end = 0, posix.fstat(self.memory).st_size
        while at < end:
            size = int.from_bytes(posix.pread(self.memory, SIZE, at), "big")
            self._places.append((at + SIZE, size))
            at += SIZE + size
        self.plans = len(self._places) - 2  # how many there are
        if at != end or self.plans < 0:
            raise EntryError("the plan for several containers is not whole")

    def head(self) -> bytes:
        """Read what who starts the entries has to know."""
        return self._part(0)

    def shown(self) -> bytes:
        """Read what who collects their output has to know."""
        return self._part(1)

    def plan(self, index: int) -> bytes:
        """Read one Plan: only in the process that enters by it."""
        return self._part(2 + index)

    def _part(self, number: int) -> bytes:
        place, size = self._places[number]
        return posix.pread(self.memory, size, place)
