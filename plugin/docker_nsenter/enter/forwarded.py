"""Prepare what connects for --forward, in a command's place: its names, its pipes, an empty root."""

import posix

from . import stdio
from .entry import Entry
from .linux.credentials import read_inside
from .session.connector import Connector
from .session.resolver import Files


class Forwarded(Connector):
    """Hold the connector, and how it is brought to where it runs."""

    def __init__(self, entry: Entry) -> None:
        """Read the container's names with the bounds of its passwd, and take the pipes that were made for it."""
        root = entry.target.root()
        files = Files(*(read_inside(root, path) for path in (b"/etc/hosts", b"/etc/resolv.conf")))
        self.told, tally = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        super().__init__(entry.plan["connect"], files, entry.target.pidfd, tally)
        entry.keep += [entry.target.pidfd, tally]  # it ends with the container, and says what it has carried
        entry.io = stdio.Stdio()
        entry.io.inner = [0, 1, stdio.outward(entry.io, 2)]

    def leave_files(self, joined: list[str]) -> None:
        """Get a root directory that stays empty, for it has been removed; the container's where that is joined."""
        if "mnt" in joined:
            return
        name = f"/tmp/.docker-nsenter-{posix.urandom(16).hex()}"  # noqa: S108 - nobody can know it
        posix.mkdir(name, 0o500)
        fd = posix.open(name, posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
        posix.rmdir(name)
        posix.fchdir(fd)
        posix.chroot(".")
