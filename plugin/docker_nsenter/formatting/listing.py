"""Show the running containers, one row each: --list. What is unusual is red, and nothing else has a colour."""

from ..errors import printable
from .console import NAME, ORDER, WARNING, console, grid, notes, paired, put, size, stacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rich.console import Console

    Row = dict[str, Any]
    Line = tuple[str, str]

NOBODY = "No container is running"
EXPOSING = ("mnt", "ipc", "net", "pid")  # who has these of the host sees or reaches what is not its own
MANY = 12
COLUMN = 14


def show(found: "Row") -> None:
    """Print the table and its notes."""
    screen = console()
    if not found["containers"]:
        screen.print(NOBODY)
        return
    columns = {
        "container": who,
        "user": lambda row: [(row["user"] or "root", "")],
        "memory": lambda row: [(size(row["memory"]), "")],
        "namespaces": namespaces,
        "capabilities": sets,
        "seccomp": filters,
    }
    if any(row["label"] for row in found["containers"]):
        columns["label"] = lambda row: [(row["label"] or "none", "")]
    rows = [
        [[(printable(text), style) for text, style in cell(row)] for cell in columns.values()]
        for row in found["containers"]
    ]
    if _fit(screen.width, [*columns], rows):
        table = grid(*columns)
        for row in rows:
            table.add_row(*(stacked(cell, one_line=not screen.is_terminal) for cell in row))
        put(screen, table)
    else:
        _put_paragraphs(screen, [*columns][1:], rows)
    notes(screen, found["notes"])


def _fit(width: int, columns: list[str], rows: "list[list[list[Line]]]") -> bool:
    """Tell whether the longest words of all columns fit beside each other."""
    longest = list(map(len, columns))
    for row in rows:
        for at, cell in enumerate(row):
            longest[at] = max(longest[at], *(len(word) for text, _ in cell for word in text.split()))
    return sum(longest) + 2 * (len(columns) - 1) <= width


def _put_paragraphs(screen: "Console", labels: list[str], rows: "list[list[list[Line]]]") -> None:
    """Print a paragraph for each container, where the columns would break words."""
    for row in rows:
        put(screen, stacked(row[0], one_line=True))
        for label, cell in zip(labels, row[1:], strict=True):
            unusual = any(style == WARNING for _, style in cell)
            paired(screen, label, ", ".join(text for text, _ in cell), COLUMN, WARNING if unusual else "", "  ")


def who(row: "Row") -> "list[Line]":
    """Name a container, and say when it is privileged."""
    lines = [(row["name"], NAME)]
    if row["privileged"]:
        lines.append(("privileged", WARNING))
    if row["status"] == "paused":
        lines.append(("paused", ""))
    return lines


def namespaces(row: "Row") -> "list[Line]":
    """Say which namespaces are not the container's own; the user and time namespace are the host's as a rule."""
    spaces, lines = row["namespaces"], []
    exposed = [name for name in EXPOSING if spaces.get(name, {}).get("of") == "host"]
    if exposed:
        lines.append((f"the host's {' '.join(exposed)}", WARNING))
    if spaces.get("uts", {}).get("of") == "host":
        lines.append(("the host's uts", ""))
    for name in ORDER:
        if spaces.get(name, {}).get("of") == "shared":
            lines.append((f"{name}: {shared_with(spaces[name])}", ""))
    if spaces.get("user", {}).get("of") != "host" and row["mapping"]:
        lines.append((f"root is uid {row['mapping'][0][1]}", ""))
    return lines or [("own", "")]


def shared_with(space: "Row") -> str:
    """Say whose a namespace was first, or who else is in it."""
    return f"{space['joined']}'s" if space["joined"] else f"shared with {', '.join(space['with'])}"


def sets(row: "Row") -> "list[Line]":
    """Tell the capabilities by what docker's default is; what is added is unusual."""
    beyond, below = row["beyond_default"], row["below_default"]
    if not row["bounding"]:
        return [("none", "")]
    if len(beyond) > MANY:
        return [(f"{len(row['bounding'])}: nearly all of the host's", WARNING)]
    if below and len(below) >= len(row["bounding"]):
        return [(" ".join(row["bounding"]), WARNING if beyond else "")]
    return [("default", ""), *((f"+{name}", WARNING) for name in beyond), *((f"-{name}", "") for name in below)]


def filters(row: "Row") -> "list[Line]":
    """Tell the filters, and no_new_privs."""
    count = row["seccomp_filters"]
    said = [(f"{count} filter{'s' * (count > 1)}", "") if count else ("none", WARNING)]
    return [*said, *([("no_new_privs", "")] if row["no_new_privs"] else [])]
