"""Find a container in what its engine keeps on disk, for when the engine itself does not answer.

Only root comes here, and believes only files that nobody but root can have written. The process that the state names is
pinned as always: a stale number is recognised by whose child it is (enter/membership.py).
"""

import os

from ..enter.errors import EntryError
from ..enter.linux.procfs import read
from ..enter.membership import belongs
from ..enter.target import Target, parse_status
from ..errors import CliError
from .containers import Container, read_container, refuse_unless_running
from .endpoints import Endpoint, read_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    State = dict[str, Any]

DEFAULT_ROOT, SETTINGS = "/var/lib/docker", "/etc/docker/daemon.json"
ROOT_OPTIONS = ("--data-root", "--graph", "-g")
BOUND = ("hostname", "hosts", "resolv.conf")  # the files that an engine binds from a container's directory
HEXADECIMAL = frozenset("0123456789abcdef")
STICKY, WRITABLE = 0o1000, 0o022


def find(endpoint: Endpoint, word: str) -> "tuple[Container, str] | None":
    """Find a running container by name, ID prefix or service; return it and the directory of its state."""
    states = [state for root in data_roots(endpoint) for state in _states(root)]
    meant = _meant(word, states)
    if not meant:
        return None
    running = [state for state in meant if _is_running(state)]
    if len(running) > 1:
        places = ", ".join(state["directory"] for state in running)
        raise CliError(f"the engine does not answer, and {word} matches several running containers: {places}")
    if not running:
        raise CliError(_ended(meant[0]))
    state = running[0]
    container = read_container(state["reply"])
    refuse_unless_running(container, state["reply"], paused_ok=False)
    return container, state["directory"]


def _meant(word: str, states: "list[State]") -> "list[State]":
    """Choose as an engine does: the full ID, else the name, else the ID's beginning; else by the labels."""
    for wanted in (
        lambda state: state["id"] == word,
        lambda state: state["name"] == word,
        lambda state: state["id"].startswith(word),
        lambda state: word in _service_names(state),
    ):
        found = [state for state in states if wanted(state)]
        if found:
            return found
    return []


def _service_names(state: "State") -> set[str]:
    """List the names that compose and swarm gave; not those that its image gave it (names.py)."""
    from .names import believable, spellings

    reply, store = state["reply"], os.path.dirname(os.path.dirname(state["directory"]))
    kept = f"{store}/image/{reply.get('Driver')}/imagedb/content/sha256"

    def labels_of(image: str) -> object:
        """Read an image's own labels; None where they are not kept there."""
        config = read_json(f"{kept}/{os.path.basename(image.removeprefix('sha256:'))}").get("config")
        return (config.get("Labels") or {}) if isinstance(config, dict) else None

    return spellings(
        believable({"Labels": reply["Config"].get("Labels"), "ImageID": reply.get("Image")}, labels_of, {})
    )


def _is_running(state: "State") -> bool:
    """Tell whether the process that the state names is alive and the container's."""
    reply = state["reply"]
    try:
        target = Target(int(reply["State"]["Pid"]))
        return reply["State"].get("Running") is True and belongs(target.proc, target.text, state["id"], 0)
    except (EntryError, OSError, KeyError, TypeError, ValueError):
        return False


def _ended(state: "State") -> str:
    """Say why the only container meant can't be entered."""
    name, recorded = state["name"], state["reply"]["State"]
    if recorded.get("Running") is True:
        why = f"its process {recorded.get('Pid')} has ended"
    else:
        why = f"it is not running (exit status {recorded.get('ExitCode')})"
    return f"the engine does not answer, and of container {name} its state says: {why}"


# --- the files of one container --------------------------------------------------------------------------------------


def _states(root: str) -> "Iterator[State]":
    """Read the states of an engine's containers, also where it gives them ids of their own (userns-remap)."""
    remapped = [name for name in _list(root) if name.replace(".", "", 1).isdigit() and "." in name]
    for place in [root, *(f"{root}/{name}" for name in remapped)]:
        for name in _list(f"{place}/containers"):
            directory = f"{place}/containers/{name}"
            if len(name) == 64 and HEXADECIMAL.issuperset(name) and only_roots(directory):
                state = _state(directory, name)
                if state is not None:
                    yield state


def _state(directory: str, identity: str) -> "State | None":
    """Read one container's state into the engine's own answer to `inspect`; None where the files are unfit."""
    kept, host = (read_json(f"{directory}/{name}") for name in ("config.v2.json", "hostconfig.json"))
    recorded, config = kept.get("State"), kept.get("Config")
    if kept.get("ID") != identity or not isinstance(recorded, dict) or not isinstance(config, dict) or not host:
        return None
    words = {"Paused": "paused", "Restarting": "restarting", "Running": "running"}
    status = next((word for key, word in words.items() if recorded.get(key) is True), "exited")
    reply = {**kept, "Id": identity, "HostConfig": host, "State": {**recorded, "Status": status}}
    return {"id": identity, "name": str(kept.get("Name", "")).lstrip("/"), "directory": directory, "reply": reply}


def _list(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def only_roots(path: str) -> bool:
    """Tell whether nobody but root can have put something at a path: all on the way to it is root's."""
    while True:
        try:
            status = os.stat(path)
        except OSError:
            return False
        if status.st_uid != 0 or (status.st_mode & WRITABLE and not status.st_mode & STICKY):
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


# --- where engines keep it -------------------------------------------------------------------------------------------


def data_roots(endpoint: Endpoint) -> list[str]:
    """List the directories in which the engine behind an address may keep its state.

    Who listens on the socket is known while he lives, even when he hangs. Else it is an engine that has ended: one of
    the usual places, or where a container that still runs has its files from, but no living engine's.
    """
    peer = listener(endpoint)
    name = _comm(peer) if peer else ""
    if name == "dockerd":
        apart = os.readlink(f"/proc/{peer}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
        return [f"/proc/{peer}/root{data_root_of(peer)}" if apart else os.path.realpath(data_root_of(peer))]
    living = {pid: os.path.realpath(data_root_of(pid)) for pid in _processes("dockerd")}
    if name == "systemd":  # it holds the socket for an engine that it starts
        return sorted({root for pid, root in living.items() if "fd://" in _words(pid)})
    if peer:  # a relay: nobody can tell whose
        return []
    usual = [_configured_root(SETTINGS) or DEFAULT_ROOT, *_roots_of_shims()]
    roots = dict.fromkeys(os.path.realpath(each) for each in usual)
    return [root for root in roots if root not in living.values()]


def listener(endpoint: Endpoint) -> int:
    """Tell which process began to listen on the engine's socket; 0 when nobody does (unix(7), SO_PEERCRED)."""
    import _socket

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.settimeout(1)
    try:
        connection.connect(endpoint.host.removeprefix("unix://"))
        return int.from_bytes(connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)[:4], "little")
    except OSError:
        return 0
    finally:
        connection.close()


def _processes(name: str) -> "Iterator[int]":
    """Find root's processes of a name that share our mount namespace: no container can pass for one of these."""
    ours = os.readlink("/proc/self/ns/mnt")
    for word in os.listdir("/proc"):
        try:
            if not word.isdigit() or _comm(int(word)) != name[:15] or os.readlink(f"/proc/{word}/ns/mnt") != ours:
                continue
            # not the owner of /proc/PID, which is root for whatever is not dumpable
            if parse_status(read(f"/proc/{word}/status"))["Uid"] == [0] * 4:
                yield int(word)
        except OSError:  # it has ended
            continue


def _comm(pid: int) -> str:
    """Read a process's short name; '' when it is gone."""
    try:
        return os.fsdecode(read(f"/proc/{pid}/comm").strip())
    except OSError:
        return ""


def _words(pid: int) -> list[str]:
    """Read the words with which a process was started."""
    try:
        return [os.fsdecode(word) for word in read(f"/proc/{pid}/cmdline").split(b"\0")]
    except OSError:
        return []


def data_root_of(pid: int) -> str:
    """Tell where a dockerd keeps its state: by its command line, its settings, or the default."""
    words = _words(pid)
    root = option(words, ROOT_OPTIONS) or _configured_root(option(words, ("--config-file",)) or SETTINGS)
    return root or DEFAULT_ROOT


def option(words: list[str], names: tuple[str, ...]) -> str:
    """Take an option's value, which follows it or its equals sign; '' when it is not there."""
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else "".join(words[number + 1 : number + 2])
    return ""


def _configured_root(path: str) -> str:
    """Read data-root, or graph as it was called, from a daemon.json; '' where it says nothing."""
    settings = read_json(path) if only_roots(path) else {}
    root = settings.get("data-root") or settings.get("graph")
    return root if isinstance(root, str) else ""


def _roots_of_shims() -> "Iterator[str]":
    """Find the states of containers that outlived their engine: each one's shim works in the directory of its files."""
    for pid in _processes("containerd-shim-runc-v2"):
        try:
            bundle = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        spec = read_json(f"{bundle}/config.json") if only_roots(bundle) else {}
        for mount in spec.get("mounts") or []:
            source = mount.get("source") if isinstance(mount, dict) else None
            directory, _, name = str(source or "").rpartition("/")
            containers = os.path.dirname(directory)
            if name in BOUND and os.path.basename(containers) == "containers":
                yield os.path.dirname(containers)
