"""Hold the state of one entry: what was pinned and read, what will be set, what has to be closed."""

import posix

from .errors import EntryError, printable
from .linux import capabilities, capset, cgroups, credentials, lsm, namespaces, seccomp
from .linux.limits import Limits
from .linux.procfs import read
from .stdio import Stdio
from .target import Target, parse_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .config import Config
    from .forwarded import Forwarded
    from .plan import Plan
    from .session.recording import Recording
    from .toolbox.tools import Tools

WHOLE_MAP = [b"0", b"0", b"4294967295"]  # of the initial user namespace: anywhere else our power ends at its border


class Own:
    """Hold what this process is itself, which can be read while another one makes the Plan."""

    def __init__(self, words: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Read it; `words` says where this process's words stand."""
        self.words = words
        self.status = parse_status(read("/proc/self/status"))
        self.initial_userns = read("/proc/self/uid_map").split() == WHOLE_MAP
        present = posix.listdir("/proc/self/ns")
        self.namespaces = {name: namespaces.ours(name) for name in namespaces.NAMES if name in present}
        self.cgroups = cgroups.own()
        lsm.active()  # which remembers it


class Entry:
    """Carry what the steps find out, from one to the next."""

    target: Target
    cgroups: "cgroups.Cgroups | None" = None
    limits: "Limits | None" = None
    credentials: "credentials.Credentials | None" = None
    config: "Config"
    io: Stdio
    tools: "Tools | None" = None
    connector: "Forwarded | None" = None  # in the command's place, for --forward
    label = ""
    files_label = ""  # SELinux's for the container's files, where the command gets a label of its own
    bounding = permitted = ambient = guard = filter_count = 0
    no_new_privs = late_filters = forbids_fork = arrived = dropped = own_pids = False
    proc_tree = docker = -1  # the container's own /proc; the connection to docker

    start_again: "Callable[[], object]"  # in a shelter (hardening/readonly_host.py)

    def __init__(self, plan: "Plan", own: Own, host_mounts: int = -1, host_root: str = "/") -> None:
        """Begin an entry by a checked Plan.

        `host_mounts` is a descriptor of this machine's mount namespace where ours is another, `host_root` the way
        to its files from here.
        """
        self.plan = plan
        self.host_mounts = host_mounts
        self.host_root = host_root
        self.filters: list[seccomp.Filter] = []
        self.joined: list[str] = []
        self.kept: list[str] = []  # of the caller's scheduling, which could not be reset
        self.beyond: list[str] = []  # what the command has that the container's processes have not (guard.py)
        self.recordings: list[Recording] = []
        self.keep: list[int] = []  # descriptors above 2 that the command's process needs until execve
        self.environment: dict[bytes, bytes] = {}
        self.own, self.ours = own, {**own.namespaces}
        if host_mounts >= 0:
            self.ours["mnt"] = posix.readlink(f"/proc/self/fd/{host_mounts}")

    def title(self, role: str) -> str:
        """Say what a process of ours is, for who looks at ps."""
        return f"docker-nsenter: {printable(self.plan['target']['name'])} ({role})"

    def is_root(self) -> bool:
        """Tell whether the command will be root in its user namespace."""
        return (self.credentials.uid if self.credentials else posix.geteuid()) == 0

    def open_root(self) -> int:
        """Open this machine's root directory."""
        return posix.open(self.host_root, posix.O_PATH | posix.O_CLOEXEC)

    def lacks(self, name: str) -> bool:
        """Tell whether the container's programs have to be parted from what is the host's of a kind."""
        return self.mixes(name) and self.plan["capabilities"]["base"] != "caller"

    def mixes(self, name: str) -> bool:
        """Tell whether the container's files are joined without its namespace of a kind, where it has one."""
        elsewhere = name not in self.joined and self.target.namespace(name) != self.ours[name]
        return elsewhere and "mnt" in self.joined

    def host_id(self, number: int, map_name: str) -> int:
        """Translate an id of the command's user namespace to the host's, by the target's map."""
        if "user" not in self.joined:
            return number
        for inside, outside, length in self._map(map_name):
            if inside <= number < inside + length:
                return outside + number - inside
        raise EntryError(f"id {number} is not mapped in the container's user namespace")

    def maps(self, number: int, map_name: str) -> bool:
        """Tell whether an id of ours has one in the target's user namespace."""
        return any(outside <= number < outside + length for _, outside, length in self._map(map_name))

    def _map(self, name: str) -> list[tuple[int, int, int]]:
        """Read the target's map of ids: rows of (inside, ours, how many), as seen from our user namespace."""
        rows = [line.split() for line in self.target.read(name).splitlines()]
        return [(int(inside), int(outside), int(length)) for inside, outside, length in rows]

    def host_groups(self) -> list[int]:
        """List the supplementary groups as the host counts them."""
        groups = self.credentials.groups if self.credentials else []
        return [self.host_id(group, "gid_map") for group in groups]


def resolve(entry: Entry) -> None:
    """Work out who the command will be and which capabilities it will hold."""
    plan, target = entry.plan, entry.target
    _refuse_foreign_files(entry)
    entry.credentials = _credentials(entry)
    wanted = plan["no_new_privs"]
    if wanted is None:
        wanted = target.status["NoNewPrivs"] == [1]
    entry.no_new_privs = wanted or entry.own.status["NoNewPrivs"] == [1]
    entry.label = lsm.choose(target, plan["apparmor"], plan["selinux"], needed=plan["apparmor_needed"])
    if entry.label:
        entry.files_label = lsm.label_of_files(target)
        lsm.permitted(entry.label)
    if plan["limits"]:
        may_raise = entry.own.initial_userns and entry.own.status["CapEff"][0] & capabilities.SYS_RESOURCE != 0
        entry.limits = Limits(target, may_raise=may_raise)
    _resolve_capabilities(entry)


def _credentials(entry: Entry) -> "credentials.Credentials | None":
    """Find the user; the caller stays who he is, but for a user namespace that has no id for him: there he is root."""
    plan = entry.plan
    if plan["user"] is None:
        mapped = "user" not in entry.joined or entry.maps(posix.geteuid(), "uid_map")
        return None if mapped else credentials.Credentials(0, 0, [0], "", "")
    return credentials.resolve(entry.target.root(), plan["user"], plan["groups"])


def _refuse_foreign_files(entry: Entry) -> None:
    """Refuse a container's files without its own user namespace: our capabilities would hold for the host."""
    foreign = entry.target.namespace("user") != entry.ours["user"] and "user" not in entry.joined
    if foreign and "mnt" in entry.joined and entry.plan["capabilities"]["base"] != "caller":
        raise EntryError(
            "the container has its own user namespace; without it the command would have more power than the container",
            {
                "without": ["--no-userns"],
                "add": ["--userns"] if "--no-userns" not in entry.plan["typed"]["words"] else [],
            },
        )


def _resolve_capabilities(entry: Entry) -> None:
    """Cut the Plan's capabilities to what the caller still has; who is not root holds only what was added."""
    planned = entry.plan["capabilities"]
    ceiling = entry.own.status["CapBnd"][0] & entry.own.status["CapPrm"][0]
    base = ceiling if planned["base"] == "caller" else entry.target.status["CapBnd"][0]
    add, drop = planned["add"], planned["drop"]
    lacking = add & ~ceiling
    if lacking and add != capabilities.ALL:
        names = ", ".join(capabilities.names(lacking))
        raise EntryError(f"cannot add {names}: you do not hold it yourself")
    entry.bounding = (base | add) & ~drop & ceiling
    if entry.is_root():
        entry.permitted, entry.ambient = entry.bounding, 0
    else:
        entry.ambient = add & ~drop & ceiling
        entry.permitted = entry.ambient


def encode(text: str) -> bytes:
    """Turn the Plan's text back into the bytes that the user typed."""
    return text.encode("utf-8", "surrogateescape")


def environment(entry: Entry) -> dict[bytes, bytes]:
    """Build the environment: later entries win, and HOME comes from the container's passwd as runc does it."""
    given, found = entry.plan["environment"], {}
    words = entry.target.read("environ").split(b"\0") if given["base"] == "target" else []
    words += [encode(word) for word in given["set"]]
    for word in words:
        name, equals, value = word.partition(b"=")
        if name and equals:
            found[name] = value
    if entry.credentials and not found.get(b"HOME"):
        found[b"HOME"] = encode(entry.credentials.home) or b"/"
    return found


def install_filters(entry: Entry) -> None:
    """Install the container's filters, and let go of what that needed."""
    seccomp.install(entry.filters)
    if not entry.no_new_privs:
        capset.set_process(entry.permitted, entry.permitted, entry.ambient)
