"""Pull an image by the docker SDK, with the registry's password in docker's configuration."""

from ..errors import CliError
from ..packages import add_packages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .endpoints import Endpoint

PATIENCE = 600  # seconds between two words of the engine while it pulls


def pull(endpoint: "Endpoint", name: str) -> None:
    """Pull an image; CliError with the engine's or the registry's words."""
    add_packages()
    from . import answers, sdk

    tag = None if ":" in name.rpartition("/")[2] or "@" in name else "latest"
    try:
        with sdk.Words(endpoint):
            client = endpoint.client or sdk.client(endpoint, PATIENCE)
            client.timeout = PATIENCE
            watch(name, _told(client.pull(name, tag=tag, stream=True, decode=True)))
    except (answers.NotHere, answers.Lacking) as problem:
        raise CliError(f"the engine says: {problem}") from None


def _told(events: "Iterator[dict[str, Any]]") -> "Iterator[dict[str, Any]]":
    """Pass a pull's events on; CliError for the one that says what went wrong."""
    for event in events:
        if event.get("error"):
            raise CliError(str(event["error"]))
        yield event


def _drain(name: str, events: "Iterator[dict[str, Any]]") -> None:
    """Wait for a pull without showing it."""
    for _ in events:
        pass


# What shows a pull: commands/ puts formatting's in its place, which this room may not import
watch: "Callable[[str, Iterator[dict[str, Any]]], None]" = _drain
