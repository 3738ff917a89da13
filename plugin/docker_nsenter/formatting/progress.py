"""Show how far a pull is: one line on a terminal, which is gone in the end."""

import sys

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

DONE = ("Download complete", "Pull complete", "Already exists")


def pull(name: str, events: "Iterator[dict[str, Any]]") -> None:
    """Draw the events of a pull as they come; they raise what goes wrong."""
    layers: dict[str, tuple[int, int]] = {}
    columns = TextColumn("docker nsenter: pulling {task.description}:", markup=False), BarColumn(20), DownloadColumn()
    screen = Console(file=sys.stderr, highlight=False)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as shown:
        task = shown.add_task(name, total=None)
        for event in events:
            layer, detail = str(event.get("id", "")), event.get("progressDetail") or {}
            if event.get("status") == "Downloading" and detail.get("total"):
                layers[layer] = (int(detail.get("current", 0)), int(detail["total"]))
            elif event.get("status") in DONE and layer in layers:
                layers[layer] = (layers[layer][1],) * 2
            now, whole = (sum(pair[side] for pair in layers.values()) for side in (0, 1))
            shown.update(task, completed=now, total=whole or None)
