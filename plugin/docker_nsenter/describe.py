"""Show things to a person: the running containers, one of them, what an entry would be. Colours are the terminal's."""

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from .enter.capabilities import ALL, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .enter.accept import Plan

    Row = dict[str, Any]

WARNING, HOST, SHARED, QUIET = "bold red", "yellow", "cyan", "dim"
ORDER = ("mnt", "uts", "ipc", "net", "pid", "cgroup", "user", "time")


# --- the running containers ---------------------------------------------------------------------------------------


def show_listing(found: "Row") -> None:
    """Print one row a container."""
    console = Console(highlight=False)
    rows = found["containers"]
    if not rows:
        console.print("no container is running")
        return
    table = _table("container", "namespaces", "capabilities", "seccomp")
    labelled = any(row["label"] for row in rows)
    if labelled:
        table.add_column("label")
    for row in rows:
        cells = [_who(row), _namespaces(row), _sets(row), _filters(row)]
        table.add_row(*cells, *([Text(row["label"] or "none")] if labelled else []))
    console.print(table)
    _notes(console, found["notes"])


def _table(*columns: str) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def _notes(console: Console, notes: "Iterable[str]") -> None:
    for note in notes:
        console.print(Text(f"note: {note}", style=QUIET))


def _who(row: "Row") -> Text:
    """Name a container, in warning colour when it is privileged."""
    cell = Text(row["name"], style=WARNING if row["privileged"] else "bold")
    if row["privileged"]:
        cell.append("\nprivileged", style=WARNING)
    if row["status"] == "paused":
        cell.append("\npaused", style=QUIET)
    return cell


def _namespaces(row: "Row") -> Text:
    """Group a container's namespaces by whose they are."""
    spaces = row["namespaces"]
    lines = []
    for relation, style in (("own", ""), ("host", HOST), ("unknown", QUIET)):
        kinds = [name for name in ORDER if spaces.get(name, {}).get("of") == relation]
        if kinds:
            lines.append(Text(f"{relation}: {' '.join(kinds)}", style=style))
    for name in ORDER:
        space = spaces.get(name, {})
        if space.get("of") == "shared":
            whose = f"{space['joined']}'s" if space["joined"] else f"shared with {', '.join(space['with'])}"
            lines.append(Text(f"{name}: {whose}", style=SHARED))
    if spaces.get("user", {}).get("of") != "host" and row["mapping"]:
        lines.append(Text(f"root there is uid {row['mapping'][0][1]} here"))
    return Text("\n").join(lines)


def _sets(row: "Row") -> Text:
    """Tell the capabilities by what docker's default is."""
    beyond, below = row["beyond_default"], row["below_default"]
    if not row["bounding"]:
        return Text("none", style="green")
    cell = Text("docker's default" if not below or len(below) < len(row["bounding"]) else "")
    if len(beyond) > 12:
        return Text(f"{len(row['bounding'])}: nearly all of the host's", style=WARNING)
    if not cell.plain:
        return Text(" ".join(row["bounding"]))
    for name in beyond:
        cell.append(f"\n+ {name}", style=WARNING)
    for name in below:
        cell.append(f"\n- {name}", style="green")
    return cell


def _filters(row: "Row") -> Text:
    """Tell the filters, and no_new_privs."""
    count = row["seccomp_filters"]
    cell = Text(f"{count} filter{'s' * (count > 1)}" if count else "none", style="" if count else WARNING)
    if row["no_new_privs"]:
        cell.append("\nno_new_privs", style="green")
    return cell


# --- one container in full ----------------------------------------------------------------------------------------


def show_card(row: "Row") -> None:
    """Print everything about one container."""
    console = Console(highlight=False)
    heading = Text(row["name"], style=WARNING if row["privileged"] else "bold")
    heading.append(f"  {row['image']}  process {row['pid']}  {row['status']}", style="")
    if row["privileged"]:
        heading.append("  privileged", style=WARNING)
    parts: list[Any] = [heading, Text(), _spaces_table(row), Text()]
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(style="cyan", no_wrap=True)
    facts.add_column()
    for name, value in card_rows(row).items():
        facts.add_row(name, value if isinstance(value, Text) else Text(value))
    console.print(Group(*parts, facts))
    _notes(console, row["notes"])


def _spaces_table(row: "Row") -> Table:
    table = _table("namespace", "inode", "whose", "owner")
    for name in ORDER:
        space = row["namespaces"].get(name)
        if space:
            whose = {"host": ("the host's", HOST), "own": ("its own", ""), "unknown": ("?", QUIET)}.get(space["of"])
            if whose is None:
                whose = (
                    f"{space['joined']}'s" if space["joined"] else f"shared with {', '.join(space['with'])}",
                    SHARED,
                )
            who = space.get("owner")
            table.add_row(
                Text(name, style="cyan"),
                str(space["inode"] or "?"),
                Text(whose[0], style=whose[1]),
                f"uid {who['uid']}, user namespace {who['user_namespace']}" if who else "?",
            )
    return table


def card_rows(row: "Row") -> "dict[str, str | Text]":
    """List the card's rows."""
    rows: dict[str, str | Text] = {}
    if "uid" in row:
        rows["user"] = f"uid {row['uid']}, gid {row['gid']}, groups {' '.join(map(str, row['groups'])) or 'none'}"
        for name in ("bounding", "permitted", "effective", "inheritable", "ambient"):
            rows[name] = " ".join(row[name]) or "none"
    beyond = " ".join(row["beyond_default"])
    rows["beyond default"] = Text(beyond, style=WARNING) if beyond else "nothing"
    rows["below default"] = " ".join(row["below_default"]) or "nothing"
    rows["seccomp"] = _filters(row)
    rows["no_new_privs"] = "yes" if row["no_new_privs"] else "no"
    rows["label"] = row["label"] or "none"
    for name in ("uid_map", "gid_map"):
        for first, outside, count in row.get(name, []):
            rows[f"{name} {first}"] = f"is {outside} on the host, {count} ids"
    for controllers, path in row.get("cgroups", {}).items():
        rows[f"cgroup {controllers}"] = path
    for name, value in row.get("cgroup_limits", {}).items():
        rows[name] = value
    if "oom_score_adj" in row:
        rows["oom_score_adj"] = str(row["oom_score_adj"])
    for name, pair in row.get("limits", {}).items():
        rows[f"limit: {name}"] = limit_text(pair)
    return rows


def limit_text(pair: "list[int | None]") -> str:
    """Put a resource limit in words."""
    soft, hard = ("unlimited" if value is None else str(value) for value in pair)
    return soft if soft == hard else f"{soft}, at most {hard}"


# --- what an entry would be ---------------------------------------------------------------------------------------


def show(plan: "Plan", facts: "dict[str, str] | None") -> None:
    """Print the Plan as a table; `facts` are what the kernel says of the process, where it may be asked."""
    console = Console(highlight=False)
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    table.add_column("restriction", no_wrap=True)
    table.add_column("you would get")
    for name, value in rows(plan, facts).items():
        table.add_row(Text(name, style="cyan"), Text(value))
    console.print(Text(f"docker nsenter would enter {plan['target']['name']} by the local route; nothing was entered."))
    console.print()
    console.print(table)
    if facts is None:
        console.print("\nhint: sudo shows the numbers that only root may read", markup=False)


def rows(plan: "Plan", facts: "dict[str, str] | None") -> dict[str, str]:
    """List the table's rows: the kernel's facts where they are known, the Plan's words elsewhere."""
    shown = {} if facts is None else {name: value for name, value in facts.items() if value}
    if facts is None:
        shown["namespaces"] = " ".join(plan["namespaces"])
        shown["capabilities"] = _capabilities(plan)
        shown["seccomp"] = plan["seccomp"]
        shown["user"] = "yours" if plan["user"] is None else plan["user"] or "root"
    shown["directory"] = plan["directory"] or "where you are"
    shown["terminal"] = "one of the container's" if plan["tty"] else "none"
    if plan["mounts"]:
        shown["mounted afresh"] = " ".join(f"/{name}" for name in plan["mounts"])
    shown["command"] = " ".join(plan["command"]) or plan["shell"] or "the user's shell, or bash, ash, sh"
    return shown


def _capabilities(plan: "Plan") -> str:
    """Put the planned capabilities in words."""
    planned = plan["capabilities"]
    base = "all that the caller has" if planned["base"] == "caller" else "the container's"
    words = {"plus": planned["add"], "without": planned["drop"]}
    parts = [f"{word} {'ALL' if mask == ALL else ' '.join(names(mask))}" for word, mask in words.items() if mask]
    return ", ".join([base, *parts])
