"""Pull an image by the docker SDK, with the registry's password in docker's configuration, and show how far it is."""

import sys

from ..errors import Problem
from ..packages import add_packages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .endpoints import Endpoint

PATIENCE = 600  # seconds between two words of the engine while it pulls


def pull(endpoint: "Endpoint", name: str) -> None:
    """Pull an image; Problem with the engine's or the registry's words."""
    add_packages()
    from . import answers, sdk

    tag = None if ":" in name.rpartition("/")[2] or "@" in name else "latest"
    try:
        with sdk.Words(endpoint):
            client = endpoint.client or sdk.client(endpoint, PATIENCE)
            client.timeout = PATIENCE
            show(name, client.pull(name, tag=tag, stream=True, decode=True))
    except (answers.NotHere, answers.Lacking) as problem:
        raise Problem(f"the engine says: {problem}") from None


def show(name: str, events: "Iterator[dict[str, Any]]") -> None:
    """Show on a terminal how far a pull is, on one line, which is gone in the end."""
    terminal = sys.stderr.isatty()
    sizes: dict[str, tuple[int, int]] = {}
    done: set[str] = set()
    try:
        for event in events:
            if event.get("error"):
                raise Problem(str(event["error"]))
            layer, detail = str(event.get("id", "")), event.get("progressDetail") or {}
            if event.get("status") == "Downloading" and detail.get("total"):
                sizes[layer] = (int(detail.get("current", 0)), int(detail["total"]))
            elif event.get("status") in ("Download complete", "Pull complete", "Already exists"):
                done.add(layer)
                sizes[layer] = (sizes.get(layer, (0, 0))[1],) * 2
            if terminal:
                sys.stderr.write(f"\r\x1b[Kdocker nsenter: pulling {name}: {progress(sizes, done)}")
                sys.stderr.flush()
    finally:
        if terminal:
            sys.stderr.write("\r\x1b[K")


def progress(sizes: "dict[str, tuple[int, int]]", done: "set[str]") -> str:
    """Word how many layers and bytes there are already."""
    now, whole = (sum(pair[side] for pair in sizes.values()) / 1e6 for side in (0, 1))
    layers = f"{len(done & set(sizes))} of {len(sizes)} layers"
    return f"{layers}, {now:.1f} of {whole:.1f} MB" if whole else layers
