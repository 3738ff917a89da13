"""Open one raw stream to the engine: its unix socket, or for any other endpoint docker's own `system dial-stdio`.

docker knows TCP, TLS and ssh, and its choice of the engine is by construction the one it makes itself.
"""

import os
import sys
from contextlib import suppress

from ..errors import CliError
from . import answers
from .endpoints import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

LARGEST_HEAD = 65536
NOT_OPENED = "failed to open the raw stream connection: "  # how docker begins


class Stream:
    """Hold an attached stream's descriptor, and what came with the engine's agreement."""

    def __init__(self, connection: "socket") -> None:
        """Take the connection over."""
        self.fd = connection.detach()
        self.first = b""

    def close(self) -> None:
        """Close both directions; who carries them ends by that."""
        os.close(self.fd)


def attach(endpoint: Endpoint, container: str) -> Stream:
    """Attach to a container's standard descriptors, as `docker attach` does (Docker Engine API, ContainerAttach)."""
    stream = Stream(connect(endpoint))
    version = f"/v{endpoint.api_version}" if endpoint.api_version else ""
    path = f"{version}/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
    lines = [f"POST {path} HTTP/1.1", "Host: docker", "Connection: Upgrade", "Upgrade: tcp", "Content-Length: 0"]
    lines += [f"{key}: {value}" for key, value in endpoint.headers.items() if not set("\r\n") & set(value)]
    write(stream.fd, ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"))
    head = b""
    while b"\r\n\r\n" not in head:
        data = os.read(stream.fd, 4096)
        if not data or len(head) > LARGEST_HEAD:
            reason = last_words(endpoint)
            raise CliError(
                f"the engine at {endpoint.host} closed the stream to the helper{': ' + reason if reason else ''}"
            )
        head += data
    head, _, stream.first = head.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or words[1] not in (b"101", b"200"):
        said = answers.words(int(words[1]) if words[1:] and words[1].isdigit() else 0, stream.first)
        raise CliError(f"the engine at {endpoint.host} refuses a stream to the helper: {said[:200]}")
    return stream


def write(fd: int, data: bytes) -> None:
    """Write all of it."""
    while data:
        data = data[os.write(fd, data) :]


def connect(endpoint: Endpoint) -> "socket":
    """Connect to the engine; what only another machine's takes is imported only for that."""
    if endpoint.host.startswith("unix://"):
        from _socket import AF_UNIX, SOCK_STREAM, socket

        connection = socket(AF_UNIX, SOCK_STREAM)
        connection.connect(endpoint.host.removeprefix("unix://"))
        return connection
    import subprocess
    from socket import socketpair

    program = _program()
    if not program:
        raise CliError(f"reaching {endpoint.host} needs the docker command, which is not on the PATH")
    ours, theirs = socketpair()
    # A session of its own, as docker gives its ssh: ^C is for the command, not for what carries it there
    words = [program, *endpoint.words, "system", "dial-stdio"]
    if endpoint.said < 0:
        endpoint.said = _file()
    endpoint.carrier = subprocess.Popen(
        words, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=endpoint.said, start_new_session=True
    )
    theirs.close()
    return ours


def _file() -> int:
    """Open a file without a name."""
    if sys.platform == "linux":
        return os.memfd_create("said")
    import tempfile

    fd, path = tempfile.mkstemp()
    os.unlink(path)
    return fd


def last_words(endpoint: Endpoint) -> str:
    """Take the reason from what docker said when it could not carry, which its own end may follow."""
    if endpoint.said < 0:
        return ""
    with suppress(Exception):  # it goes on: then it has said what it had to
        endpoint.carrier.wait(1)
    lines = os.pread(endpoint.said, LARGEST_HEAD, 0).decode("utf-8", "replace").strip().splitlines()
    # What Go and docker log beside it says nothing: "2026/11/25 18:44:45 …", "time=… level=error …"
    lines = [line for line in lines if line[4:5] + line[7:8] != "//" and not line.startswith("time=")]
    return lines[-1].rpartition("stderr=")[2].removeprefix(NOT_OPENED) if lines else ""


def _program() -> "str | None":
    """Find docker: the one that started us; for TAB it says our own name instead."""
    import shutil

    docker = os.environ.get("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND") or "docker"
    if docker.rpartition("/")[2].startswith("docker-"):
        docker = "docker"
    return shutil.which(docker) or shutil.which("docker")
