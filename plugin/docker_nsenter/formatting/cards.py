"""Show everything about one container, in sections: --inspect. What is the same is said once."""

from rich.text import Text

from .console import NAME, ORDER, WARNING, console, grid, harmless, notes, paired, put, size
from .listing import shared_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]
    Section = list[tuple[str, str, str]]  # name, value, style

COLUMN = 20
SETS = ("effective", "permitted", "bounding", "inheritable", "ambient")
BYTES = ("size", "set", "memory", "address space")  # how a limit's name ends whose unit is the byte
EVERY_ID = 4294967295


def show(row: "Row") -> None:
    """Print the heading and the sections."""
    row, screen = harmless(row), console()
    heading = Text(row["name"], style=NAME)
    heading.append(f"  {row['image']}  process {row['pid']}  {row['status']}", style="not bold")
    if row["privileged"]:
        heading.append("  privileged", style=WARNING)
    put(screen, heading)
    for title, rows in sections(row).items():
        if rows or title == "Namespaces":
            put(screen, Text(f"\n{title}", style=NAME))
        if title == "Namespaces":
            put(screen, _spaces(row))
        for each in rows:
            paired(screen, each[0], each[1], COLUMN, each[2], "  ")
    notes(screen, row["notes"])


def sections(row: "Row") -> "dict[str, Section]":
    """List the rows of each section."""
    return {
        "Identity": _identity(row),
        "Capabilities": _capabilities(row),
        "Confinement": _confinement(row),
        "Namespaces": _owners(row),
        "Limits": _limits(row),
        "Cgroups": _cgroups(row),
    }


def _identity(row: "Row") -> "Section":
    rows: Section = []
    if "uid" in row:
        groups = " ".join(map(str, row["groups"])) or "none"
        rows.append(("user", f"uid {row['uid']}, gid {row['gid']}, groups {groups}", ""))
    uids, gids = row.get("uid_map", []), row.get("gid_map", [])
    for name, ids in (("ids", uids),) if uids == gids else (("user ids", uids), ("group ids", gids)):
        rows += [(name, _mapped(*each), "") for each in ids]
    return rows


def _mapped(first: int, outside: int, count: int) -> str:
    """Say what a row of a map means."""
    if first == outside:
        return "the host's" if count >= EVERY_ID else f"{first} to {first + count - 1}, as on the host"
    return f"{first} to {first + count - 1} are {outside} to {outside + count - 1} on the host"


def _capabilities(row: "Row") -> "Section":
    """List the sets, those that are equal in one row."""
    names: dict[tuple[str, ...], list[str]] = {}
    for name in (each for each in SETS if each in row):
        names.setdefault(tuple(row[name]), []).append(name)
    rows = [(", ".join(kinds), " ".join(held) or "none", "") for held, kinds in names.items()]
    beyond = row["beyond_default"]
    rows.append(("beyond default", " ".join(beyond) or "nothing", WARNING if beyond else ""))
    rows.append(("below default", " ".join(row["below_default"]) or "nothing", ""))
    return rows


def _confinement(row: "Row") -> "Section":
    count = row["seccomp_filters"]
    return [
        ("seccomp", f"{count} filter{'s' * (count > 1)}" if count else "none", ""),
        ("no_new_privs", "yes" if row["no_new_privs"] else "no", ""),
        ("label", row["label"] or "none", ""),
    ]


def _spaces(row: "Row") -> "Any":
    table = grid("  kind", "whose", "inode")
    for name in (each for each in ORDER if each in row["namespaces"]):
        space = row["namespaces"][name]
        whose = {"host": "the host's", "own": "its own", "unknown": "unknown"}.get(space["of"]) or shared_with(space)
        unusual = space["of"] == "host" and name in ("mnt", "ipc", "net", "pid")
        table.add_row(f"  {name}", Text(whose, style=WARNING if unusual else ""), str(space["inode"] or "unknown"))
    return table


def _owners(row: "Row") -> "Section":
    """Say once which user namespace owns the rest, and whose that is."""
    owners: dict[tuple[int, int], list[str]] = {}
    for name, space in row["namespaces"].items():
        who = space.get("owner")
        if who:
            owners.setdefault((who["uid"], who["user_namespace"]), []).append(name)
    return [
        ("owner", f"uid {uid}, user namespace {space}{'' if len(owners) == 1 else ': ' + ' '.join(names)}", "")
        for (uid, space), names in owners.items()
    ]


def _limits(row: "Row") -> "Section":
    """List what the cgroups allow, and the process's own limits, in units."""
    rows = [(name, value, "") for name, value in cgroup_limits(row.get("cgroup_limits", {})).items()]
    if "oom_score_adj" in row:
        rows.append(("oom_score_adj", str(row["oom_score_adj"]), ""))
    limits = row.get("limits", {})
    rows += [(name, limit_text(pair, name), "") for name, pair in limits.items() if pair != [None, None]]
    free = [name for name, pair in limits.items() if pair == [None, None]]
    return rows + ([("unlimited", ", ".join(free), "")] if free else [])


def cgroup_limits(found: dict[str, str]) -> dict[str, str]:
    """Put in words what the files of a cgroup say, of either version."""
    rows = {}
    for name, files in (
        ("memory", ("memory.max", "memory.limit_in_bytes")),
        ("memory, throttled", ("memory.high",)),
        ("swap", ("memory.swap.max",)),
    ):
        for file in files:
            if file in found:
                rows[name] = size(int(found[file]) if found[file].isdecimal() else None)
    if "pids.max" in found:
        rows["processes (cgroup)"] = "unlimited" if found["pids.max"] == "max" else found["pids.max"]
    quota = period = ""
    if "cpu.max" in found:
        quota, _, period = found["cpu.max"].partition(" ")
    elif "cpu.cfs_quota_us" in found:
        quota, period = found["cpu.cfs_quota_us"], found.get("cpu.cfs_period_us", "")
    if quota:
        limited = quota.isdecimal() and period.isdecimal()
        rows["CPUs at most"] = f"{int(quota) / int(period):.4g}" if limited else "unlimited"
    for file, name in (("cpu.shares", "CPU shares"), ("cpu.weight", "CPU weight")):
        if file in found:
            rows[name] = found[file]
    allowed = found.get("cpuset.cpus") or found.get("cpuset.cpus.effective")
    if allowed:
        rows["runs on CPUs"] = allowed
    return rows


def limit_text(pair: "list[int | None]", name: str = "") -> str:
    """Put a resource limit in words."""
    words = (size if name.endswith(BYTES) else _number)(pair[0]), (size if name.endswith(BYTES) else _number)(pair[1])
    return words[0] if words[0] == words[1] else f"{words[0]}, at most {words[1]}"


def _number(value: "int | None") -> str:
    return "unlimited" if value is None else str(value)


def _cgroups(row: "Row") -> "Section":
    """Name each path once, with the controllers that have it."""
    paths: dict[str, list[str]] = {}
    for controllers, path in row.get("cgroups", {}).items():
        paths.setdefault(path, []).append(controllers.removeprefix("name="))
    return [("path", path if len(paths) == 1 else f"{path} ({', '.join(names)})", "") for path, names in paths.items()]
