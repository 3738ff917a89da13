"""Show what a line would do, beside docker exec and raw nsenter: --dry-run."""

import shlex

from rich.console import Console
from rich.text import Text

from ..cli.help import wrap
from ..enter.linux.capabilities import ALL, NUMBERS, names
from ..errors import as_root
from ..planning import defaults
from .cards import limit_text
from .console import NAME, ORDER, WARNING, console, grid, harmless, paired, put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..enter.plan import Plan, PlannedCapabilities, PlannedTools

    Row = dict[str, Any]
    Cells = dict[str, dict[str, str]]  # {what: {column: text}}

HEADINGS = {"pid1": "PID 1 now", "docker_exec": "docker exec", "you": "you would get", "nsenter": "raw nsenter"}
KNOWN = (1 << len(NUMBERS)) - 1
COLUMN = 18
WAITS = {
    "exit": "waits until the container is about to end, and holds it until you leave",
    "start": "waits until the container runs",
}


def show(found: "Row", *, verbose: bool) -> None:
    """Print the sentence, the rows that differ (or all), and what would be run."""
    screen, found = console(), harmless(found)
    width = screen.width
    cells = column_rows(found) if found["restrictions"]["you"] else planned_cells(found)
    shown = {label: row for label, row in cells.items() if verbose or differ(row)}
    said = f"{sentence(found, alike=not any(map(differ, cells.values())))}."
    way = "directly" if found["plan"]["route"] == "local" else "by a helper"
    route = f"Nothing was run. It would run {way}: {found['route']['why']}."
    for line in (said, route):
        put(screen, Text("\n".join(wrap(line, width))))
    columns = [name for name in HEADINGS if any(name in row for row in cells.values())]
    if not verbose:
        columns = [name for name in columns if name != "nsenter"]
    if shown:
        put(screen, "")
        _put_table(screen, columns, shown)
    put(screen, "")
    for name, value in rows(found).items():
        paired(screen, name, value, COLUMN)
    if not verbose:
        put(screen, "", Text("--verbose shows every row, and what raw nsenter would give"))
    if not found["restrictions"]["you"] and found["plan"]["route"] == "local":
        put(screen, Text(f"Only root may read the missing numbers.\nhint: {as_root()}"))


def differ(row: dict[str, str]) -> bool:
    """Tell whether a row is other than docker exec's and the container's; raw nsenter's always is."""
    return len({text for column, text in row.items() if column != "nsenter"}) > 1


def sentence(found: "Row", *, alike: bool) -> str:
    """Say it all in one sentence: as docker exec, and what is more or less."""
    plan, by_exec = found["plan"], found["docker_exec_plan"]
    base = f"In {plan['target']['name']}: as " + (
        "docker exec" if plan["target"]["container"] else "the process itself"
    )
    parts = [part for part in (_namespaces_part(plan, by_exec), *_sets(found), *_parts(plan, by_exec)) if part]
    if not parts:
        return base if alike else f"{base}, but for the rows below"
    return f"{base}, {' and '.join([', '.join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)}"


def _namespaces_part(plan: "Plan", by_exec: "Plan") -> str:
    joined, without = plan["namespaces"], [name for name in by_exec["namespaces"] if name not in plan["namespaces"]]
    if not without:
        return ""
    return (
        f"but only in its {' '.join(joined)}" if len(joined) < len(without) else f"but not in its {' '.join(without)}"
    )


def _sets(found: "Row") -> list[str]:
    """Say which capabilities are more or less than docker exec gives, where that is known."""
    caps, plain = found["plan"]["capabilities"], found["docker_exec_plan"]["capabilities"]
    if caps["base"] != plain["base"]:
        return ["with every capability that you have"]
    add, drop = caps["add"] & ~plain["add"], caps["drop"] & ~plain["drop"]
    given = found["restrictions"]["docker_exec"]
    if given:
        held = sum(1 << NUMBERS[name] for name in given["bounding"] if name in NUMBERS)
        add, drop = (add if add == ALL else add & ~held), (drop if drop == ALL else drop & held)
    return [f"{word} {_listed(mask)}" for word, mask in (("plus", add), ("minus", drop)) if mask]


def _parts(plan: "Plan", by_exec: "Plan") -> "list[str]":
    """List what is more or less than docker exec, in words that follow a comma."""
    found = []
    if plan["no_new_privs"] and not by_exec["no_new_privs"]:
        found.append("plus no_new_privs")
    for field, said in (
        ("seccomp", "without its seccomp filter"),
        ("apparmor", "with another AppArmor profile"),
        ("selinux", "without its SELinux label"),
        ("cgroups", "without its cgroup limits"),
        ("user", "as another user" if plan["user"] is not None else "as yourself"),
        ("directory", f"in {plan['directory'] or 'your directory'}"),
    ):
        if plan[field] != by_exec[field] and not (field in ("apparmor", "selinux") and "mnt" not in plan["namespaces"]):  # type: ignore[literal-required]
            found.append(said)
    if plan["tools"]:
        found.append(f"with {_tools(plan['tools'])}")
    return found


def _listed(mask: int) -> str:
    return "ALL" if mask == ALL else " ".join(names(mask & KNOWN))


def planned_cells(found: "Row") -> "Cells":
    """List the rows where the kernel can't be asked from here: by a helper, or without root."""
    mine, theirs = planned_rows(found["plan"]), planned_rows(found["docker_exec_plan"])
    return {label: {"docker_exec": theirs[label], "you": mine[label]} for label in mine}


def _put_table(screen: Console, columns: list[str], cells: "Cells") -> None:
    """Lay the columns out; where a word would not fit into its own, each row becomes a paragraph."""
    longest = [
        max(map(len, " ".join([HEADINGS[name], *(row[name] for row in cells.values())]).split())) for name in columns
    ]
    if sum(longest) + max(map(len, " ".join(cells).split())) + 2 * len(columns) > screen.width:
        for label, row in cells.items():
            put(screen, Text(label, style=NAME))
            for name in columns:
                paired(screen, HEADINGS[name], row[name], COLUMN, _style(row, name), "  ")
        return
    table = grid("", *(HEADINGS[name] for name in columns))
    for label, row in cells.items():
        table.add_row(label, *(Text(row[name], style=_style(row, name)) for name in columns))
    put(screen, table)


def _style(row: dict[str, str], name: str) -> str:
    """What goes beyond docker exec is red."""
    return WARNING if name == "you" and row["you"] != row.get("docker_exec", row["you"]) else ""


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
    shown = {}
    joined = [name for name, space in (found["namespaces"] or {}).items() if space["joined"]]
    if found["namespaces"]:
        shown["joins"] = " ".join(joined) or "nothing (all shared already)"
    shown["directory"] = plan["directory"] or "where you are"
    shown["terminal"] = "allocated" if plan["tty"] else "none"
    if plan["mounts"]:
        shown["mounted anew"] = " ".join(f"/{name}" for name in plan["mounts"])
    if plan["tools"]:
        shown["tools"] = _tools(plan["tools"])
    if found["guard"]:
        shown["guard"] = f"{found['guard']['capability']}, which no container that can see the command has"
        shown["it protects"] = ", ".join(found["guard"]["keeps"])
    if plan["connect"]:
        shown["command"] = "none: a process that connects, and executes nothing"
    else:
        shown["command"] = " ".join(plan["command"]) or plan["shell"] or "the user's shell, or bash, ash, sh"
    if found["profile"]:
        shown["the profile"] = f"stands for {' '.join(found['profile'])}"
    if found["waits_for"]:
        shown[f"--at-{found['waits_for']}"] = WAITS[found["waits_for"]]
    for row in found["forward"]:
        place = row["listens"].removesuffix(":0")
        port = ", at any free port," if place != row["listens"] else ""
        shown[row["option"]] = f"{place}{port} leads to {row['leads_to']}"
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
        "no_new_privs": "yes" if plan["no_new_privs"] else "no",
        "cgroup limits": "the container's" if plan["cgroups"] else "yours",
        "directory": plan["directory"] or "where you are",
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
        elif field == "tools":
            parts.append(_tools(now) if now else "no tools")
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
    return " ".join(planned["layers"]) or "an image of the engine's, pulled where it is missing"


def _capabilities(planned: "PlannedCapabilities") -> str:
    """Put the planned capabilities in words."""
    base = "all that the caller has" if planned["base"] == "caller" else "the container's"
    add, drop = planned["add"], planned["drop"]
    parts = [f"plus {'ALL' if add == ALL else ' '.join(names(add & KNOWN))}"] if add else []
    if drop:
        parts.append(f"without {'ALL' if drop | add == ALL else ' '.join(names(drop & KNOWN))}")
    return ", ".join([base, *parts])
