"""Open the recordings of an entry before anything is joined: the caller's, and the one that this machine demands."""

import posix
from fcntl import LOCK_EX, flock
from time import gmtime, strftime

from .config import below, trust
from .errors import EntryError, say
from .hardening import readonly_host
from .linux import syscalls
from .session.recording import Recording
from .session.terminal import window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config
    from .entry import Entry
    from .plan import Plan

UNSUPPORTED = (38, 95)  # ENOSYS, EOPNOTSUPP: a file system that reserves nothing
BLOCK = 512


def open_all(entry: "Entry") -> None:
    """Open what was asked for and what is demanded; say both aloud."""
    try:
        if entry.plan["record"]:
            entry.recordings.append(asked(entry.plan, entry.host_mounts if entry.host_root == "/" else -1))
        if entry.config["record"] == "relaxed" and entry.beyond:
            entry.recordings.append(_demanded(entry))
            say("this machine records what this command shows")
    except EntryError:
        for recording in entry.recordings:
            recording.discard()
        raise


def asked(plan: "Plan", home: int = -1) -> Recording:
    """Open the caller's own, by his rights; in the mount namespace `home` where ours is read-only."""
    wanted = plan["record"]
    assert wanted
    directory, _, name = wanted["file"].rpartition("/")
    try:
        recording = Recording(_directory(directory or "/", home), name, wanted["file"], keys=wanted["input"])
    except OSError as problem:
        raise EntryError(f"cannot record to {wanted['file']}: {problem.strerror}") from None
    _begin(recording, plan)
    say(f"recording output{' and every key, passwords too,' if recording.keys else ''} to {wanted['file']}")
    return recording


def _demanded(entry: "Entry") -> Recording:
    """Open one in the directory of this machine's owner, with room reserved on the disk, unless that is full."""
    config, plan = entry.config, entry.plan
    if plan["detach"]:
        raise EntryError(
            "this machine records what has more power than its container, and a detached command can't be recorded",
            {"without": ["--detach", "-d"]},
        )
    name = f"{strftime('%Y%m%dT%H%M%SZ', gmtime())}-{plan['journal']['entry']}.cast"
    try:
        directory = _directory(
            below(entry.host_root, config["record_directory"]), entry.host_mounts if entry.host_root == "/" else -1
        )
        trust(entry.host_root, config["record_directory"], directory)
        lock = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=directory)
        flock(lock, LOCK_EX)
        _refuse_full(lock, config)
        recording = Recording(directory, name, f"{config['record_directory']}/{name}", most=config["record_bytes"])
        _reserve(recording, config["record_bytes"])
        posix.close(lock)
    except OSError as problem:
        raise EntryError(
            f"this machine records what has more power than its container, and can't: {config['record_directory']}: "
            f"{problem.strerror}"
        ) from None
    _begin(recording, plan)
    return recording


def _begin(recording: Recording, plan: "Plan") -> None:
    recording.begin(plan["target"]["name"], plan["command"] or ["a shell"], window_size() if plan["tty"] else b"")


def _directory(path: str, home: int) -> int:
    """Open a directory, in the mount namespace `home` if there is one: in ours (readonly_host) nothing can be made."""
    here = posix.open("/proc/self/ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC) if home >= 0 else -1
    if here >= 0:
        readonly_host.leave(home)
    try:
        return posix.open(path, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    finally:
        if here >= 0:
            readonly_host.leave(here)
            posix.close(here)


def _refuse_full(directory: int, config: "Config") -> None:
    """Refuse when one more could be more than the directory may hold; nothing old is removed for it."""
    used = 0
    for name in posix.listdir(directory):
        found = posix.stat(name, dir_fd=directory, follow_symlinks=False)
        used += max(found.st_size, found.st_blocks * BLOCK)
    if used + config["record_bytes"] > config["record_total_bytes"]:
        raise EntryError(
            f"this machine records what has more power than its container, and {config['record_directory']} is full: "
            f"{used} of {config['record_total_bytes']} bytes, and one more may take {config['record_bytes']}"
        )


def _reserve(recording: Recording, size: int) -> None:
    """Reserve room for all of it, so that several at once keep to the bound, and the disk is not full half-way."""
    try:
        syscalls.fallocate(recording.fd, syscalls.FALLOC_FL_KEEP_SIZE, 0, size)
    except OSError as problem:
        if problem.errno not in UNSUPPORTED:
            recording.discard()
            raise
