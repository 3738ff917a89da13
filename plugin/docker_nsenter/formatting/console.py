"""Write to a terminal in its width and colours, and into a pipe as it is: nothing cut, nothing padded."""

import os
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..cli.help import beside, wrap
from ..errors import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Line = tuple[str, str]  # the text and its style

# Bold and red are read on black and on white; only what is unusual is red
NAME, WARNING, QUIET = "bold", "bold red", "dim"
UNBOUNDED = 1 << 16
ORDER = ("mnt", "uts", "ipc", "net", "pid", "cgroup", "user", "time")


def console() -> Console:
    """Make the console; a pipe has no width but the one that COLUMNS gives it."""
    narrow = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    return Console(highlight=False, width=None if narrow else UNBOUNDED)


def put(screen: Console, *shown: "Any") -> None:
    """Print, without blanks at the ends of lines where no terminal needs them."""
    if screen.is_terminal:
        for each in shown:
            screen.print(each)
        return
    with screen.capture() as said:
        for each in shown:
            screen.print(each)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in said.get().splitlines()))


def grid(*columns: str) -> Table:
    """Make a table without lines; words are kept whole as long as there is room for one."""
    table = Table(header_style=NAME, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def paired(screen: Console, name: str, value: str, column: int, style: str = "", indent: str = "") -> None:
    """Print a name and what it is beside it; below it where a word would not fit. No word is broken."""
    width = screen.width - len(indent)
    if max(map(len, value.split()), default=0) > width - column:
        lines = [name, *(f"  {line}" for line in wrap(value, width - 2))]
    else:
        lines = beside(name, value, width, column)
    head = len(name) if len(name) > column - 2 else column
    first = Text(f"{indent}{lines[0][:head]}").append(lines[0][head:], style=style)
    put(screen, first, *(Text(f"{indent}{line}", style=style, overflow="ignore", no_wrap=True) for line in lines[1:]))


def stacked(lines: "Iterable[Line]", *, one_line: bool = False) -> Text:
    """Put the lines of a cell below each other, or beside each other in a pipe."""
    return Text(", " if one_line else "\n").join(Text(text, style=style) for text, style in lines)


def notes(screen: Console, said: "Iterable[str]") -> None:
    """Print what is to be known about a table, below it."""
    put(screen, *(Text(f"note: {printable(each)}") for each in said))


def harmless(value: "Any") -> "Any":
    """Replace in every text of a JSON value what could control a terminal: an image's author chose some of them."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {harmless(key): harmless(item) for key, item in value.items()}
    return [harmless(item) for item in value] if isinstance(value, list | tuple) else value


def size(count: "int | None") -> str:
    """Write a number of bytes with the unit in which docker takes it."""
    if count is None or count >= 1 << 62:  # what a cgroup of version 1 says where there is no limit
        return "unlimited"
    for unit, each in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= each:
            return f"{count / each:.4g} {unit}"
    return f"{count} bytes" if count else "0"
