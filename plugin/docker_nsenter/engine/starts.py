"""Wait for a container to start, by the engine's own events: --at-exit, --at-start."""

import posix

from ..enter.jsonwrite import dumps
from ..errors import CliError
from . import containers, http
from .endpoints import Endpoint
from .transport import connect, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any

LARGEST_HEAD = 65536


def find(endpoint: Endpoint, name: str, *, paused_ok: bool) -> containers.Container:
    """Find a container that runs, when it does; a life that ends while it is looked at is not the one."""
    while True:
        _wait(endpoint, name)
        try:
            return containers.find(endpoint, name, paused_ok=paused_ok)
        except CliError:
            if _runs(http.get(endpoint, f"/containers/{containers.quote(name)}/json")):
                raise


def _wait(endpoint: Endpoint, name: str) -> None:
    """Return when a container runs: at once, or when it has been started."""
    asked, reply = http.get(endpoint, f"/containers/{containers.quote(name)}/json")
    if asked != 200 or not isinstance(reply, dict):  # a service, a task or nobody: others know the sentence
        return
    stream = _events(endpoint, str(reply.get("Id", "")))
    try:
        while not _runs(http.get(endpoint, f"/containers/{containers.quote(str(reply.get('Id', '')))}/json")):
            if not posix.read(stream.fileno(), LARGEST_HEAD):
                raise CliError(f"the engine at {endpoint.host} ended the stream of its events")
    finally:
        stream.close()


def _runs(answer: "tuple[int, Any]") -> bool:
    """Tell whether it runs; what the engine does not know any more is for others to say."""
    status, reply = answer
    state = reply.get("State") if isinstance(reply, dict) else None
    if status != 200 or not isinstance(state, dict):
        return True
    return state.get("Running") is True and not state.get("Restarting") and state.get("Pid") not in (0, None)


def _events(endpoint: Endpoint, container: str) -> "socket":
    """Ask for the container's starts from now on: any byte behind the head is of one."""
    filters = dumps({"container": [container], "event": ["start", "destroy"]})
    version = f"/v{endpoint.api_version}" if endpoint.api_version else ""
    stream = connect(endpoint)
    path = f"{version}/events?filters={containers.quote(filters)}"
    write(stream.fileno(), f"GET {path} HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        data = posix.read(stream.fileno(), 4096)
        if not data or len(head) > LARGEST_HEAD:
            raise CliError(f"the engine at {endpoint.host} has no stream of its events")
        head += data
    return stream
