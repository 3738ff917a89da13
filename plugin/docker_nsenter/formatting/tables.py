"""Show things to a person: the running containers, one of them, what an entry would be. Colours are the terminal's."""

import shlex

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ..enter.linux.capabilities import ALL, NUMBERS, names
from ..errors import printable
from ..planning import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..enter.validate import Plan, PlannedCapabilities, PlannedTools

    Row = dict[str, Any]
    Line = tuple[str, str]  # the text and its style
    Cell = tuple[str, list[Line]]  # the style below those of the lines, and the lines

HEADING, WARNING, HOST, SHARED, QUIET = "bold", "bold red", "yellow", "cyan", "dim"
ORDER = ("mnt", "uts", "ipc", "net", "pid", "cgroup", "user", "time")
NOBODY = "no container is running"
KNOWN = (1 << len(NUMBERS)) - 1


def harmless(value: "Any") -> "Any":
    """Replace in every text of a JSON value what could control a terminal: an image's author chose some of them."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {harmless(key): harmless(item) for key, item in value.items()}
    return [harmless(item) for item in value] if isinstance(value, list | tuple) else value


# --- the running containers ---------------------------------------------------------------------------------------


def show_listing(found: "Row") -> None:
    """Print one row a container."""
    console = Console(highlight=False)
    if not found["containers"]:
        console.print(NOBODY)
        return
    heading, *rows = cells(found)
    table = _table(*(lines[0][0] for _, lines in heading))
    for row in rows:
        table.add_row(*map(_text, row))
    console.print(table)
    _notes(console, noted(found))


def _table(*columns: str) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def _notes(console: Console, notes: "Iterable[str]") -> None:
    for note in notes:
        console.print(Text(note, style=QUIET))


def _text(cell: "Cell") -> Text:
    base, lines = cell
    return Text("\n", style=base).join(Text(text, style=style) for text, style in lines)


def cells(found: "Row") -> "list[list[Cell]]":
    """List the cells: the headings, then a row per container."""
    containers = found["containers"]
    columns = {"container": who, "namespaces": namespaces, "capabilities": sets, "seccomp": filters}
    if any(row["label"] for row in containers):
        columns["label"] = label
    heading: list[Cell] = [(HEADING, [(name, "")]) for name in columns]
    return [heading, *([cell(row) for cell in columns.values()] for row in containers)]


def noted(found: "Row") -> list[str]:
    """List what is said below the table."""
    return [f"note: {printable(note)}" for note in found["notes"]]


def _cell(base: str, *lines: "Line") -> "Cell":
    """Make a cell of lines without what could control a terminal: an image's author chose some of them."""
    return base, [(printable(text), style) for text, style in lines]


def who(row: "Row") -> "Cell":
    """Name a container, in warning colour when it is privileged."""
    lines = [(row["name"], "")]
    if row["privileged"]:
        lines.append(("privileged", WARNING))
    if row["status"] == "paused":
        lines.append(("paused", QUIET))
    return _cell(WARNING if row["privileged"] else "bold", *lines)


def namespaces(row: "Row") -> "Cell":
    """Group a container's namespaces by whose they are."""
    spaces = row["namespaces"]
    lines = []
    for relation, style in (("own", ""), ("host", HOST), ("unknown", QUIET)):
        kinds = [name for name in ORDER if spaces.get(name, {}).get("of") == relation]
        if kinds:
            lines.append((f"{relation}: {' '.join(kinds)}", style))
    for name in ORDER:
        space = spaces.get(name, {})
        if space.get("of") == "shared":
            whose = f"{space['joined']}'s" if space["joined"] else f"shared with {', '.join(space['with'])}"
            lines.append((f"{name}: {whose}", SHARED))
    if spaces.get("user", {}).get("of") != "host" and row["mapping"]:
        lines.append((f"root there is uid {row['mapping'][0][1]} here", ""))
    return _cell("", *lines)


def sets(row: "Row") -> "Cell":
    """Tell the capabilities by what docker's default is."""
    beyond, below = row["beyond_default"], row["below_default"]
    if not row["bounding"]:
        return _cell("green", ("none", ""))
    if len(beyond) > 12:
        return _cell(WARNING, (f"{len(row['bounding'])}: nearly all of the host's", ""))
    if below and len(below) >= len(row["bounding"]):
        return _cell("", (" ".join(row["bounding"]), ""))
    more, less = [(f"+ {name}", WARNING) for name in beyond], [(f"- {name}", "green") for name in below]
    return _cell("", ("docker's default", ""), *more, *less)


def filters(row: "Row") -> "Cell":
    """Tell the filters, and no_new_privs."""
    count = row["seccomp_filters"]
    said = (f"{count} filter{'s' * (count > 1)}" if count else "none", "")
    return _cell("" if count else WARNING, said, *([("no_new_privs", "green")] if row["no_new_privs"] else []))


def label(row: "Row") -> "Cell":
    """Tell the security module's label."""
    return _cell("", (row["label"] or "none", ""))


# --- one container in full ----------------------------------------------------------------------------------------


def show_card(row: "Row") -> None:
    """Print everything about one container."""
    row = harmless(row)
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
    _notes(console, noted(row))


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
    rows["seccomp"] = _text(filters(row))
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

HEADINGS = {"pid1": "PID 1 now", "docker_exec": "docker exec", "you": "you would get", "nsenter": "raw nsenter"}


def show_explanation(found: "Row") -> None:
    """Print what an entry would be: the columns, the options, the commands."""
    console = Console(highlight=False)
    found = harmless(found)
    plan, columns = found["plan"], found["restrictions"]
    name, route = plan["target"]["name"], plan["route"]
    console.print(Text(f"docker nsenter would enter {name} by the {route} route; nothing was entered."))
    console.print(Text(f"Why that route: {found['route']['why']}.\n"))
    if columns["you"]:
        console.print(_columns(found))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", max_width=24, overflow="fold")
    table.add_column(overflow="fold")
    for name, value in rows(found).items():
        table.add_row(name, Text(value))
    console.print(table)
    if not columns["you"] and route == "local":
        console.print("\nhint: sudo shows the numbers that only root may read", markup=False)


def _columns(found: "Row") -> Table:
    """Lay the four columns out; what goes beyond docker exec is in warning colour."""
    columns = {name: facts for name, facts in found["restrictions"].items() if facts}
    table = _table()
    table.add_column("", max_width=16)
    for name in columns:
        table.add_column(HEADINGS[name], overflow="fold")
    for label, cells in column_rows(found).items():
        beyond = len(set(cells.values())) > 1 and cells.get("you") != cells.get("docker_exec")
        texts = [Text(cells[name], style=WARNING if name == "you" and beyond else "") for name in columns]
        table.add_row(Text(label, style="cyan"), *texts)
    table.add_row(*([""] * (len(columns) + 1)))
    return table


def column_rows(found: "Row") -> "dict[str, dict[str, str]]":
    """List the rows of the four columns: {restriction: {column: text}}; limits only where they differ."""
    columns = {name: facts for name, facts in found["restrictions"].items() if facts}
    raw, pid1 = columns["nsenter"], columns["pid1"]
    table = _space_rows(found, columns)
    texts: dict[str, Callable[[Row], str]] = {
        "user": lambda facts: f"{facts['uid']}:{facts['gid']}",
        "groups": lambda facts: " ".join(map(str, facts["groups"])) or "none",
        **{f"{name} set": _set_text(name, raw) for name in ("effective", "bounding")},
        **{f"{name} set": _set_text(name, raw) for name in ("permitted", "inheritable", "ambient")},
        "seccomp": lambda facts: _count(facts["seccomp_filters"], "filter"),
        "no_new_privs": lambda facts: "yes" if facts["no_new_privs"] else "no",
        "label": lambda facts: facts["label"] or "none",
        "cgroup": lambda facts: _whose(facts["cgroups"], pid1["cgroups"], raw["cgroups"]),
        "oom_score_adj": lambda facts: str(facts["oom_score_adj"]),
        "umask": lambda facts: facts["umask"],
        "directory": lambda facts: facts["directory"],
    }
    for label, text in texts.items():
        table[label] = {name: text(facts) for name, facts in columns.items()}
    for label in ("permitted set", "inheritable set", "ambient set"):
        twin = table["effective set"] if label == "permitted set" else dict.fromkeys(columns, "none")
        if table[label] == twin:
            del table[label]
    for limit in pid1["limits"]:
        cells = {name: limit_text(facts["limits"][limit]) for name, facts in columns.items()}
        if len(set(cells.values())) > 1:
            table[limit] = cells
    return table


def _space_rows(found: "Row", columns: "Row") -> "dict[str, dict[str, str]]":
    """List the namespaces, those that agree in one row."""
    groups: list[tuple[list[str], dict[str, str]]] = []
    for kind in [each for each in ORDER if each in found["namespaces"]]:
        cells = _space_cells(found, kind, columns)
        same = [kinds for kinds, others in groups if others == cells]
        if same:
            same[0].append(kind)
        else:
            groups.append(([kind], cells))
    return {" ".join(kinds): cells for kinds, cells in groups}


def _space_cells(found: "Row", kind: str, columns: "Row") -> "dict[str, str]":
    """Tell for each column whose namespace of a kind it is."""
    space = found["namespaces"][kind]
    if space["pid1"] == space["yours"]:
        return dict.fromkeys(columns, "host's")
    yours = "container's" if space["joined"] else "its own" if space["new"] else "yours"
    if kind == "mnt" and not space["joined"] and found["plan"]["mounts"]:
        yours = "yours, with " + " ".join(f"/{name}" for name in found["plan"]["mounts"])
    return {**dict.fromkeys(columns, "container's"), "you": yours}


def _set_text(name: str, raw: "Row") -> "Callable[[Row], str]":
    """Make the writer of a capability set: by docker's default, or by what raw nsenter keeps."""

    def text(facts: "Row") -> str:
        held, known = facts[name], set(defaults.NAMES)
        more, less = [each for each in held if each not in known], known - set(held)
        if not held:
            return "none"
        if held == raw["bounding"] and len(more) > 3:
            return f"all {len(held)} of yours"
        if len(more) <= 3 and len(less) <= 3:
            return " ".join(["default", *(f"+{each}" for each in more), *(f"-{each}" for each in sorted(less))])
        return " ".join(held) if len(held) <= 3 else f"{len(held)} capabilities"

    return text


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number > 1)}" if number else "none"


def _whose(value: object, containers: object, callers: object) -> str:
    """Tell whose cgroups they are."""
    if containers == callers:
        return "the same"
    return "container's" if value == containers else "yours" if value == callers else "another"


def rows(found: "Row") -> dict[str, str]:
    """List what stands below the columns: what is run, what each option changed, nsenter's line."""
    plan: Plan = found["plan"]
    shown = {} if found["restrictions"]["you"] else planned_rows(plan)
    joined = [name for name, space in (found["namespaces"] or {}).items() if space["joined"]]
    if found["namespaces"]:
        shown["joins"] = " ".join(joined) or "nothing (all shared already)"
    shown["directory"] = plan["directory"] or "where you are"
    shown["terminal"] = "one of the container's" if plan["tty"] else "none"
    if plan["mounts"]:
        shown["mounted afresh"] = " ".join(f"/{name}" for name in plan["mounts"])
    if plan["tools"]:
        shown["tools"] = _tools(plan["tools"])
    if found["guard"]:
        shown["guard"] = f"{found['guard']['capability']}, which no process of a container that sees the command has"
        shown["guarded"] = ", ".join(found["guard"]["keeps"])
    shown["command"] = " ".join(plan["command"]) or plan["shell"] or "the user's shell, or bash, ash, sh"
    if found["profile"]:
        shown["the profile"] = f"stands for {' '.join(found['profile'])}"
    for row in found["options"]:
        shown[row["option"]] = change_text(row["changes"])
    shown["nearest nsenter"] = shlex.join(found["nsenter"])
    return shown


def planned_rows(plan: "Plan") -> dict[str, str]:
    """List the Plan's words, where the kernel can't be asked."""
    return {
        "namespaces": " ".join(plan["namespaces"]),
        "capabilities": _capabilities(plan["capabilities"]),
        "seccomp": plan["seccomp"],
        "user": "yours" if plan["user"] is None else plan["user"] or "root",
    }


# What stands for nothing said, by field
NOTHING = {"user": "yours", "directory": "where you are"}
MANY = 3  # variables that are still named one by one


def change_text(differing: "dict[str, list[Any]]") -> str:
    """Put in words what an option changed in the Plan."""
    if not differing:
        return "changes nothing here"
    parts = []
    for field, (before, now) in differing.items():
        if field == "capabilities":
            parts.append(f"capabilities: {_capabilities(now)}")
        elif field == "environment":
            more = [word for word in now["set"] if word not in before["set"]]
            parts.append(f"environment: {' '.join(more) if len(more) <= MANY else f'{len(more)} variables'}")
        elif isinstance(now, list) and isinstance(before, list):
            differ = [f"+{word}" for word in now if word not in before]
            parts.append(f"{field}: {' '.join(differ + [f'-{word}' for word in before if word not in now])}")
        else:
            parts.append(f"{field}: {_word(field, now)}, not {_word(field, before)}")
    return "; ".join(parts)


def _word(field: str, value: object) -> str:
    if value is None:
        return NOTHING.get(field, "the container's")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or ("root" if field == "user" else "none")


def _tools(planned: "PlannedTools") -> str:
    """Say where the tools come from."""
    if planned["kind"] == "host":
        return "this machine's programs, read-only, seen by this session alone"
    return " ".join(planned["layers"]) or "an image that would be pulled"


def _capabilities(planned: "PlannedCapabilities") -> str:
    """Put the planned capabilities in words."""
    base = "all that the caller has" if planned["base"] == "caller" else "the container's"
    add, drop = planned["add"], planned["drop"]
    parts = [f"plus {'ALL' if add == ALL else ' '.join(names(add & KNOWN))}"] if add else []
    if drop:
        parts.append(f"without {'ALL' if drop | add == ALL else ' '.join(names(drop & KNOWN))}")
    return ", ".join([base, *parts])
