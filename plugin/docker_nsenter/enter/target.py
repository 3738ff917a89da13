"""Pin the container's process, make sure that it is the container's, and read what the kernel says of it."""

import posix

from .errors import EXEC, EntryError
from .linux import syscalls
from .linux.procfs import read
from .membership import belongs

# /proc/PID/status: the fields that an entry needs, and the base of their numbers
FIELDS = {
    **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigIgn", "SigCgt"), 16),
    **dict.fromkeys(("NoNewPrivs", "Seccomp", "Seccomp_filters", "PPid", "TracerPid", "Uid", "Gid", "Groups"), 10),
    "NSpid": 10,
    "Umask": 8,
}


def parse_status(text: bytes) -> dict[str, list[int]]:
    """Parse /proc/PID/status into whole numbers per field (proc_pid_status(5)).

    A process's name stands there too, and may hold all but a newline: only behind one is a field's name one.
    """
    found: dict[str, list[int]] = {}
    text = b"\n" + text
    for name, base in FIELDS.items():
        _, mark, rest = text.partition(b"\n" + name.encode() + b":")
        if mark:
            found[name] = [int(word, base) for word in rest.partition(b"\n")[0].split()]
    return found


class Target:
    """Hold one process by its /proc directory and a pidfd, so that a reused PID can't be mistaken for it."""

    _root = -1

    def __init__(self, pid: int) -> None:
        """Pin `pid`; EntryError when there is no such process."""
        self.pid = pid
        try:
            self.proc = posix.open(f"/proc/{pid}", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
            self.pidfd = syscalls.pidfd_open(pid)
            # The directory was opened first and still answers: both name the same process.
            self.text = self.read("status")
            self.status = parse_status(self.text)
        except OSError as problem:
            if problem.errno in (2, 3):  # ENOENT, ESRCH: it is gone
                raise EntryError(f"process {pid} no longer exists", {"docker": ["ps", "-a"]}) from None
            raise

    def read(self, name: str) -> bytes:
        """Read a file of the process's /proc directory."""
        return read(name, at=self.proc)

    def namespace(self, name: str) -> str:
        """Name a namespace of the process by kind and inode, as in `net:[4026531992]`."""
        return posix.readlink(f"ns/{name}", dir_fd=self.proc)

    def root(self) -> int:
        """Open the process's root directory once, as a place to look things up below."""
        if self._root < 0:
            self._root = posix.open("root", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=self.proc)
        return self._root

    def alive(self) -> bool:
        """Tell whether the process still runs: a zombie, which still takes signals, has left its namespaces."""
        try:
            syscalls.pidfd_send_signal(self.pidfd, 0)
            self.namespace("mnt")
        except OSError as problem:
            if problem.errno not in (2, 3, 13):
                raise
            return problem.errno == 13  # EACCES: out of sight from the namespaces that were joined; not ENOENT, ESRCH
        return True


def ended() -> EntryError:
    """Say that the process that was pinned is gone."""
    return EntryError("the container stopped before the command could start")


def pin(pid: int, container: str, owner: int = 0) -> Target:
    """Pin the process and refuse one that is not this container's (container: 64 hexadecimal digits, or '')."""
    target = Target(pid)
    if pid == posix.getpid() or not container:
        return target
    try:
        named = belongs(target.proc, target.text, container, owner)
    except OSError as problem:
        if problem.errno not in (2, 3, 22):  # ENOENT, ESRCH; EINVAL: it is a zombie
            raise
        raise EntryError(f"process {pid} ended before the command could start") from None
    if not named:
        raise EntryError(
            f"process {pid} on this machine does not belong to the container: the engine runs on another kernel, in "
            "another pid namespace, or with a runtime that hides its processes",
            EXEC,
        )
    return target
