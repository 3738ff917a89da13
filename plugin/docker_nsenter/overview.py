"""Lay out the list of the running containers, and draw it where no line has to be folded: rich takes 50 ms to import.

What is drawn here is byte by byte what rich draws of the same cells (describe.py).
"""

import os

from .errors import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]
    Line = tuple[str, str]  # the text and its style
    Cell = tuple[str, list[Line]]  # the style below those of the lines, and the lines

HEADING, WARNING, HOST, SHARED, QUIET = "bold", "bold red", "yellow", "cyan", "dim"
ORDER = ("mnt", "uts", "ipc", "net", "pid", "cgroup", "user", "time")
GAP = "  "
NOBODY = "no container is running"
# Select Graphic Rendition (ECMA-48)
ATTRIBUTES = {"bold": "1", "dim": "2"}
COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36"}
# Variables that tell rich to draw otherwise
PECULIAR = {"NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}


# --- what is shown ------------------------------------------------------------------------------------------------


def table(found: "Row") -> "list[list[Cell]]":
    """List the cells: the headings, then a row per container."""
    containers = found["containers"]
    columns = {"container": who, "namespaces": namespaces, "capabilities": sets, "seccomp": filters}
    if any(row["label"] for row in containers):
        columns["label"] = label
    heading: list[Cell] = [(HEADING, [(name, "")]) for name in columns]
    return [heading, *([cell(row) for cell in columns.values()] for row in containers)]


def notes(found: "Row") -> list[str]:
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


# --- drawing ------------------------------------------------------------------------------------------------------


def drawn(found: "Row") -> "str | None":
    """Draw the list for standard output; None where that takes more: lines to fold, letters of another width."""
    terminal = os.isatty(1)
    if PECULIAR & set(os.environ) or (terminal and os.environ.get("TERM", "").lower() in ("dumb", "unknown")):
        return None
    if not found["containers"]:
        return f"{NOBODY}\n"
    rows, said, room = table(found), notes(found), _room()
    widths = [max(len(text) for row in rows for text, _ in row[at][1]) for at in range(len(rows[0]))]
    if sum(widths) + len(GAP) * (len(widths) - 1) > room or any(
        len(word) > room for note in said for word in note.split(" ")
    ):
        return None
    lines = _lines(rows[0], widths, terminal, HEADING)
    lines += [line for row in rows[1:] for line in _lines(row, widths, terminal)]
    lines += [_styled(line, QUIET, terminal) for note in said for line in _folded(note, room)]
    everything = "".join(f"{line}\n" for line in lines)
    return everything if everything.isascii() else None


def _room() -> int:
    """Tell the terminal's width, whichever descriptor leads to it; 80 without one."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns):
        return int(columns)
    for fd in (0, 1, 2):
        if os.isatty(fd):
            return os.get_terminal_size(fd).columns or 80
    return 80


def _lines(row: "list[Cell]", widths: list[int], colour: bool, gap: str = "") -> list[str]:
    """Draw one row: as many lines as its highest cell has."""
    found = []
    for at in range(max(len(lines) for _, lines in row)):
        parts = []
        for (base, lines), width in zip(row, widths, strict=True):
            text, style = lines[at] if at < len(lines) else ("", "")
            below, pad = base if at < len(lines) else "", " " * (width - len(text))
            words = [(text, f"{below} {style}"), (pad, below)] if style else [(text + pad, below)]
            parts.append("".join(_styled(*each, colour) for each in words))
        found.append(_styled(GAP, gap, colour).join(parts))
    return found


def _styled(text: str, style: str, colour: bool) -> str:
    """Write text in a style, of whose colours the last one counts."""
    words = style.split()
    codes = [code for name, code in ATTRIBUTES.items() if name in words]
    codes += [COLOURS[word] for word in words if word in COLOURS][-1:]
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if colour and codes and text else text


def _folded(text: str, width: int) -> list[str]:
    """Fold a note between its words; a line keeps the space at its end where there is room."""
    found = [""]
    for word in text.split(" "):
        if found[-1] and len(found[-1]) + len(word) > width:
            found.append("")
        found[-1] += f"{word} "
    return [*(line[:width] for line in found[:-1]), found[-1][:-1]]
