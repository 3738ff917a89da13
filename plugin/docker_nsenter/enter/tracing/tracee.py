"""Read of a traced thread what its system call is about: memory, paths, mounts. All is hostile, nothing is written.

A path of the container's is walked here link by link: through /proc/PID/root the kernel would follow an absolute
symbolic link to a file of this machine.
"""

import posix

from ..linux.procfs import read
from ..linux.syscall_table import TABLE

ENOENT, ESRCH = 2, 3
AT_FDCWD = 0xFFFFFF9C
LINKS = 40  # as many as the kernel follows
ST_RDONLY, ST_NOSUID, ST_NODEV, ST_NOEXEC = 1, 2, 4, 8  # statvfs(3)


class Mount:
    """Hold a mount as the thread sees it: where it is, of what kind, with which flags."""

    def __init__(self, line: str) -> None:
        """Take a line of mountinfo (proc_pid_mountinfo(5)), which writes blanks in octal."""
        before, _, after = line.partition(" - ")
        words = before.split(" ")
        self.number = words[0]
        self.point = words[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        self.options = words[5].split(",")
        self.kind = after.partition(" ")[0]


def memory(thread: int, address: int, size: int) -> bytes:
    """Read the command's memory; shorter, or nothing, where it has none."""
    try:
        fd = posix.open(f"/proc/{thread}/mem", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return posix.pread(fd, size, address) if address < 1 << 63 else b""
    except OSError:
        return b""
    finally:
        posix.close(fd)


def string(thread: int, address: int) -> str:
    """Read a string of the command's, up to the end of its page."""
    found = b""
    while b"\0" not in found and len(found) < 4096:
        part = memory(thread, address + len(found), 256 - (address + len(found)) % 256)
        if not part:
            break
        found += part
    return found.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def path(thread: int, name: str, arguments: list[int]) -> str:
    """Find the path that a call names, from the root that the thread sees; '' for none."""
    kinds = TABLE.get(name, (0, 0, "", ""))[2]
    if "s" not in kinds:
        return ""
    found = string(thread, arguments[kinds.index("s")])
    if name == "mount":
        found = string(thread, arguments[1])
    if found.startswith("/"):
        return found
    fd = arguments[0] & 0xFFFFFFFF if kinds.startswith("-") else AT_FDCWD
    return f"{_link(thread, 'cwd' if fd == AT_FDCWD else f'fd/{fd}').rstrip('/')}/{found}"


def resolved(thread: int, name: str) -> str:
    """Follow the symbolic links of a path within the thread's root; the last part need not be there."""
    done, todo, links = "", [part for part in name.split("/") if part], 0
    while todo:
        part = todo.pop(0)
        if part in (".", ".."):
            done = done.rpartition("/")[0] if part == ".." else done
            continue
        try:
            link = posix.readlink(f"/proc/{thread}/root{done}/{part}")
        except OSError:
            done += "/" + part
            continue
        links += 1
        if links > LINKS or done.startswith("/proc"):  # /proc/self is ours, and its links lead anywhere
            return ""
        todo = [each for each in link.split("/") if each] + todo
        done = "" if link.startswith("/") else done
    return done or "/"


def mode(thread: int, name: str) -> int:
    """Read the mode of a file of the thread's; 0 for none."""
    place = resolved(thread, name) if name else ""
    try:
        return posix.stat(f"/proc/{thread}/root{place}", follow_symlinks=False).st_mode if place else 0
    except OSError:
        return 0


def mount_at(thread: int, name: str) -> "Mount | None":
    """Find the mount that a path lies on."""
    place = resolved(thread, name)
    found = None
    for mount in _mounts(thread):
        if (place + "/").startswith(mount.point.rstrip("/") + "/") and (
            not found or len(mount.point) >= len(found.point)
        ):
            found = mount
    return found


def mount_of(thread: int, fd: int) -> "Mount | None":
    """Find the mount that an open file lies on."""
    try:
        text = read(f"/proc/{thread}/fdinfo/{fd & 0xFFFFFFFF}").decode("ascii", "replace")
    except OSError:
        return None
    number = text.partition("mnt_id:")[2].split("\n", 1)[0].strip()
    return next((mount for mount in _mounts(thread) if mount.number == number), None)


def room(thread: int, place: str) -> "tuple[int, int]":
    """Tell how many bytes and files a file system still takes; -1 where it has no such limit, or can't be asked."""
    try:
        status = posix.statvfs(f"/proc/{thread}/{place}")
    except OSError:
        return -1, -1
    return status.f_bavail if status.f_blocks else -1, status.f_favail if status.f_files else -1


def name_of(thread: int) -> str:
    """Read the name of a thread's program; '' when it is gone."""
    try:
        return read(f"/proc/{thread}/comm").rstrip(b"\n").decode("utf-8", "replace")
    except OSError:
        return ""


def _mounts(thread: int) -> list[Mount]:
    try:
        text = read(f"/proc/{thread}/mountinfo").decode("utf-8", "surrogateescape")
    except OSError as problem:
        if problem.errno in (ENOENT, ESRCH, 22):  # EINVAL: it is a zombie, which has no mounts
            return []
        raise
    return [Mount(line) for line in text.splitlines()]


def _link(thread: int, name: str) -> str:
    try:
        return posix.readlink(f"/proc/{thread}/{name}")
    except OSError as problem:
        if problem.errno in (ENOENT, ESRCH):
            return ""
        raise
