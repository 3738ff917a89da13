"""Decide what the command gets as standard input, output and error: never a descriptor of the caller's.

Through an inherited terminal the command could push input into the caller's shell (TIOCSTI, CVE-2016-10124), through a
file reopen it on the host, through a pipe write what the caller's shell reads next. A terminal becomes a pty of the
container's own devpts; everything else a pipe of ours.
"""

import fcntl
import posix
from _stat import S_ISCHR, S_ISFIFO

from .errors import EntryError
from .linux import syscalls
from .linux.mounts import private_null

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hints import Change
    from .plan import Plan

PTMX_DEVICE = 0x502  # character device 5:2
TIOCSPTLCK, TIOCGPTPEER = 0x40045431, 0x5441


class Stdio:
    """Hold the command's three descriptors, and what is to be carried between them and the caller's."""

    def __init__(self) -> None:
        """Begin with nothing opened."""
        self.inner = [-1, -1, -1]
        self.flows: list[tuple[str, int, int, int]] = []  # for pumps.begin
        self.master = self.slave = -1
        self.pipes: list[tuple[int, int]] = []  # those that another process has made

    def take_pipes(self, labels: "tuple[str, str]", uid: int) -> None:
        """Have the pipes made under SELinux's label of the command, if there is one; what is left over ends with us."""
        if labels[1]:
            from .linux import labelled_pipes  # only with SELinux

            self.pipes = labelled_pipes.make(*labels, uid)

    def pipe(self) -> tuple[int, int]:
        """Return a new pipe, (reader, writer)."""
        return self.pipes.pop() if self.pipes else posix.pipe2(posix.O_CLOEXEC)

    def close_inner(self) -> None:
        """Close the command's ends in the supervisor, so that end-of-file can be seen."""
        for fd in {*self.inner, self.slave} - {-1, 0, 1, 2}:
            posix.close(fd)
        self.inner, self.slave = [-1, -1, -1], -1


def fill_standard() -> None:
    """Open /dev/null on each of 0, 1, 2 that the caller closed, so that no other file gets that number."""
    for fd in (0, 1, 2):
        try:
            posix.fstat(fd)
        except OSError as problem:
            if problem.errno != 9:  # EBADF: it is closed
                raise
            posix.open("/dev/null", posix.O_RDWR)


def prepare(plan: "Plan", devpts: int, labels: "tuple[str, str]", uid: int, *, initial_userns: bool) -> Stdio:
    """Open what the command gets; `uid` is its user as the host counts, below `devpts` lies the devpts for a terminal.

    `labels` are SELinux's for the command and for the container's files, '' where there is none. Who is root of a user
    namespace only (not `initial_userns`) may mount no null device, nor can the command change the inode of the host's.
    """
    io = Stdio()
    if plan["detach"] and not plan["tty"]:
        null = private_null(labels[1]) if initial_userns else posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        io.inner = [null, null, null]
        return io
    if plan["tty"]:
        io.master, io.slave = open_pty(devpts)
        io.inner = [io.slave, io.slave, io.slave]
        from .session.terminal import window_size  # only for a terminal

        size = window_size()
        if size:
            fcntl.ioctl(io.master, syscalls.TIOCSWINSZ, size)
        if plan["detach"]:
            return io
        posix.set_blocking(io.master, False)
        if plan["stdin"]:
            io.flows.append(("inward", 0, io.master, -1))
        io.flows.append(("outward", io.master, 1, -1))
        if not posix.isatty(2):
            io.take_pipes(labels, uid)
            io.inner[2] = outward(io, 2)
        return io
    io.take_pipes(labels, uid)
    io.inner[0] = _inward(io) if plan["stdin"] else _end_of_file(io)
    io.inner[1] = outward(io, 1)
    same = posix.fstat(1)[:3] == posix.fstat(2)[:3]
    io.inner[2] = io.inner[1] if same else outward(io, 2)  # one pipe keeps the order of `> file 2>&1`
    return io


def _end_of_file(io: Stdio) -> int:
    reader, writer = io.pipe()
    posix.close(writer)
    return reader


def _inward(io: Stdio) -> int:
    reader, writer = io.pipe()
    posix.set_blocking(writer, False)
    io.flows.append(("inward", 0, writer, reader))
    return reader


def outward(io: Stdio, fd: int) -> int:
    """Make a pipe to one of the caller's descriptors, and return the command's end."""
    reader, writer = io.pipe()
    posix.set_blocking(reader, False)
    io.flows.append(("outward", reader, fd, reader))
    return writer


def open_pty(root: int) -> tuple[int, int]:
    """Open a pty on the devpts below `root` and return (master, slave), trusting no name.

    The multiplexer must be device 5:2, inode 2, on a devpts: a fake or a missing one is refused. The slave comes from
    the master (TIOCGPTPEER, Linux 4.13), never from /dev/pts/N.
    """
    resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
    change: Change = {"without": ["-t", "--tty"], "add": ["-T"]}
    missing = EntryError("cannot allocate a terminal: the container has no devpts of its own", change)
    try:
        probe = syscalls.openat2(root, b"dev/pts/ptmx", posix.O_PATH | posix.O_CLOEXEC, resolve)
    except OSError as problem:
        if problem.errno in (2, 13, 18, 20, 40):
            raise missing from None
        raise
    try:
        found = posix.fstat(probe)
        genuine = (
            S_ISCHR(found.st_mode)
            and found.st_rdev == PTMX_DEVICE
            and found.st_ino == 2
            and syscalls.fstatfs_type(probe) == syscalls.DEVPTS_SUPER_MAGIC
        )
        if not genuine:
            raise missing
        master = posix.open(f"/proc/self/fd/{probe}", posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)
    finally:
        posix.close(probe)
    fcntl.ioctl(master, TIOCSPTLCK, bytes(4))
    slave = fcntl.ioctl(master, TIOCGPTPEER, posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)
    return master, slave


def give_to(io: Stdio, uid: int) -> None:
    """Make the command's user (as the host counts) the owner, so that it can reopen /dev/stdout."""
    for fd in set(io.inner):
        found = posix.fstat(fd)
        if found.st_uid != uid and (fd == io.slave or S_ISFIFO(found.st_mode)):
            posix.fchown(fd, uid, -1)


def take_over(io: Stdio) -> None:
    """Make the prepared descriptors 0, 1 and 2 of this process."""
    # Copies above 2 first: one of them may be a number that the next dup2 overwrites.
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in io.inner]
    for number, fd in enumerate(copies):
        posix.dup2(fd, number, True)
        posix.close(fd)
