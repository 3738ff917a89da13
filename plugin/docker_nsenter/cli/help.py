"""Show the help by the generated texts: panels and colour on a terminal, plain in a pipe; without typer or rich."""

import os
import sys

from .folding import ALIASES, ALIASES_ARE, folded
from .grammar import FLAGS, VALUES
from .manual import EXAMPLES, MORE, PANELS, STATUSES, SUMMARY, USAGE, USUAL, VERSION

NARROWEST, WIDEST = 60, 96  # columns that still read well
COLUMN = 32  # where the texts begin
NAMESPACES = PANELS[0][0]
# What three rows for each namespace would say at length
PATTERNS = (
    ("--no-NAME", "Join all but that one (--no-net, ...)"),
    ("--NAME-only", "Join only that one (--net-only, ...)"),
    (", ".join(ALIASES), ALIASES_ARE),
)
ASKING = ("--help", "-h", "--version")
BOLD, DIM, CYAN, MAGENTA, RESET = "\x1b[1m", "\x1b[2m", "\x1b[36m", "\x1b[35m", "\x1b[0m"


def show_version() -> int:
    """Print the plugin's version."""
    sys.stdout.write(f"docker nsenter {VERSION}\n")
    return 0


def show(*, brief: bool) -> int:
    """Print the help as standard output can show it: all of it, or one screen."""
    tty = sys.stdout.isatty()
    width = columns() if tty else 80
    able = tty and os.environ.get("TERM", "dumb") != "dumb"
    shown = screen(width) if brief else text(width, boxes=able)
    sys.stdout.write(paint(shown) if able and not os.environ.get("NO_COLOR") else shown)
    return 0


def wanted(words: list[str]) -> bool:
    """Tell whether a line surely asks for help; what is odd before that is for typer to judge."""
    at = 0
    while at < len(words):
        word = words[at]
        if word in ASKING:
            return True
        name, equals, _ = word.partition("=")
        if word in VALUES and at + 1 < len(words) and not words[at + 1].startswith("-"):
            at += 1
        elif word not in FLAGS and not (equals and name.startswith("--") and name in VALUES):
            return False
        at += 1
    return False


def columns() -> int:
    """Tell how wide the terminal is, as far as that reads well."""
    given = os.environ.get("COLUMNS", "")
    try:
        width = int(given) if given.isdecimal() else os.get_terminal_size(1).columns
    except OSError:
        width = 80
    return max(NARROWEST, min(width or 80, WIDEST))


def text(width: int = 80, *, boxes: bool = False) -> str:
    """Write all of the help in so many columns."""
    lines = [f"Usage:  {USAGE}", ""]
    for paragraph in SUMMARY:
        lines += [*wrap(paragraph, width), ""]
    inner = width - 4 if boxes else width - 2
    for title, options in PANELS:
        shown = [
            (spelled, value, what)
            for words, value, both in options
            if title != NAMESPACES or not _by_pattern(words[0])
            for spelled, what in folded(words, both)
        ]
        shown += [((word,), "", what) for word, what in PATTERNS] if title == NAMESPACES else []
        lines += panel(title, [line for row in shown for line in option(*row, inner)], width, boxes=boxes)
    examples = [row for line, what in EXAMPLES for row in _example(line, what, inner)]
    lines += panel("Examples", examples, width, boxes=boxes)
    statuses = [row for status, what in STATUSES for row in beside(status, what, inner, 10)]
    lines += panel("Exit status", statuses, width, boxes=boxes)
    return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"


def screen(width: int = 80) -> str:
    """Write what people use most on one screen of 24 lines, with room for the prompt."""
    rows = {word: (words, value) for _, options in PANELS for words, value, _ in options for word in words}
    lines = [f"Usage:  {USAGE}", "", *wrap(SUMMARY[0], width), "", "Options:"]
    for word, what in USUAL:
        words, value = rows[word]
        short = f"{words[0]}, " if len(words[0]) == 2 else "    "
        lines += [f"  {row}" for row in beside(f"{short}{word} {value}".rstrip(), what, width - 2, COLUMN - 2)]
    lines += ["", "Examples:", *(f"  {row}" for each in EXAMPLES for row in _example(*each, width - 2))]
    return "\n".join([*lines, MORE]) + "\n"


def _by_pattern(word: str) -> bool:
    """Tell whether a namespace's option is said by a pattern."""
    return word.startswith("--no-") or word.endswith("-only")


def option(words: tuple[str, ...], value: str, what: str, width: int) -> list[str]:
    """Lay one option out: the text beside it, or below where there is no room."""
    left = ", ".join(words) if len(words[0]) == 2 else "    " + ", ".join(words)
    column = COLUMN if width > 70 else COLUMN // 2
    if len(left) + len(value) >= width:
        return [left, " " * 10 + value, *beside("", what, width, column)]
    return beside(f"{left} {value}".rstrip(), what, width, column)


def _example(line: str, what: str, width: int) -> list[str]:
    column = max(len(each) for each, _ in EXAMPLES) + 2
    if width - column < 30:
        return [line, *(f"    {row}" for row in wrap(what, width - 4))]
    return beside(line, what, width, column)


def beside(left: str, what: str, width: int, column: int) -> list[str]:
    """Put a text beside a word, in a column of its own."""
    rows = wrap(what, max(16, width - column))
    if len(left) <= column - 2:
        return [left.ljust(column) + rows[0], *(" " * column + row for row in rows[1:])]
    return [left, *(" " * column + row for row in rows)]


def panel(title: str, rows: list[str], width: int, *, boxes: bool) -> list[str]:
    """Frame rows under a title; without boxes, indent them."""
    if not boxes:
        return [f"{title}:", *(f"  {row}" for row in rows), ""]
    top = f"╭─ {title} ".ljust(width - 1, "─") + "╮"
    return [top, *(f"│ {row.ljust(width - 4)} │" for row in rows), "╰" + "─" * (width - 2) + "╯"]


def wrap(words: str, width: int) -> list[str]:
    """Break a text into lines (textwrap would import re)."""
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def paint(shown: str) -> str:
    """Colour a laid-out help, to be read on black and on white: titles bold, options cyan, placeholders magenta."""
    return "".join(f"{_painted(line)}\n" for line in shown.splitlines())


def _painted(line: str) -> str:
    if line.startswith("╭"):
        title = line[3:].rstrip("─╮").rstrip()
        return f"{DIM}╭─{RESET} {BOLD}{title}{RESET} {DIM}{line[len(title) + 4 :]}{RESET}"
    if line.startswith("╰"):
        return f"{DIM}{line}{RESET}"
    if line.startswith("  ") and not line.startswith("   " + " " * COLUMN):
        return f"  {_left(line[2:])}"
    if not line.startswith("│"):
        return f"{BOLD}{line}{RESET}" if line.startswith("Usage:") or line.endswith(":") else line
    return f"{DIM}│{RESET} {_left(line[2:-2])} {DIM}│{RESET}"


def _left(inside: str) -> str:
    """Colour the left column of a row."""
    end = inside.find("  ", len(inside) - len(inside.lstrip()))  # the left column ends at two blanks
    head = inside[: end if end >= 0 else len(inside)]
    left = inside.startswith(("-", "    -", "docker")) or inside[:1].isdigit()
    words = [_coloured(word) for word in head.split(" ")] if left else [head]
    return " ".join(words) + inside[len(head) :]


def _coloured(word: str) -> str:
    """Colour a word of the left column."""
    if not word:
        return word
    placeholder = not word.startswith("-") and (word.isupper() or "|" in word)
    return f"{MAGENTA if placeholder else CYAN}{word}{RESET}"
