"""Ask the engine about all its running containers: one connection, and the questions sent ahead of the answers."""

from ..enter.jsonlite import loads
from . import containers
from .endpoints import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

AHEAD = 64  # questions on their way at once: 10 kB, which the connection holds while nobody reads


def running(endpoint: Endpoint) -> "list[containers.Container]":
    """List the running containers by name; one that ends meanwhile is left out. Paused ones run, too."""
    status, listed = containers.ask(endpoint, "/containers/json")
    if status != 200 or not isinstance(listed, list):
        raise containers.odd(endpoint)
    paths = [f"/containers/{containers.quote(str(row.get('Id', '')))}/json" for row in listed if isinstance(row, dict)]
    answers = (
        _ask_all(endpoint, paths)
        if containers.is_local(endpoint)
        else (containers.ask(endpoint, path) for path in paths)
    )
    found = [containers.read_container(reply) for status, reply in answers if status == 200]
    owner = containers.owner(endpoint)
    for each in found:
        each.owner = owner
    return sorted((each for each in found if each.pid > 0), key=lambda each: each.name)


def _ask_all(endpoint: Endpoint, paths: list[str]) -> "Iterator[tuple[int, Any]]":
    """Ask over one unix socket, keeping it open (HTTP/1.1)."""
    if not paths:
        return
    connection = _Connection(endpoint)
    try:
        for path in paths[:AHEAD]:
            connection.send(path)
        for at in range(len(paths)):
            status, body = connection.receive()
            if at + AHEAD < len(paths):
                connection.send(paths[at + AHEAD])
            yield status, loads(body) if status == 200 else None
    except (OSError, ValueError) as problem:
        if isinstance(problem, OSError):
            raise containers.unreachable(endpoint, problem) from problem
        raise containers.odd(endpoint) from problem
    finally:
        connection.close()


class _Connection:
    """Hold a unix socket to the engine and what was read beyond the last answer."""

    def __init__(self, endpoint: Endpoint) -> None:
        import _socket

        self.endpoint = endpoint
        self.rest = b""
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self.socket.settimeout(containers.timeout())
        self.socket.connect(endpoint.host.removeprefix("unix://"))
        self.close = self.socket.close

    def send(self, path: str) -> None:
        """Ask one question."""
        self.socket.sendall(containers.request(self.endpoint, path, "HTTP/1.1"))

    def receive(self) -> tuple[int, bytes]:
        """Read one answer: its status and its body, by Content-Length or in chunks (RFC 9112)."""
        first, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
        fields = {name.strip().lower(): value.strip().lower() for name, _, value in (x.partition(b":") for x in lines)}
        status = int(first.split(b" ", 2)[1])
        if fields.get(b"transfer-encoding") != b"chunked":
            return status, self._exactly(int(fields[b"content-length"]) if b"content-length" in fields else 0)
        body = b""
        while size := int(self._until(b"\r\n").partition(b";")[0], 16):
            body += self._exactly(size)
            self._exactly(2)
            if len(body) > containers.LARGEST_REPLY:
                raise ValueError("too much")
        self._until(b"\r\n")
        return status, body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.rest:
            self._more()
        found, _, self.rest = self.rest.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self.rest) < size:
            self._more()
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def _more(self) -> None:
        chunk = self.socket.recv(65536)
        if not chunk or len(self.rest) > containers.LARGEST_REPLY:
            raise ValueError("the answer ends early")
        self.rest += chunk
