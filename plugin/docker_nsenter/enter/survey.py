"""Read what an entry would find, and enter nothing: for --dry-run."""

from . import capabilities, namespaces, seccomp
from .cgroups import parse
from .entry import Entry, resolve
from .refusal import Refusal
from .target import pin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .accept import Plan


def survey(plan: "Plan") -> "dict[str, str]":
    """Describe, row by row, what the command would hold; Refusal as for an entry."""
    entry = Entry(plan)
    entry.target = pin(plan["target"]["pid"], plan["target"]["container"])
    entry.joined = namespaces.differing(entry.target, plan["namespaces"])
    resolve(entry)
    who = entry.credentials
    rows = {
        "process": str(plan["target"]["pid"]),
        "joins": " ".join(entry.joined) or "nothing (all shared already)",
        "shares already": " ".join(name for name in plan["namespaces"] if name not in entry.joined),
        "user": f"uid {who.uid}, gid {who.gid}, groups {' '.join(map(str, who.groups))}" if who else "yours",
        "capabilities": " ".join(capabilities.names(entry.permitted)) or "none",
        "bounding set": " ".join(capabilities.names(entry.bounding)) or "none",
        "seccomp": f"{seccomp.wanted_filters(entry.target, plan['seccomp'])} filter(s), copied from the process",
        "no_new_privs": "yes" if entry.no_new_privs else "no",
        "security label": entry.label or "unchanged",
    }
    if plan["cgroups"]:
        rows["cgroups"] = " ".join(sorted({path for _, path in parse(entry.target.read("cgroup"))}))
    if entry.limits:
        rows["oom_score_adj"] = str(entry.limits.oom_score_adj)
        rows["open files"] = "{}, at most {}".format(*entry.limits.rlimits[7])
    return rows


__all__ = ["Refusal", "survey"]
