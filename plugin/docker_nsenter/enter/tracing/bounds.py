"""Know the limits that make a call fail or end a process: the cgroup's, the process's own (ulimit), a disk's.

The cgroup counts what it refuses (pids.events, memory.events; v1: memory.oom_control, memory.failcnt); a count that has
risen since the command began is the proof.
"""

import _signal

from ..errors import printable
from ..linux import cgroups, limits, lsm, syscalls
from ..linux.procfs import lines, read
from . import tracee
from .refused import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .refused import Scene

EAGAIN, ENOMEM, ENFILE, EMFILE, EFBIG, ENOSPC, EDQUOT = 11, 12, 23, 24, 27, 28, 122
ALWAYS = (ENFILE, EMFILE, EFBIG, ENOSPC, EDQUOT)
FORKS = ("clone", "clone3", "fork", "vfork")
MAPS = ("mmap", "mremap")
LOCKS = ("mlock", "mlockall")
CPU, FSIZE, DATA, NPROC, NOFILE, MEMLOCK, AS = 0, 1, 2, 6, 7, 8, 9
# RLIMIT_*: docker's name for it, ulimit's letter, what SYS_RESOURCE can raise it to (fs.nr_open's default bounds files)
ULIMITS = {
    CPU: ("cpu", "-t", "unlimited"),
    FSIZE: ("fsize", "-f", "unlimited"),
    DATA: ("data", "-d", "unlimited"),
    NOFILE: ("nofile", "-n", "1048576"),
    MEMLOCK: ("memlock", "-l", "unlimited"),
    AS: ("as", "-v", "unlimited"),
}
INOTIFY = {"inotify_init": "instances", "inotify_init1": "instances", "inotify_add_watch": "watches"}


def limited(name: str, errno: int) -> bool:
    """Tell whether an errno of a call may be a limit's."""
    if errno in ALWAYS:
        return True
    return (errno == EAGAIN and name in (*FORKS, *LOCKS)) or (errno == ENOMEM and name in (*MAPS, *LOCKS))


class Bounds:
    """Hold the limits as they were when the command began, and the cgroups' counts."""

    def __init__(self, pid: int, scene: "Scene") -> None:
        """Look while the command waits for its go; what is not to be found here is not known later."""
        self._scene = scene
        self.rlimits = limits.parse(read(f"/proc/{pid}/limits"))
        self.makes_devices = _policy_gives(pid, "mknod")
        self._seen: dict[tuple[str, str], int] = {}
        try:
            rows, hierarchies = (
                cgroups.parse(read(f"/proc/{pid}/cgroup")),
                cgroups.mounts(lines("/proc/self/mountinfo")),
            )
            self._pids, self._memory = (_places(rows, hierarchies, kind) for kind in ("pids", "memory"))
        except OSError:  # a cgroup that cannot be seen from here
            self._pids, self._memory = [], []
        for place in self._pids:
            self._risen(f"{place}/pids.events", "max", all_of_it=True)
        for place in self._memory:
            for file, key in (("memory.events", "oom_kill"), ("memory.oom_control", "oom_kill"), *HIT):
                self._risen(f"{place}/{file}", key, all_of_it=True)

    def explain(self, thread: int, name: str, arguments: list[int], errno: int, shown: str) -> "Refused | None":
        """Name the limit that a call has met."""
        if errno in (ENOSPC, EDQUOT):
            return _full(thread, name, arguments, errno, shown)
        if errno == ENFILE:
            return Refused(shown, errno, ["this machine has as many open files as it may (fs.file-max)"], [])
        if errno == EMFILE and name in INOTIFY and not self._tight(thread, NOFILE):
            return _inotify(shown, errno, name)
        if name in FORKS:
            return self._no_process(thread, errno, shown)
        resource = {EMFILE: NOFILE, EFBIG: FSIZE}.get(errno, MEMLOCK if name in LOCKS else AS)
        if resource == AS and not self._tight(thread, AS):
            resource = DATA
        if errno not in (EMFILE,) and not self._tight(thread, resource):
            return None if errno == ENOMEM else Refused(shown, errno, ["the file system takes no larger file"], [])
        return self.rlimit(thread, resource, errno, shown)

    def rlimit(self, thread: int, resource: int, errno: int, shown: str) -> Refused:
        """Name a limit of the process's own, and how it is raised, unless the command has set it itself."""
        name, letter, most = ULIMITS[resource]
        soft, hard = self._limits(thread)[resource]
        layer = f"the limit {name} ({_shown(soft)}, docker run --ulimit {name}=…) is reached"
        if self.rlimits[resource] != (soft, hard):
            return Refused(
                shown, errno, [f"the limit {name} ({_shown(soft)}), which the command has set, is reached"], []
            )
        if soft < hard:
            refused = Refused(shown, errno, [layer], [])
            value = f'"$(ulimit -H {letter})"'
            if resource == NOFILE and hard == syscalls.RLIM_INFINITY:
                value = most
        else:
            refused = Refused(shown, errno, [layer], ["--cap-add", "SYS_RESOURCE"])
            value = most
        both = "" if soft < hard else f"ulimit -H {letter} {value} && "
        refused.wrapped = ["sh", "-c", f'{both}ulimit -S {letter} {value} && exec "$@"', "sh"]
        return refused

    def memory_kill(self, shown: str) -> "Refused | None":
        """Tell whether the kernel has ended one more process of the cgroup for its memory, and by which limit."""
        leaf = self._memory[0] if self._memory else ""
        if not leaf or not any(
            self._risen(f"{leaf}/{file}", "oom_kill") for file in ("memory.events", "memory.oom_control")
        ):
            return None
        for place in self._memory:
            if any(self._risen(f"{place}/{file}", key, keep=True) for file, key in HIT):
                size = _first(place, ("memory.max", "memory.limit_in_bytes"))
                more = ["--memory", f"{2 * size >> 10}k", "--memory-swap", f"{4 * size >> 10}k"]
                return self._ending(self._of_cgroup(shown, 0, place, ("the memory limit", _bytes(size)), more))
        return self._ending(
            Refused(shown, 0, ["this machine has no memory left, and the kernel chose this process"], [])
        )

    def _ending(self, refused: Refused) -> Refused:
        refused.reason = f"ended by SIGKILL ({int(_signal.SIGKILL)})"
        return refused

    def _no_process(self, thread: int, errno: int, shown: str) -> Refused:
        """Name what lets no process more be: the cgroup's limit, that of a user, the machine's."""
        finite = [place for place in self._pids if _most(place, "pids.max") < 1 << 62]
        full = [place for place in finite if _number(place, "pids.current") >= _most(place, "pids.max")]
        counted = [place for place in self._pids if self._risen(f"{place}/pids.events", "max")]
        if full or (counted and finite):
            place = (full or finite)[0]
            most = _most(place, "pids.max")
            more = ["--pids-limit", str(2 * most)]
            return self._of_cgroup(shown, errno, place, ("the limit of processes", f"pids: {most}"), more)
        soft, hard = self._limits(thread)[NPROC]
        if soft == syscalls.RLIM_INFINITY:
            return Refused(
                shown, errno, ["this machine takes no more processes (kernel.threads-max, kernel.pid_max)"], []
            )
        layer = f"the limit nproc ({soft}, docker run --ulimit nproc=…), which counts all processes of the same user"
        if soft == hard or self.rlimits[NPROC] != (soft, hard):
            return Refused(shown, errno, [layer], ["--user", "0"])
        refused = Refused(shown, errno, [layer], [])
        refused.wrapped = [
            "sh",
            "-c",
            f'{{ ulimit -S -u {hard} || ulimit -S -p {hard}; }} 2>/dev/null; exec "$@"',
            "sh",
        ]
        return refused

    def _of_cgroup(self, shown: str, errno: int, place: str, limit: tuple[str, str], more: list[str]) -> Refused:
        """Say whose limit it is, by its name and how much it is.

        The container's own can be raised to `more`: by docker update, or else by a new container.
        """
        (what, most), scene = limit, self._scene
        if not scene.container or scene.container not in place:
            return Refused(shown, errno, [f"{what} ({most}) of {printable(place)} on this machine is reached"], [])
        anew = "" if scene.updates else f", docker run {more[0]}=…"
        refused = Refused(shown, errno, [f"{what} ({most}{anew}) of the container is reached"], [])
        if scene.updates:
            refused.update = more
        return refused

    def _limits(self, thread: int) -> dict[int, tuple[int, int]]:
        try:
            return limits.parse(read(f"/proc/{thread}/limits"))
        except OSError:
            return self.rlimits

    def _tight(self, thread: int, resource: int) -> bool:
        """Tell whether a limit is one that can be met."""
        return self._limits(thread).get(resource, (syscalls.RLIM_INFINITY, 0))[0] < 1 << 40

    def _risen(self, path: str, key: str, *, all_of_it: bool = False, keep: bool = False) -> bool:
        """Tell whether a count is higher than when it was looked at last; each rise explains one failure."""
        try:
            text = read(path).decode("ascii", "replace")
        except OSError:
            return False
        found = next((line.split()[-1] for line in text.splitlines() if line.split()[0] == key or not key), "0")
        before, value = self._seen.get((path, key), 0), int(found)
        if not keep:
            self._seen[path, key] = value if all_of_it else min(value, before + 1)
        return value > before


def _policy_gives(pid: int, capability: str) -> bool:
    """Tell whether SELinux will let a command use a capability: where not that is EPERM, as from a cgroup's list."""
    try:
        label = lsm.pending(pid) or read(f"/proc/{pid}/attr/current").rstrip(b"\0\n").decode("ascii", "replace")
        policy = lsm.selinuxfs() if lsm.active() == "selinux" else ""
        enforced = policy and read(f"{policy}/enforce") != b"0"
        return not enforced or lsm.allows(policy, label, label, "capability", capability)
    except OSError:  # no security module, or one that can't be asked from here
        return True


HIT = (("memory.events.local", "oom"), ("memory.failcnt", ""))  # the limit that was met, of v2 and v1


def _places(rows: list[tuple[str, str]], hierarchies: dict[str, tuple[str, str]], kind: str) -> list[str]:
    """List a process's cgroup for a controller and those above it, as directories."""
    row = next((row for row in rows if kind in row[0].split(",")), None) or next(row for row in rows if not row[0])
    place, top = cgroups.directory(hierarchies, *row), hierarchies[row[0].split(",", maxsplit=1)[0]][1]
    found = []
    while len(place) > len(top):
        found.append(place)
        place = place.rpartition("/")[0]
    return found


def _first(place: str, names: tuple[str, ...]) -> int:
    return min(_most(place, name) for name in names)


def _most(place: str, name: str) -> int:
    """Read a limit; a very great number where there is none."""
    return _number(place, name) if _number(place, name) >= 0 else 1 << 63


def _number(place: str, name: str) -> int:
    try:
        text = read(f"{place}/{name}").strip()
    except OSError:
        return -1
    return int(text) if text.isdigit() else -1


def _shown(value: int) -> str:
    return "unlimited" if value == syscalls.RLIM_INFINITY else str(value)


def _bytes(size: int) -> str:
    """Write a size as people do."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >> shift:
            return f"{size / (1 << shift):.4g} {unit}"
    return f"{size} B"


def _inotify(shown: str, errno: int, name: str) -> Refused:
    what = f"fs.inotify.max_user_{INOTIFY[name]}"
    return Refused(shown, errno, [f"this machine's {what}, which counts for each user, is reached: sysctl {what}"], [])


def _full(thread: int, name: str, arguments: list[int], errno: int, shown: str) -> Refused:
    """Name the file system that is full."""
    if name in INOTIFY:
        return _inotify(shown, errno, name)
    if name in (*FORKS, "unshare"):
        return Refused(shown, errno, ["this machine's limit of namespaces (sysctl user) is reached"], [])
    path = tracee.path(thread, name, arguments)
    fd = arguments[1 if name in ("sendfile",) else 2 if name in ("copy_file_range", "splice") else 0]
    mount = tracee.mount_at(thread, path) if path else tracee.mount_of(thread, fd)
    if not mount:
        return Refused(shown, errno, ["there is no room left for it"], [])
    place = f"root{mount.point}" if path else f"fd/{fd & 0xFFFFFFFF}"
    blocks, files = tracee.room(thread, place)
    if errno == EDQUOT:
        what = "has a quota, which is used up"
    elif files == 0 and blocks != 0:
        what = "can hold no more files (inodes)"
    else:
        what = "is full"
    lifting = (
        f"; docker run --tmpfs {printable(mount.point)}:size=… makes a larger one" if mount.kind == "tmpfs" else ""
    )
    whose = " (the container's own layer, on the engine's disk)" if mount.point == "/" else ""
    layer = f"{mount.kind} at {printable(mount.point)}{whose} {what}: what is deleted there makes room{lifting}"
    return Refused(shown, errno, [layer], [])
