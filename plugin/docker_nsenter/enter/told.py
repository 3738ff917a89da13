"""Tell of a command that is ready what was done and what it holds: -D and the journal."""

import posix

from .entry import Entry
from .errors import say
from .linux import capabilities
from .steps import ROLES, SUPERVISE


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


def tally(entry: Entry) -> int:
    """Name the descriptor at which what connects for --forward tells how much it has carried; -1 for a command."""
    return entry.connector.told if entry.connector else -1
