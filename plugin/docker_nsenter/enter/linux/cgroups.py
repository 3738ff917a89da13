"""Put the command into the container's cgroups, so that its limits hold for it too (cgroups(7)).

Moving another process by cgroup.procs waits for an RCU grace period, 5 to 20 ms. A process that writes 0 to the `tasks`
file of a v1 hierarchy moves itself without it, and on v2 it can be born there (CLONE_INTO_CGROUP, Linux 5.7).
"""

import posix

from ..errors import EntryError
from ..target import Target
from .procfs import lines, read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Own = tuple[list[tuple[str, str]], dict[str, tuple[str, str]]]


def parse(text: bytes) -> list[tuple[str, str]]:
    """Parse /proc/PID/cgroup into (controllers, path) rows; controllers are '' for v2."""
    rows = []
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        _, controllers, path = line.split(":", 2)
        rows.append((controllers, path))
    return rows


def mounts(mountinfo: "Iterable[bytes]", wanted: "set[str] | None" = None) -> dict[str, tuple[str, str]]:
    """Map each hierarchy's controllers ('' for v2) to (root, mount point), as the lines of mountinfo show them.

    No more lines are taken than it takes to find the `wanted`: behind them may be hundreds of containers' mounts.
    """
    found: dict[str, tuple[str, str]] = {}
    for line in mountinfo:
        if b" - cgroup" not in line:
            continue
        before, _, after = line.decode("utf-8", "surrogateescape").partition(" - ")
        kind, _, rest = after.partition(" ")
        root, point = before.split(" ", 5)[3:5]
        options = [""] if kind == "cgroup2" else rest.split(" ")[-1].split(",")
        for option in options:
            found.setdefault(option, (root, point))
        if wanted is not None and wanted <= found.keys():
            break
    return found


def directory(hierarchies: dict[str, tuple[str, str]], controllers: str, path: str) -> str:
    """Find where a cgroup lies below /sys/fs/cgroup; OSError(ENOENT) when its hierarchy is not mounted here."""
    root, point = hierarchies.get(controllers.split(",", maxsplit=1)[0], ("", ""))
    prefix = root.rstrip("/")
    if not point or ".." in path.split("/") or not (path + "/").startswith(prefix + "/"):
        raise OSError(2, f"the container's cgroup {path} is not below a cgroup mount of this machine", "open")
    return (point + path[len(prefix) :]).rstrip("/")


def own() -> "Own":
    """Read which cgroups this process is in, one of each hierarchy, and where those are mounted."""
    rows = parse(read("/proc/self/cgroup"))
    return rows, mounts(lines("/proc/self/mountinfo"), {controllers.partition(",")[0] for controllers, _ in rows})


class Cgroups:
    """Hold the open files through which the command joins: v1 `tasks`, and the v2 directory or -1."""

    def __init__(self, target: Target, own: "Own", *, wanted: bool, only: str = "") -> None:
        """Open them while the host's files are still ours; those that we are in already (`own`) are left out.

        Without the host's root only those are joined that are named by the container (`only`): where a rootless engine
        makes none, its containers are in the engine's own, which limit nothing of theirs.
        """
        self.tasks: list[int] = []
        self.unified = -1
        self.rows = [row for row in parse(target.read("cgroup")) if only in row[1]]
        self._places: dict[str, str] = {}  # where each controller's cgroup of the container lies
        for controllers, path in (row for row in self.rows if row not in own[0]):
            try:
                place = directory(own[1], controllers, path)
                self._places.update(dict.fromkeys(controllers.split(","), place))
                if wanted and controllers:
                    self.tasks.append(posix.open(f"{place}/tasks", posix.O_WRONLY | posix.O_CLOEXEC))
                elif wanted:
                    self.unified = posix.open(place, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
            except OSError:
                if wanted:
                    raise

    def frozen(self, kinds: tuple[str, ...] = ("freezer", "")) -> bool:
        """Tell whether the container is frozen (docker pause): then nothing in its cgroup runs, nor would we.

        A v1 `freezer` holds its processes where no tracer can stop them; one of v2 lets them be traced (cgroup-v2.rst).
        """
        return any(
            _says(f"{self._places[kind]}/{FREEZERS[kind][0]}", FREEZERS[kind][1])
            for kind in kinds
            if kind in self._places
        )

    def join(self) -> None:
        """Move this process into the v1 hierarchies."""
        for fd in self.tasks:
            posix.write(fd, b"0")

    def attach(self, pid: int) -> None:
        """Move a process into the v2 cgroup, the slow way."""
        write("cgroup.procs", str(pid).encode(), at=self.unified)


def not_delegated() -> EntryError:
    """Say that the caller may not move himself: his session is not below what systemd gave to his services."""
    return EntryError(
        "cannot join the container's cgroup from this session without root",
        {"before": ["systemd-run", "--user", "--scope"]},
    )


# By controller ('' for v2): the file of a freezer and what it says while it is frozen
FREEZERS = {"freezer": ("freezer.state", (b"FROZEN", b"FREEZING")), "": ("cgroup.events", (b"frozen 1",))}


def _says(path: str, words: tuple[bytes, ...]) -> bool:
    """Tell whether a freezer's file says one of some words; a hierarchy without a freezer has no such file."""
    try:
        text = read(path)
    except FileNotFoundError:
        return False
    return any(word in text for word in words)
