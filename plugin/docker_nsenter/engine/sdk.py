"""The docker SDK, over a stream that docker itself carries; the one place that imports it (130 ms)."""

import os
from socket import socket
from typing import Any

import docker
import docker.errors
from docker.errors import APIError, DockerException
from docker.transport import UnixHTTPAdapter
from requests.exceptions import RequestException
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from . import transport
from .answers import lost, meaning
from .endpoints import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

OLDEST = "1.24"  # the first version of the API that the SDK speaks

__all__ = ["APIError", "Words", "client"]


def client(endpoint: Endpoint, seconds: float) -> Any:
    """Open the docker SDK's client, kept for later; each answer may take so many seconds.

    TLS, proxies, ssh and the choice of the engine are docker's own: it dials (transport.py), the SDK only speaks.
    """
    if endpoint.directory:
        os.environ["DOCKER_CONFIG"] = endpoint.directory  # where the SDK finds the registries' passwords, now
    found = docker.APIClient(base_url="unix:///carried/by/docker", version=OLDEST, timeout=seconds)
    found._custom_adapter = Carried(endpoint, seconds)
    found.mount("http+docker://", found._custom_adapter)
    found.trust_env = False
    found.headers.update(endpoint.headers)
    found._version = endpoint.api_version or found._retrieve_server_version()
    endpoint.client = found
    return found


class Carried(UnixHTTPAdapter):  # type: ignore[misc]
    """Speak to an engine through docker's own `system dial-stdio`: the SDK's ssh needs paramiko, docker's only ssh."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        """Take the engine to dial."""
        super().__init__("http+unix:///carried/by/docker", timeout=seconds)
        self.pool = Pool(endpoint, seconds)

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        """Use one pool for all requests: a connection by ssh takes a second to make."""
        return self.pool


class Pool(HTTPConnectionPool):
    """Make dialled connections."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        """Take the engine to dial."""
        super().__init__("localhost", timeout=seconds, maxsize=10)
        self.endpoint, self.seconds = endpoint, seconds

    def _new_conn(self) -> Any:
        return Connection(self.endpoint, self.seconds)


class Connection(HTTPConnection):
    """Be one connection that docker carries."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        """Take the engine to dial."""
        super().__init__("localhost", timeout=seconds)
        self.endpoint, self.seconds = endpoint, seconds

    def connect(self) -> None:
        """Dial."""
        self.sock = socket(fileno=transport.connect(self.endpoint).detach())  # http.client wants Python's own kind
        self.sock.settimeout(self.seconds)


class Words:
    """Turn what the SDK raises into what a person, or the next attempt, can use."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Name the engine in the words."""
        self.endpoint = endpoint

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, problem: "BaseException | None", trace: "TracebackType | None") -> None:
        """Raise what it means."""
        if isinstance(problem, APIError):
            raise meaning(str(problem.explanation or problem).strip()) from None
        if isinstance(problem, DockerException | RequestException | OSError):
            raise lost(self.endpoint, problem, transport.last_words(self.endpoint)) from problem
