"""Ask the engine which process is the container's, and what it was started with."""

import posix

from ..enter.jsonlite import loads
from ..errors import Problem, as_root, printable
from .endpoints import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LARGEST_REPLY = 16 << 20
TIMEOUT = 10.0  # seconds for the whole answer
# Runtimes whose State.Pid is a sandbox or a virtual machine: no process of the container runs on this kernel.
SANDBOXES = ("runsc", "gvisor", "kata", "io.containerd.runsc.v1", "io.containerd.kata.v2", "nabla")
SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


class Silent(Problem):
    """Say that no engine answers at this address."""


class Container:
    """Hold what the engine knows of a running container."""

    id = name = image = status = hostname = domainname = user = workdir = ""
    apparmor = selinux = runtime = network_mode = pid_mode = ipc_mode = uts_mode = userns_mode = cgroupns_mode = ""
    pid = oom_score_adj = owner = 0
    tty = privileged = False

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.env: list[str] = []
        self.group_add: list[str] = []
        self.security_opt: list[str] = []
        self.cap_add: list[str] = []
        self.cap_drop: list[str] = []
        self.ulimits: list[tuple[str, int, int]] = []


def is_local(endpoint: Endpoint) -> bool:
    """Tell whether the engine listens on a unix socket of this machine."""
    return endpoint.host.startswith("unix://")


def owner(endpoint: Endpoint) -> int:
    """Tell whose engine it is: root's, or the user's who owns its socket on this machine."""
    try:
        return posix.stat(endpoint.host.removeprefix("unix://")).st_uid if is_local(endpoint) else 0
    except OSError:  # it was there when the engine answered
        return 0


def find(endpoint: Endpoint, name: str, *, paused_ok: bool = False) -> Container:
    """Look a container up by name or ID prefix; Problem for everything but one that runs."""
    name = name.removeprefix("/") or name  # as `docker inspect` writes it
    named = SAFE.issuperset(name.encode("utf-8", "surrogateescape")) and name.strip(".") != ""
    called = ""
    reply: Any
    status, reply = ask(endpoint, f"/containers/{quote(name)}/json") if named or not name else (404, None)
    if status == 404:
        from . import names

        _, listed = ask(endpoint, names.LIST)
        chosen, called = names.choose(name, listed, lambda image: _labels_of(endpoint, image))
        status, reply = ask(endpoint, f"/containers/{chosen}/json")
    if status != 200:
        raise Problem(f"the engine says: {_message(reply) or f'HTTP status {status}'}")
    container = read_container(reply)
    container.owner = owner(endpoint)
    refuse_unless_running(container, reply, paused_ok=paused_ok)
    if called:
        posix.write(2, f"docker nsenter: {printable(name)} is container {printable(called)}\n".encode())
    return container


def _labels_of(endpoint: Endpoint, image: str) -> object:
    """Ask for an image's own labels; None where the engine does not know it any more."""
    status, reply = ask(endpoint, f"/images/{quote(image)}/json")
    try:
        return (reply["Config"].get("Labels") or {}) if status == 200 else None
    except (KeyError, TypeError, AttributeError):
        return None


def ask(endpoint: Endpoint, path: str) -> "tuple[int, Any]":
    """Send a GET to the engine; return the HTTP status and the parsed reply."""
    status, body = fetch(endpoint, path)
    try:
        return status, loads(body)
    except ValueError:
        if status == 200:
            raise odd(endpoint) from None
        return status, None


def fetch(endpoint: Endpoint, path: str) -> tuple[int, bytes]:
    """Send a GET to the engine; return the HTTP status and the bytes of the reply."""
    if is_local(endpoint):
        return exchange(endpoint, request(endpoint, path, "HTTP/1.0"), timeout())
    return _ask_sdk(endpoint, path)


def quote(name: str) -> str:
    """Percent-encode a name, so that no word of the user's becomes a path or a header."""
    if not name:
        raise Problem("the name of the container is empty")
    return "".join(chr(byte) if byte in SAFE else f"%{byte:02X}" for byte in name.encode("utf-8", "surrogateescape"))


def timeout() -> float:
    """Tell how many seconds the engine has: DOCKER_NSENTER_TIMEOUT, or 10."""
    try:
        return max(0.1, float(posix.environ.get(b"DOCKER_NSENTER_TIMEOUT", b"")))
    except ValueError:
        return TIMEOUT


def process(word: str) -> Container:
    """Describe the process of `pid:N`, which needs no engine: its user and groups are the ones to be."""
    number = word.removeprefix("pid:")
    if not number.isascii() or not number.isdigit() or not 0 < int(number[:10]) <= 1 << 22:
        raise Problem(f"{word} names no process: behind pid: stands its number", f"docker nsenter {number}")
    from ..enter.linux.procfs import read
    from ..enter.target import parse_status

    found = Container()
    found.name, found.pid, found.status = word, int(number), "running"
    try:
        status = parse_status(read(f"/proc/{number}/status"))
        maps = [read(f"/proc/{number}/{name}") for name in ("uid_map", "gid_map")]
    except OSError as problem:
        gone = isinstance(problem, FileNotFoundError | ProcessLookupError)
        raise Problem(f"there is no process {number}{'' if gone else f': {problem.strerror}'}") from problem
    inside = [
        _inside(status["Uid"][1], maps[0]),
        *(_inside(gid, maps[1]) for gid in status["Gid"][1:2] + status["Groups"]),
    ]
    found.user = f"{inside[0]}:{inside[1]}"
    found.group_add = [str(group) for group in inside[2:]]
    return found


def _inside(number: int, id_map: bytes) -> int:
    """Translate an id of the host's into one of a user namespace's; 65534 where it has none there."""
    for line in id_map.splitlines():
        first, outside, length = (int(word) for word in line.split())
        if outside <= number < outside + length:
            return first + number - outside
    return 65534


# --- a unix socket: HTTP/1.0 by hand, for http.client costs 30 ms and the SDK 130


def exchange(
    endpoint: Endpoint, message: bytes, seconds: float, meanwhile: "Callable[[], object]" = bool
) -> tuple[int, bytes]:
    """Send one request over a unix socket; return the HTTP status and the answer, which may take so many seconds.

    `meanwhile` is called while the engine is at work.
    """
    import _socket

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.settimeout(seconds)
    try:
        connection.connect(endpoint.host.removeprefix("unix://"))
        connection.sendall(message)
        meanwhile()
        reply = _receive(connection, endpoint, seconds)
    except TimeoutError:
        raise Silent(
            f"the engine at {endpoint.host} does not answer within {seconds:g} seconds",
            "docker nsenter pid:N enters a process without the engine",
        ) from None
    except OSError as problem:
        raise unreachable(endpoint, problem) from problem
    finally:
        connection.close()
    return _parse_reply(reply, endpoint)


def request(endpoint: Endpoint, path: str, protocol: str) -> bytes:
    """Write a GET with the version and the headers of the user's settings."""
    prefix = f"/v{endpoint.api_version}" if endpoint.api_version else ""
    lines = [f"GET {prefix}{path} {protocol}", "Host: docker", "User-Agent: docker-nsenter"]
    lines += [f"{key}: {value}" for key, value in endpoint.headers.items() if "\r" not in value and "\n" not in value]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _receive(connection: "Any", endpoint: Endpoint, seconds: float) -> bytes:
    """Read the reply to its end, within the time and the size that it may have."""
    from time import monotonic

    deadline = monotonic() + seconds
    parts, size = [], 0
    while chunk := connection.recv(65536):
        parts.append(chunk)
        size += len(chunk)
        if size > LARGEST_REPLY:
            raise odd(endpoint)
        if monotonic() > deadline:
            raise TimeoutError
    return b"".join(parts)


def _parse_reply(reply: bytes, endpoint: Endpoint) -> tuple[int, bytes]:
    """Split an HTTP reply into status and body."""
    head, _, body = reply.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise odd(endpoint)
    return int(words[1][:3]), body


def odd(endpoint: Endpoint) -> Problem:
    """Say that something else than an engine listens there."""
    return Problem(f"what listens on {endpoint.host} does not answer as a docker engine does")


def unreachable(endpoint: Endpoint, problem: OSError) -> Problem:
    """Say why the engine's socket can't be used, and what to type."""
    path = endpoint.host.removeprefix("unix://")
    if isinstance(problem, PermissionError):
        return Problem(f"permission denied on the engine's socket {path}{_owner(path)}", as_root())
    if isinstance(problem, FileNotFoundError | ConnectionRefusedError):
        return Silent(
            f"cannot connect to the docker engine at {endpoint.host}: is it running?",
            "docker nsenter pid:N enters a process without the engine",
        )
    return Problem(f"cannot talk to the docker engine at {endpoint.host}: {problem.strerror or problem}")


def _owner(path: str) -> str:
    """Name the group that may use the socket, and who is in it."""
    import grp

    try:
        group = grp.getgrgid(posix.stat(path).st_gid)
    except (OSError, KeyError):
        return ""
    members = f"in it: {', '.join(group.gr_mem)}" if group.gr_mem else "it is empty"
    return f": it is for root and group {group.gr_name} ({members})"


# --- every other endpoint: the docker SDK ------------------------------------------------------------------------


def _ask_sdk(endpoint: Endpoint, path: str) -> tuple[int, bytes]:
    """Make one request through the docker SDK, which knows TCP, TLS and ssh."""
    from . import sdk

    with sdk.Words(endpoint):
        engine = endpoint.client or sdk.client(endpoint)
        reply = engine._get(engine._url(path.replace("{", "%7B")))
        return reply.status_code, reply.content
    raise AssertionError  # Words passes nothing over


# --- the reply -------------------------------------------------------------------------------------------------


def _message(reply: object) -> str:
    """Take the engine's own words out of an error."""
    return str(reply.get("message", "")) if isinstance(reply, dict) else ""


def read_container(reply: object) -> Container:
    """Take what an entry needs out of the engine's answer; Problem when it is not what it should be."""
    found = Container()
    try:
        if not isinstance(reply, dict):
            raise TypeError
        state, config, host = reply["State"], reply["Config"], reply["HostConfig"]
        found.id, found.name = str(reply["Id"]), str(reply["Name"]).lstrip("/")
        found.pid = int(state["Pid"])
        found.status = str(state["Status"])
        found.env = [str(word) for word in config.get("Env") or []]
        found.group_add = [str(word) for word in host.get("GroupAdd") or []]
        found.security_opt = [str(word) for word in host.get("SecurityOpt") or []]
        found.cap_add = [str(word) for word in host.get("CapAdd") or []]
        found.cap_drop = [str(word) for word in host.get("CapDrop") or []]
        found.ulimits = [(str(row["Name"]), int(row["Soft"]), int(row["Hard"])) for row in host.get("Ulimits") or []]
        found.oom_score_adj = int(host.get("OomScoreAdj") or 0)
        found.privileged = host.get("Privileged") is True
        found.tty = config.get("Tty") is True
        for attribute, source, key in FIELDS:
            setattr(found, attribute, str({"": reply, "config": config, "host": host}[source].get(key) or ""))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Problem("the engine's answer is not what a docker engine says of a container") from None
    if len(found.id) != 64 or found.id.strip("0123456789abcdef"):
        raise Problem("the engine's answer is not what a docker engine says of a container")
    return found


FIELDS = (
    ("image", "config", "Image"),
    ("hostname", "config", "Hostname"),
    ("domainname", "config", "Domainname"),
    ("user", "config", "User"),
    ("workdir", "config", "WorkingDir"),
    ("apparmor", "", "AppArmorProfile"),
    ("selinux", "", "ProcessLabel"),
    ("runtime", "host", "Runtime"),
    ("network_mode", "host", "NetworkMode"),
    ("pid_mode", "host", "PidMode"),
    ("ipc_mode", "host", "IpcMode"),
    ("uts_mode", "host", "UTSMode"),
    ("userns_mode", "host", "UsernsMode"),
    ("cgroupns_mode", "host", "CgroupnsMode"),
)


def refuse_unless_running(container: Container, reply: "dict[str, Any]", *, paused_ok: bool) -> None:
    """Say why a container can't be entered now."""
    state, name = reply["State"], container.name
    if state.get("Restarting"):
        raise Problem(
            f"container {name} is restarting (its last exit status was {state.get('ExitCode')})", f"docker logs {name}"
        )
    if state.get("Paused") and not paused_ok:
        raise Problem(
            f"container {name} is paused: nothing in it can run",
            f"docker unpause {name}, or --no-join-cgroup to look into it as it is",
        )
    if not state.get("Running") or container.pid <= 0:
        ended = f" ({container.status}, exit status {state.get('ExitCode')})" if container.status else ""
        raise Problem(f"container {name} is not running{ended}", f"docker start {name}")
    if container.runtime in SANDBOXES:
        raise Problem(
            f"container {name} runs under {container.runtime}, whose processes this kernel does not know",
            f"docker exec {name} works with every runtime",
        )
