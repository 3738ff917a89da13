"""Read on this machine what an entry would find and hold, without entering: for --dry-run, as root."""

import posix

from ..enter.entry import Entry, Own, resolve
from ..enter.hardening import guard
from ..enter.linux import capabilities, lsm, namespaces, seccomp
from ..enter.linux.procfs import read
from ..enter.target import pin
from ..enter.verify import expected
from . import restrictions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..enter.plan import Plan
    from .restrictions import Restrictions

UNMAPPED = 65534  # how the kernel shows an id that has no place in a namespace


def preview(plan: "Plan") -> "Restrictions":
    """Describe the process, what the command would hold, and what raw nsenter would; EntryError as for an entry."""
    entry = Entry(plan, Own())
    target = plan["target"]
    entry.target = pin(target["pid"], target["container"], target["owner"])
    try:
        return _previewed(entry)
    finally:  # there may be hundreds
        posix.close(entry.target.pidfd)
        posix.close(entry.target.proc)


def _previewed(entry: Entry) -> "Restrictions":
    plan = entry.plan
    entry.joined = namespaces.differing(entry.target, plan["namespaces"], entry.ours)
    entry.own_pids = entry.lacks("pid")
    resolve(entry)
    guard.choose(entry)
    pid1 = restrictions.of_process(entry.target)
    pid1["directory"] = posix.readlink("cwd", dir_fd=entry.target.proc)
    return {
        "pid1": pid1,
        "you": _of_entry(entry),
        "nsenter": _of_raw(entry),
        "guard": {"capability": capabilities.names(entry.guard)[0], "keeps": entry.beyond} if entry.beyond else None,
        "inherited_limits": restrictions.shim_limits(entry.target),
        "uid": entry.credentials.uid if entry.credentials else posix.geteuid(),
        "gid": entry.credentials.gid if entry.credentials else posix.getegid(),
        "namespaces": {
            name: {
                "pid1": restrictions.inode(entry.target, name),
                "yours": restrictions.number(entry.ours[name]),
                "joined": name in entry.joined,
                "new": name == "pid" and entry.own_pids,
            }
            for name in restrictions.of_namespaces(entry.target)
        },
    }


def _of_entry(entry: Entry) -> "Restrictions":
    """Say what the kernel would say of the command; it is what verify.py asks for before the command starts."""
    plan, own = entry.plan, restrictions.of_self()
    status = {**entry.own.status, **expected(entry)}
    if entry.credentials:
        status["Groups"] = entry.host_groups()
    filters = seccomp.wanted_filters(entry.target, plan["seccomp"])
    status["Seccomp"], status["Seccomp_filters"] = [2 if filters else 0], [filters]
    found = restrictions.of_status(status)
    theirs = restrictions.of_process(entry.target)
    found["label"] = entry.label or lsm.label_of(None)
    found["cgroups"] = theirs["cgroups"] if plan["cgroups"] else own["cgroups"]
    found["limits"] = restrictions.named(entry.limits.rlimits) if entry.limits else own["limits"]
    found["oom_score_adj"] = entry.limits.oom_score_adj if entry.limits else own["oom_score_adj"]
    found["directory"] = plan["directory"] or posix.getcwd()
    return found


def _of_raw(entry: Entry) -> "Restrictions":
    """Say what the kernel would say of a command of `nsenter -a`: it keeps all that the caller has."""
    found = restrictions.of_self()
    found["directory"] = posix.getcwd() if entry.target.namespace("mnt") == entry.ours["mnt"] else "/"
    if entry.target.namespace("user") != entry.ours["user"]:  # who joins one gets every capability in it, as its root
        everything = capabilities.names((2 << int(read("/proc/sys/kernel/cap_last_cap"))) - 1)
        found.update(dict.fromkeys(("effective", "permitted", "bounding"), everything))
        found["uid"], found["gid"], found["groups"] = _root_of(entry, "uid_map"), _root_of(entry, "gid_map"), []
    return found


def _root_of(entry: Entry, name: str) -> int:
    """Find the host's id of 0 in the process's user namespace."""
    rows = restrictions.id_map(entry.target, name)
    return next((outside for inside, outside, _ in rows if inside == 0), UNMAPPED)
