"""Read back: does the kernel say of the waiting command what the Plan says? Any difference ends the entry.

The supervisor reads the host's /proc, out of the container's reach, while the command waits for its go.
"""

import posix

from .errors import EntryError
from .hardening import readonly_host
from .hardening.exeseal import sealed
from .linux import lsm, scheduling
from .linux.cgroups import parse
from .linux.procfs import read
from .target import parse_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .entry import Entry


class Check:
    """Hold what must be read of the command's process: worked out while that one is still on its way."""

    def __init__(self, entry: "Entry") -> None:
        """Work it out of what the steps have found."""
        self.entry = entry
        self.fields = expected(entry)
        self.groups = sorted(entry.host_groups())
        self.namespaces = _namespaces(entry)

    def place(self, pid: int) -> None:
        """Refuse when process `pid` is not sealed and where it should be, which holds from its first moment."""
        if not sealed(pid):
            raise EntryError("the kernel does not confirm that the interpreter is sealed")
        for name, wanted in self.namespaces.items():
            actual = posix.readlink(f"/proc/{pid}/ns/{name}")
            if actual != wanted:
                _refuse(f"{name} namespace", actual, wanted)
        pids = posix.readlink(f"/proc/{pid}/ns/pid")
        if self.entry.own_pids and pids in (self.entry.ours["pid"], self.entry.target.namespace("pid")):
            _refuse("pid namespace", "shared", "one of its own")

    def confirm(self, pid: int) -> None:
        """Refuse when the kernel does not confirm every restriction of process `pid`, which waits for its go."""
        entry = self.entry
        if entry.host_mounts >= 0 and not readonly_host.confirmed(pid):
            raise EntryError("the kernel does not confirm that the host's files are read-only")
        status = parse_status(read(f"/proc/{pid}/status"))
        for field, wanted in self.fields.items():
            if field in status and status[field][: len(wanted)] != wanted:
                _refuse(field, _shown(field, status[field]), _shown(field, wanted))
        if entry.credentials and sorted(set(status["Groups"])) != self.groups:
            _refuse("Groups", str(status["Groups"]), str(self.groups))
        if entry.tools:
            _check_mounts(entry, pid)
        if entry.plan["cgroups"] and entry.cgroups:
            rows = parse(read(f"/proc/{pid}/cgroup"))
            for row in entry.cgroups.rows:
                if row not in rows:
                    _refuse(f"cgroup {row[0] or 'v2'}", "another cgroup", row[1])
        if entry.limits:
            if name := entry.limits.difference(pid):
                _refuse(name, "another value", "the container's")
            if name := scheduling.difference(pid, entry.kept):
                _refuse(name, "the caller's", "an ordinary one")
        if entry.label and lsm.pending(pid) != entry.label:
            _refuse("security label", lsm.pending(pid) or "none", entry.label)


def expected(entry: "Entry") -> dict[str, list[int]]:
    """List the fields of /proc/PID/status as they must be just before execve."""
    fields = {  # the guard among the capabilities
        "CapBnd": [entry.bounding],
        "CapPrm": [entry.permitted],
        "CapEff": [entry.permitted],
        "CapInh": [entry.ambient],
        "CapAmb": [entry.ambient],
        "NoNewPrivs": [int(entry.no_new_privs)],
        "Seccomp": [2] if entry.filter_count else entry.own.status["Seccomp"],
        "Seccomp_filters": [entry.filter_count + entry.own.status.get("Seccomp_filters", [0])[0]],
        "Umask": [0o022] if entry.credentials else entry.own.status["Umask"],
    }
    if entry.credentials:
        fields["Uid"] = [entry.host_id(entry.credentials.uid, "uid_map")] * 4
        fields["Gid"] = [entry.host_id(entry.credentials.gid, "gid_map")] * 4
    return fields


def _namespaces(entry: "Entry") -> dict[str, str]:
    """Name each namespace: the container's where it was joined, ours where it was not; a mount namespace may be new."""
    mounts_differ = bool(entry.plan["mounts"] or entry.tools)
    return {
        name: entry.target.namespace(name) if name in entry.joined else entry.ours[name]
        for name in entry.ours
        if not (name == "mnt" and mounts_differ) and not (name == "pid" and entry.own_pids)
    }


def _check_mounts(entry: "Entry", pid: int) -> None:
    """Compare the mounts one by one: with tools the namespace is a copy, of which only the tools may differ.

    What the container mounts or unmounts meanwhile is no difference: it is read before and after.
    """
    assert entry.tools
    if posix.readlink(f"/proc/{pid}/ns/mnt") in (entry.ours["mnt"], entry.target.namespace("mnt")):
        _refuse("mnt namespace", "shared", "one of its own")
    roots = [posix.stat("root", dir_fd=entry.target.proc), posix.stat(f"/proc/{pid}/root")]
    if roots[0][1:3] != roots[1][1:3]:  # inode and device
        _refuse("root", "another directory", "the container's")
    more = entry.tools.difference(pid, entry.target.read("mountinfo").splitlines())
    if more:
        _refuse("mount", more, "the container's")


def _shown(field: str, values: list[int]) -> str:
    return f"{values[0]:016x}" if field.startswith("Cap") else " ".join(map(str, values))


def _refuse(what: str, actual: str, wanted: str) -> None:
    raise EntryError(f"the kernel does not confirm the restrictions: {what} is {actual}, not {wanted}")
