"""Keep what a command has beyond the container's processes out of their reach, by the kernel's own rule.

ptrace_may_access (kernel/ptrace.c) hands a process's files, memory and descriptors to whoever has its ids and every
capability that it is permitted, or CAP_SYS_PTRACE in its user namespace. Root of a container takes on any ids, so a
command that dropped to the container's capabilities is open to it. Such a command also holds a guard: a capability that
does nothing here, and that no process which can see the command has in its bounding set, or can ever get.
"""

import posix
from fcntl import ioctl
from time import sleep

from ..errors import EntryError, say
from ..linux import capabilities, lsm
from ..linux.procfs import read, read_if_there
from ..target import parse_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..entry import Entry
    from ..hints import Change

DOCKERS = 0xA80425FB  # what docker gives by default: a container may begin a moment after we looked
NS_GET_PARENT = 0xB702  # ioctl_ns(2)
GONE, DENIED = (2, 3), (1, 13)  # ENOENT, ESRCH; EPERM, EACCES
ST_RDONLY = 1
WAITS = (0, 0.01, 0.05, 0.2, 0.5)  # seconds; who passes is looked at again: another entry's installer soon ends
PASSES = 3  # over /proc, should a process end while it is looked at: its child may have been missed
HELPERS = (b"docker_nsenter.enter.helper", b"docker-nsenter: ")  # of another docker nsenter: no news


class Seen:
    """Hold what the processes that can see the command could ever hold."""

    bounding = DOCKERS  # the union of those that are no more than a container's
    passes = by = 0  # a process that passes any guard, and by which capabilities
    root = 0  # one that is this machine's root anyway
    vanished = False


def choose(entry: "Entry") -> None:
    """Give the command a guard if it has what the container's processes have not; EntryError where none helps."""
    entry.beyond = beyond(entry)
    if not entry.beyond:
        return
    seen = _look(entry)
    if seen.passes:
        raise EntryError(
            f"process {seen.passes} of a container could take over this command by its capabilities "
            f"({' '.join(capabilities.names(seen.by)) or 'it owns the user namespace'}), and so get "
            f"{', '.join(entry.beyond)}",
            _safe_line(entry),
        )
    if seen.root and not _is_helper(seen.root):
        say(f"process {seen.root} of a container can reach this command: it is this machine's root anyway")
    _hold(entry, seen)


def _is_helper(pid: int) -> bool:
    """Tell whether a process is a helper of another docker nsenter; or has ended, which is nobody either."""
    words = read_if_there(f"/proc/{pid}/cmdline")
    return not words or any(each in words for each in HELPERS)


def _hold(entry: "Entry", seen: Seen) -> None:
    """Take what the command holds already if nobody else can have it, or add the most harmless of the rest."""
    theirs = entry.target.status["CapBnd"][0]
    unique = entry.permitted & ~seen.bounding & ~theirs
    if unique:
        entry.guard = unique & -unique
        return
    ceiling = entry.own.status["CapBnd"][0] & entry.own.status["CapPrm"][0]
    dropped = entry.plan["capabilities"]["drop"]
    able = [1 << capabilities.NUMBERS[name] for name in capabilities.HARMLESS]
    able = [bit for bit in able if bit & ceiling & ~seen.bounding]
    if not able:
        raise EntryError(
            f"containers could take over this command, as no capability is left that they lack, and so get "
            f"{', '.join(entry.beyond)}",
            _safe_line(entry),
        )
    entry.guard = min(able, key=lambda bit: bit & (theirs | dropped) != 0)
    entry.bounding |= entry.guard
    entry.permitted |= entry.guard
    if not entry.is_root():
        entry.ambient |= entry.guard  # what root executes gets the bounding set, what others execute only this


def beyond(entry: "Entry") -> list[str]:
    """Say what the command has that the container's processes have not."""
    plan, status = entry.plan, entry.target.status
    found = [
        f"this machine's {WORDS.get(name, f'{name} namespace')}"
        for name in entry.ours
        if name not in entry.joined
        and not (name == "pid" and entry.own_pids)
        and entry.target.namespace(name) != entry.ours[name]
    ]
    if plan["seccomp"] == "unconfined" and status["Seccomp"] == [2]:
        found.append("no seccomp filter")
    if not entry.no_new_privs and status["NoNewPrivs"] == [1]:
        found.append("new privileges")
    if not plan["cgroups"] and not found:
        found.append("no limits of its cgroup")
    if entry.bounding & ~status["CapBnd"][0]:
        found.append("more capabilities")
    if lsm.active() and (entry.label or lsm.label_of(None)) != lsm.label_of(entry.target):
        found.append("another security label")
    return found


WORDS = {"mnt": "files", "net": "network", "pid": "processes"}


# --- who can see it ------------------------------------------------------------------------------------------------


def _look(entry: "Entry") -> Seen:
    """Look at every process that can see the command, and again at who passes: it may have dropped its power since."""
    for wait in WAITS:
        sleep(wait)
        seen = _look_once(entry)
        if not (seen.passes or (seen.root and wait == WAITS[0])):
            break
    return seen


def _look_once(entry: "Entry") -> Seen:
    """Find what those processes could ever hold that can see the command and may be a container's."""
    views, above = _views(entry)
    host_root = posix.stat(entry.host_root)[1:3]
    own = {entry.ours["mnt"], posix.readlink("/proc/self/ns/mnt")}
    user = entry.target.namespace("user") if "user" in entry.joined else entry.ours["user"]
    seen = Seen()
    for _ in range(PASSES):
        seen.vanished = False
        for pid, thread in _strangers(own, seen):
            try:
                pids, owner = posix.readlink(f"{thread}/ns/pid"), posix.readlink(f"{thread}/ns/user")
                if pids not in views or owner not in (user, *above) or _is_hosts(thread, host_root):
                    continue
                bounding = parse_status(read(f"{thread}/status"))["CapBnd"][0]
                hosts = pids == entry.ours["pid"]
                _weigh(seen, entry, pid, bounding, hosts=hosts, above=owner != user, named=not hosts or _named(thread))
            except OSError as problem:
                seen.vanished |= problem.errno in GONE
                if problem.errno not in (*GONE, *DENIED):
                    raise
        if not seen.vanished:
            break
    return seen


def _views(entry: "Entry") -> tuple[set[str], set[str]]:
    """Name the pid namespaces whose processes can see the command's, and the user namespaces above its own."""
    views, above = {entry.ours["pid"]}, set()
    if "pid" in entry.joined:
        views |= {entry.target.namespace("pid"), *_parents(entry, "pid")}
    if "user" in entry.joined:
        above = _parents(entry, "user")
    return views, above


def _parents(entry: "Entry", kind: str) -> set[str]:
    """Name the namespaces above the target's, as far as we may see them."""
    found = set()
    fd = posix.open(f"ns/{kind}", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=entry.target.proc)
    try:
        while True:
            above = ioctl(fd, NS_GET_PARENT)
            posix.close(fd)
            fd = above
            found.add(posix.readlink(f"/proc/self/fd/{fd}"))
    except OSError as problem:
        if problem.errno != 1:  # EPERM: above is none, or none of ours
            raise
    finally:
        posix.close(fd)
    return found


def _strangers(own: set[str], seen: Seen) -> "Iterator[tuple[int, str]]":
    """Yield the threads, each with capabilities of its own, of the processes in other mount namespaces than ours."""
    for pid in posix.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            if posix.readlink(f"/proc/{pid}/ns/mnt") in own:
                continue
        except OSError as problem:
            if problem.errno in DENIED:  # it is of a user namespace that we have no power over
                continue
            if problem.errno not in GONE:
                raise
        try:
            threads = posix.listdir(f"/proc/{pid}/task")  # also of a process whose first thread has ended
        except FileNotFoundError:
            seen.vanished = True
            continue
        for thread in threads:
            yield int(pid), f"/proc/{pid}/task/{thread}"


def _is_hosts(thread: str, root: tuple[int, ...]) -> bool:
    """Tell whether a process has the host's files: a service with mounts of its own, or a command of ours.

    A container that was given the host's files read-only could change to them as its root; its cgroup still names it.
    """
    if posix.stat(f"{thread}/root")[1:3] != root:
        return False
    return not posix.statvfs(f"{thread}/root").f_flag & ST_RDONLY or not _named(thread)


def _named(thread: str) -> bool:
    """Tell whether its cgroup names a container, which ours does not: docker, containerd, podman and CRI-O all do."""
    return bool(_ids(read(f"{thread}/cgroup")) - _ids(read("/proc/self/cgroup")))


def _ids(text: bytes) -> set[bytes]:
    """Find the words of 64 hexadecimal digits."""
    words = text.translate(bytes.maketrans(b"-./:\n", b"     ")).split()
    return {word for word in words if len(word) == 64 and not word.strip(b"0123456789abcdef")}


def _weigh(seen: Seen, entry: "Entry", pid: int, bounding: int, *, hosts: bool, above: bool, named: bool) -> None:
    """Add what one process can ever hold; `hosts` tells that it sees the host's processes.

    `above` tells that it is of a user namespace above the command's: the owner of that has every capability there.
    """
    ceiling = entry.own.status["CapBnd"][0] & entry.own.status["CapPrm"][0]
    takes = bounding & capabilities.SYS_PTRACE
    # perfmon_capable: environ, auxv and maps open to both (may_access_mm in kernel/fork.c, seen with Linux 6.18)
    reads = bounding & (capabilities.SYS_ADMIN | capabilities.PERFMON) if entry.own.initial_userns else 0
    module = bounding & capabilities.SYS_MODULE and entry.own.initial_userns
    at_home = "user" not in entry.joined or above  # its capabilities are those of the host's user namespace
    # In a user namespace of an engine's own a container with all of them still has its own files only
    everything = entry.own.initial_userns and not ceiling & ~bounding
    if at_home and (module or everything or (hosts and takes and bounding & capabilities.SYS_ADMIN)):
        seen.root = seen.root or (pid if named else 0)
    elif takes or above or (at_home and reads):
        seen.passes, seen.by = pid, takes or reads
    else:
        seen.bounding |= bounding


def _safe_line(entry: "Entry") -> "Change":
    """Make it a full entry with the same command, which has nothing that the container has not."""
    tools = ["--tools", "host"] if "mnt" not in entry.joined and entry.plan["command"] else []
    return {"full": True, "add": tools}
