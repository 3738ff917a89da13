"""Tell of a command that is ready what was done and what it holds: -D, the journal, and who watches over it."""

import posix

from .entry import Entry
from .errors import say
from .linux import capabilities
from .steps import ROLES, SUPERVISE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .session.supervisor import Supervisor
    from .tracing.tracer import Tracer


def taken(entry: Entry) -> None:
    """Name the steps that were taken: with -D, once the kernel has confirmed them."""
    for role, steps in ROLES.items():
        for label, _ in steps if role != "init" or entry.own_pids else ():
            say(f"{role}: {label}")
    for label, _ in SUPERVISE:
        say(f"supervisor: {label}")


def held(entry: Entry) -> dict[str, str]:
    """Say what the command will hold, for the journal."""
    more = entry.bounding & ~entry.target.status["CapBnd"][0]
    who = entry.credentials
    return {
        "NAMESPACES": " ".join(entry.joined),
        "BEYOND": ", ".join(entry.beyond),
        "GUARD": " ".join(capabilities.names(entry.guard)),
        "ADDED_CAPABILITIES": " ".join(capabilities.names(more & ~entry.guard)),
        "COMMAND_UID": str(who.uid if who else posix.geteuid()),
        "COMMAND_GID": str(who.gid if who else posix.getegid()),
        "RECORDING": ", ".join(recording.path for recording in entry.recordings),
    }


def equip(session: "Supervisor", entry: Entry, tracer: "Tracer | None") -> None:
    """Give the session what it has to know of the entry while the command runs."""
    session.tracer, session.first = tracer, entry.target.pidfd
    if entry.connector:
        session.tally = entry.connector.told
    if entry.label and not entry.plan["detach"]:
        session.guardian = entry.own.words, entry.title("guardian")
