"""Word what an engine answers, or that none does: one place turns its errors into sentences."""

import posix

from ..enter.jsonlite import loads
from ..errors import CliError, as_root
from .endpoints import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What runc puts before its reason; the second from 1.3 on
STARTING = ("unable to start container process: ", "error during container init: ")
# What a library says, and what that is
LIBRARIES = (
    ("BadStatusLine", "what listens there does not answer as a docker engine does"),
    ("RemoteDisconnected", "it closed the connection without an answer"),
    ("IncompleteRead", "it closed the connection in the middle of an answer"),
    ("ConnectionResetError", "it closed the connection"),
    ("BrokenPipeError", "it closed the connection"),
    ("timed out", "it does not answer in time"),
    ("server API version", "it does not say its version"),
)
NOT_HERE = ("bind source path does not exist", "no such file or directory", "executable file not found")


class Silent(CliError):
    """Say that no engine answers at this address."""


class NotHere(Exception):
    """What would be bound is not on the engine's machine, or can't be executed there."""


class Lacking(Exception):
    """The engine does not hold a capability that was asked for."""


class Lost(Exception):
    """The helper ended before it could be asked for anything; the text is what it said."""


def meaning(said: str) -> Exception:
    """Turn the engine's refusal into what a person, or the next attempt, can use."""
    for words in STARTING:
        said = said.rpartition(words)[2]
    said = said.removesuffix(": unknown")
    if "unable to apply caps" in said or "capabilit" in said:
        return Lacking(said)
    if any(words in said for words in NOT_HERE):
        return NotHere(said)
    return CliError(f"the engine says: {said}")


def told(answer: tuple[int, bytes]) -> bytes:
    """Take what was asked for out of an answer; raise what a refusal means."""
    status, reply = answer
    if status >= 400:
        raise meaning(words(status, reply))
    return reply


def parsed(endpoint: Endpoint, reply: bytes) -> "dict[str, Any]":
    """Read an answer that is to be a JSON object."""
    found = _json(reply)
    if not isinstance(found, dict):
        raise odd(endpoint)
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


def odd(endpoint: Endpoint) -> CliError:
    """Say that something else than an engine listens there."""
    return CliError(f"{endpoint.host} does not answer like a docker engine")


def unreachable(endpoint: Endpoint, problem: OSError) -> CliError:
    """Say why the engine's socket can't be used, and what to type."""
    path = endpoint.host.removeprefix("unix://")
    if isinstance(problem, PermissionError):
        return CliError(f"permission denied on the engine's socket {path}{_owner(path)}", as_root())
    if isinstance(problem, FileNotFoundError | ConnectionRefusedError):
        return Silent(
            f"cannot connect to the docker engine at {endpoint.host}: is it running? (pid:N enters without it)"
        )
    return CliError(f"cannot talk to the docker engine at {endpoint.host}: {problem.strerror or problem}")


def lost(endpoint: Endpoint, problem: Exception, said: str) -> CliError:
    """Say why a library can't talk to the engine: by what docker said that carries it, or by what the library means."""
    text = repr(problem)
    reason = said or next((meant for word, meant in LIBRARIES if word in text), "")
    # requests wraps the reason three deep: "... Max retries exceeded ... (Caused by ...: the reason'))"
    reason = reason or str(problem).rpartition(": ")[2].rpartition("] ")[2].strip("'\")( ")
    return CliError(f"cannot talk to the docker engine at {endpoint.host}: {reason}")


def _owner(path: str) -> str:
    """Name the group that may use the socket, and who is in it."""
    import grp

    try:
        group = grp.getgrgid(posix.stat(path).st_gid)
    except (OSError, KeyError):
        return ""
    members = f"in it: {', '.join(group.gr_mem)}" if group.gr_mem else "it is empty"
    return f": it is for root and group {group.gr_name} ({members})"
