"""Have the engine make things: by hand over a unix socket, for the SDK takes 100 ms to import; else by the SDK."""

from ..enter.jsonlite import loads
from ..errors import Problem
from . import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .endpoints import Endpoint

JSON = "application/json"
NOT_HERE = ("bind source path does not exist", "no such file or directory", "executable file not found")
ANSWER = 120  # seconds: an engine under load takes long to start a container


class NotHere(Exception):
    """What would be bound is not on the engine's machine, or can't be executed there."""


class Lacking(Exception):
    """The engine does not hold a capability that was asked for."""


class Lost(Exception):
    """The helper ended before it could be asked for anything; the text is what it said."""


def meaning(said: str) -> Exception:
    """Turn the engine's refusal into what a person, or the next attempt, can use."""
    said = said.rpartition("unable to start container process: ")[2].removesuffix(": unknown")
    if "unable to apply caps" in said or "capabilit" in said:
        return Lacking(said)
    if any(words in said for words in NOT_HERE):
        return NotHere(said)
    return Problem(f"the engine says: {said}")


def told(answer: tuple[int, bytes]) -> bytes:
    """Take what was asked for out of an answer; raise what a refusal means."""
    status, reply = answer
    if status >= 400:
        raise meaning(words(status, reply))
    return reply


def parsed(endpoint: "Endpoint", reply: bytes) -> "dict[str, Any]":
    """Read an answer that is to be a JSON object."""
    found = _json(reply)
    if not isinstance(found, dict):
        raise containers.odd(endpoint)
    return found


def words(status: int, reply: bytes) -> str:
    """Take the engine's own words out of an error."""
    found = _json(reply)
    message = found.get("message") if isinstance(found, dict) else reply.decode("utf-8", "replace").strip()
    return str(message or f"HTTP status {status}").strip()


def _json(reply: bytes) -> "Any":
    try:
        return loads(reply)
    except ValueError:
        return None


def ask(
    endpoint: "Endpoint",
    method: str,
    path: str,
    body: bytes = b"",
    kind: str = JSON,
    meanwhile: "Callable[[], object]" = bool,
) -> tuple[int, bytes]:
    """Make one request; return the HTTP status and the answer. `meanwhile` is called while the engine is at work."""
    if not containers.is_local(endpoint):
        meanwhile()
        return _ask_sdk(endpoint, method, path, body, kind)
    head = containers.request(endpoint, path, "HTTP/1.0").removeprefix(b"GET").removesuffix(b"\r\n")
    fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return containers.exchange(endpoint, method.encode() + head + fields.encode() + body, ANSWER, meanwhile)


def _ask_sdk(endpoint: "Endpoint", method: str, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
    """Make one request through the docker SDK, which knows TCP, TLS and ssh."""
    from . import sdk

    with sdk.Words(endpoint):
        client = endpoint.client or sdk.client(endpoint, ANSWER)
        url = client._url(path.replace("{", "%7B"))
        reply = client.request(method, url, data=body, headers={"Content-Type": kind}, timeout=ANSWER)
        return reply.status_code, reply.content
    raise AssertionError  # Words passes nothing over
