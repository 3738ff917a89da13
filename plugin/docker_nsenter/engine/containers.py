"""Ask the engine which process is the container's, and what it was started with."""

import posix
import sys

from ..enter.jsonlite import loads
from ..errors import CliError, again, printable
from . import http
from .answers import odd
from .endpoints import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Runtimes whose State.Pid is a sandbox or a virtual machine: no process of the container runs on this kernel.
SANDBOXES = ("runsc", "gvisor", "kata", "io.containerd.runsc.v1", "io.containerd.kata.v2", "nabla")
PODMANS = "oci"  # what Podman's answer calls every runtime
SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


class Container:
    """Hold what the engine knows of a running container."""

    id = name = image = status = hostname = domainname = user = workdir = ""
    apparmor = selinux = runtime = network_mode = pid_mode = ipc_mode = uts_mode = userns_mode = cgroupns_mode = ""
    pid = oom_score_adj = owner = memory = 0
    tty = privileged = False
    updates = True  # the engine has docker update

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.env: list[str] = []
        self.group_add: list[str] = []
        self.security_opt: list[str] = []
        self.cap_add: list[str] = []
        self.cap_drop: list[str] = []
        self.ulimits: list[tuple[str, int, int]] = []


def owner(endpoint: Endpoint) -> int:
    """Tell whose engine it is: root's, or the user's who owns its socket on this machine."""
    try:
        return posix.stat(endpoint.host.removeprefix("unix://")).st_uid if http.is_local(endpoint) else 0
    except OSError:  # it was there when the engine answered
        return 0


def find(endpoint: Endpoint, name: str, *, paused_ok: bool = False) -> Container:
    """Look a container up by name or ID prefix; CliError for everything but one that runs."""
    name = name.removeprefix("/") or name  # as `docker inspect` writes it
    named = SAFE.issuperset(name.encode("utf-8", "surrogateescape")) and name.strip(".") != ""
    called = ""
    reply: Any
    status, reply = http.get(endpoint, f"/containers/{quote(name)}/json") if named or not name else (404, None)
    if status == 404:
        from . import names

        _, listed = http.get(endpoint, names.LIST)
        chosen, called = names.choose(name, listed, lambda image: labels_of(endpoint, image))
        status, reply = http.get(endpoint, f"/containers/{chosen}/json")
    if status != 200:
        raise CliError(f"the engine says: {_message(reply) or f'HTTP status {status}'}")
    container = read_container(reply)
    container.owner = owner(endpoint)
    refuse_unless_running(container, reply, paused_ok=paused_ok)
    if called:
        posix.write(2, f"docker nsenter: {printable(name)} is container {printable(called)}\n".encode())
    return container


def updates(endpoint: Endpoint, container: Container) -> bool:
    """Tell whether the engine has docker update: Podman 4.3 does not, 5.8 does, and takes nothing but a POST there."""
    return container.runtime != PODMANS or http.get(endpoint, f"/containers/{container.id}/update")[0] == 405


def labels_of(endpoint: Endpoint, image: str) -> object:
    """Ask for an image's own labels; None where the engine does not know it any more."""
    status, reply = http.get(endpoint, f"/images/{quote(image)}/json")
    try:
        return (reply["Config"].get("Labels") or {}) if status == 200 else None
    except (KeyError, TypeError, AttributeError):
        return None


def running(endpoint: Endpoint) -> list[Container]:
    """List the running containers by name; one that ends meanwhile is left out. Paused ones run, too."""
    status, listed = http.get(endpoint, "/containers/json")
    if status != 200 or not isinstance(listed, list):
        raise odd(endpoint)
    paths = [f"/containers/{quote(str(row.get('Id', '')))}/json" for row in listed if isinstance(row, dict)]
    found = [_parsed(endpoint, body) for status, body in http.ask_all(endpoint, paths) if status == 200]
    whose = owner(endpoint)
    for each in found:
        each.owner = whose
    return sorted((each for each in found if each.pid > 0), key=lambda each: each.name)


def _parsed(endpoint: Endpoint, body: bytes) -> Container:
    try:
        return read_container(loads(body))
    except ValueError:
        raise odd(endpoint) from None


def quote(name: str) -> str:
    """Percent-encode a name, so that no word of the user's becomes a path or a header."""
    if not name:
        raise CliError("the name of the container is empty")
    if name.isascii() and name.isalnum():  # an ID, at least
        return name
    return "".join(chr(byte) if byte in SAFE else f"%{byte:02X}" for byte in name.encode("utf-8", "surrogateescape"))


def refuse_elsewhere(word: str) -> None:
    """Refuse a process where this machine's processes have no namespaces."""
    if sys.platform != "linux":
        raise CliError(f"{word} is a process of this machine, which does not run Linux: name a container")


def process(word: str) -> Container:
    """Describe the process of `pid:N`, which needs no engine: its user and groups are the ones to be."""
    number = word.removeprefix("pid:")
    if not number.isascii() or not number.isdigit() or not 0 < int(number[:10]) <= 1 << 22:
        raise CliError(
            f"{word} is not a process: give its process ID, as in pid:1234", again(container=number) if number else ""
        )
    from ..enter.linux.procfs import read
    from ..enter.target import parse_status

    found = Container()
    found.name, found.pid, found.status = word, int(number), "running"
    try:
        status = parse_status(read(f"/proc/{number}/status"))
        maps = [read(f"/proc/{number}/{name}") for name in ("uid_map", "gid_map")]
    except OSError as problem:
        gone = isinstance(problem, FileNotFoundError | ProcessLookupError)
        raise CliError(f"there is no process {number}{'' if gone else f': {problem.strerror}'}") from problem
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


# --- the reply -------------------------------------------------------------------------------------------------


def _message(reply: object) -> str:
    """Take the engine's own words out of an error."""
    return str(reply.get("message", "")) if isinstance(reply, dict) else ""


def read_container(reply: object) -> Container:
    """Take what an entry needs out of the engine's answer; CliError when it is not what it should be."""
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
        found.memory = int(host.get("Memory") or 0)
        found.oom_score_adj = int(host.get("OomScoreAdj") or 0)
        found.privileged = host.get("Privileged") is True
        found.tty = config.get("Tty") is True
        for attribute, source, key in FIELDS:
            setattr(found, attribute, str({"": reply, "config": config, "host": host}[source].get(key) or ""))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CliError("the engine's answer does not describe a container") from None
    if len(found.id) != 64 or found.id.strip("0123456789abcdef"):
        raise CliError("the engine's answer does not describe a container")
    if found.runtime == PODMANS:
        _leave_home_to_the_user(found)
    return found


def _leave_home_to_the_user(found: Container) -> None:
    """Podman shows the HOME of the container's own user among what was set, and gives `exec -u` that of another."""
    own = found.user.partition(":")[0]
    made = "/root" if own in ("", "0", "root") else f"/home/{own}"
    found.env = [word for word in found.env if word not in (f"HOME={made}", "HOME=/")]


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
        last = state.get("ExitCode")
        raise CliError(
            f"container {name} is restarting (its last exit status was {last})", again(docker=["logs", name])
        )
    if state.get("Paused") and not paused_ok:
        raise CliError(f"container {name} is paused: nothing in it can run", again(docker=["unpause", name]))
    if not state.get("Running") or container.pid <= 0:
        ended = f" ({container.status}, exit status {state.get('ExitCode')})" if container.status else ""
        raise CliError(f"container {name} is not running{ended}", again(docker=["start", name]))
    if container.runtime in SANDBOXES:
        raise CliError(
            f"container {name} runs under {container.runtime}, which hides its processes from this kernel",
            again(exec=True),
        )
