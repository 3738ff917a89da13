"""Speak HTTP with an engine: by hand over its unix socket, for the SDK takes 130 ms to import; else by the SDK."""

import posix
import sys

from ..enter.jsonlite import loads
from .answers import Silent, odd, unreachable
from .endpoints import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

JSON = "application/json"
LARGEST_REPLY = 16 << 20
LARGEST_HEAD = 65536
TIMEOUT = 10.0  # seconds for an answer
WORK = 120  # seconds for what the engine has to do first: under load it takes long to start a container
SLICE = 0.25  # seconds: a ^C that comes just before the kernel begins to wait is not heard until that ends
AHEAD = 64  # questions on their way at once: 10 kB, which the connection holds while nobody reads


def by_socket(endpoint: Endpoint) -> bool:
    """Tell whether the engine is reached by a unix socket."""
    return endpoint.host.startswith("unix://")


def is_local(endpoint: Endpoint) -> bool:
    """Tell whether the engine may be on this kernel: on a Mac the socket leads into a virtual machine."""
    return by_socket(endpoint) and sys.platform == "linux"


def timeout() -> float:
    """Tell how many seconds the engine has: DOCKER_NSENTER_TIMEOUT, or 10."""
    try:
        return max(0.1, float(posix.environ.get(b"DOCKER_NSENTER_TIMEOUT", b"")))
    except ValueError:
        return TIMEOUT


def get(endpoint: Endpoint, path: str) -> "tuple[int, Any]":
    """Send a GET; return the HTTP status and the parsed reply, None where an error is not JSON."""
    status, body = ask(endpoint, "GET", path, seconds=timeout())
    try:
        return status, loads(body)
    except ValueError:
        if status == 200:
            raise odd(endpoint) from None
        return status, None


def ask(
    endpoint: Endpoint,
    method: str,
    path: str,
    body: bytes = b"",
    kind: str = JSON,
    meanwhile: "Callable[[], object]" = bool,
    seconds: float = WORK,
) -> tuple[int, bytes]:
    """Make one request; return the HTTP status and the answer. `meanwhile` is called while the engine is at work."""
    if not by_socket(endpoint):
        meanwhile()
        return _ask_sdk(endpoint, method, path, body, kind, seconds)
    with Connection(endpoint, seconds) as connection:
        connection.send(method, path, body, kind, last=True)
        meanwhile()
        return connection.receive()


def ask_all(endpoint: Endpoint, paths: list[str]) -> "Iterator[tuple[int, bytes]]":
    """Send many GETs, the questions ahead of the answers; yield status and answer of each in turn."""
    if not by_socket(endpoint):
        yield from (_ask_sdk(endpoint, "GET", path, b"", JSON, timeout()) for path in paths)
        return
    with Connection(endpoint, timeout()) as connection:
        for path in paths[:AHEAD]:
            connection.send("GET", path)
        for at in range(len(paths)):
            answer = connection.receive()
            if at + AHEAD < len(paths):
                connection.send("GET", paths[at + AHEAD])
            yield answer


def _ask_sdk(endpoint: Endpoint, method: str, path: str, body: bytes, kind: str, seconds: float) -> tuple[int, bytes]:
    """Make one request through the docker SDK, over a stream that docker carries."""
    from . import sdk

    with sdk.Words(endpoint):
        client = endpoint.client or sdk.client(endpoint, seconds)
        url = client._url(path.replace("{", "%7B"))
        reply = client.request(method, url, data=body or None, headers={"Content-Type": kind}, timeout=seconds)
        return reply.status_code, reply.content
    raise AssertionError  # Words passes nothing over


class Connection:
    """Hold a unix socket to the engine, and what was read beyond the last answer (RFC 9112)."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        """Begin unconnected; an answer may take so many seconds."""
        import _socket

        self.endpoint, self.seconds, self.rest = endpoint, seconds, b""
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)

    def __enter__(self) -> "Connection":
        """Connect; CliError when that can't be."""
        self.socket.settimeout(self.seconds)
        try:
            self.socket.connect(self.endpoint.host.removeprefix("unix://"))
        except OSError as problem:
            self.__exit__(None, problem)
        return self

    def __exit__(self, kind: object, problem: object, *trace: object) -> None:
        """Close; word what went wrong."""
        self.socket.close()
        if isinstance(problem, TimeoutError):
            raise Silent(
                f"the engine at {self.endpoint.host} does not answer within {self.seconds:g} seconds "
                "(pid:N enters without it)"
            ) from None
        if isinstance(problem, OSError):
            raise unreachable(self.endpoint, problem) from problem
        if isinstance(problem, Odd):
            raise odd(self.endpoint) from None

    def send(self, method: str, path: str, body: bytes = b"", kind: str = JSON, *, last: bool = False) -> None:
        """Ask one question, with the version and the headers of the user's settings."""
        prefix = f"/v{self.endpoint.api_version}" if self.endpoint.api_version else ""
        fields = {"Host": "docker", "User-Agent": "docker-nsenter", **self.endpoint.headers}
        if last:
            fields["Connection"] = "close"
        if method != "GET":
            fields |= {"Content-Type": kind, "Content-Length": str(len(body))}
        lines = [f"{method} {prefix}{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items() if "\r" not in value and "\n" not in value]
        self.socket.settimeout(self.seconds)
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + body)

    def receive(self) -> tuple[int, bytes]:
        """Read one answer: its status and its body, by Content-Length, in chunks, or to the end of the connection."""
        from time import monotonic

        self.deadline = monotonic() + self.seconds
        self.socket.settimeout(min(self.seconds, SLICE))
        first, *lines = self._until(b"\r\n\r\n", LARGEST_HEAD).split(b"\r\n")
        words = first.split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise Odd
        fields = {name.strip().lower(): value.strip().lower() for name, _, value in (x.partition(b":") for x in lines)}
        status = int(words[1][:3])
        version = fields.get(b"api-version", b"").decode("latin-1")
        if not self.endpoint.api_version and version.replace(".", "").isdigit():
            self.endpoint.api_version = version  # what comes without one is served, and deprecated
        if status in (204, 304):
            return status, b""
        if fields.get(b"transfer-encoding") == b"chunked":
            return status, self._chunks()
        if b"content-length" in fields:
            return status, self._exactly(_number(fields[b"content-length"], 10))
        while self._more():
            pass
        body, self.rest = self.rest, b""
        return status, body

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while size := _number(self._until(b"\r\n", LARGEST_HEAD).partition(b";")[0].strip(), 16):
            parts.append(self._exactly(size))
            self._exactly(2)
            if sum(map(len, parts)) > LARGEST_REPLY:
                raise Odd
        self._until(b"\r\n", LARGEST_HEAD)
        return b"".join(parts)

    def _until(self, mark: bytes, most: int) -> bytes:
        while mark not in self.rest:
            if len(self.rest) > most or not self._more():
                raise Odd
        found, _, self.rest = self.rest.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self.rest) < size:
            if not self._more():
                raise Odd
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def _more(self) -> bool:
        """Read on, within the time and the size that an answer may have; False at the end."""
        from time import monotonic

        while True:
            try:
                chunk = self.socket.recv(1 << 16)
                break
            except TimeoutError:  # of this slice
                if monotonic() > self.deadline:
                    raise
        if monotonic() > self.deadline:
            raise TimeoutError
        self.rest += chunk
        if len(self.rest) > 2 * LARGEST_REPLY:
            raise Odd
        return bool(chunk)


class Odd(Exception):
    """What listens there does not speak as an engine does."""


def _number(digits: bytes, base: int) -> int:
    """Read a length; it is no engine's where that is none, or too much."""
    try:
        value = int(digits, base)
    except ValueError:
        raise Odd from None
    if not 0 <= value <= LARGEST_REPLY:
        raise Odd
    return value
