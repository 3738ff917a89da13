"""Tell the journal, or else syslog, who entered which container with what, and how it ended: as sudo does.

A record is one datagram to a socket that is connected before the command runs, and written to without waiting: nobody
who fills or stops the journal can hold an entry up. Every value is sent by its length (the binary form of journald's
native protocol) or quoted (syslog), so that no name or argument can begin another field or record. No environment, no
input, no output is told.
"""

import posix
import sys
from fcntl import ioctl
from select import POLLOUT, poll
from time import localtime, monotonic, strftime

from .. import jsonwrite
from ..errors import EntryError, printable
from ..linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan

    Fields = dict[str, str]

NAME = "docker-nsenter"
STARTED, ENDED = "6b9a2d0ef5c84a7c9d3b1e6f70a4c281", "d41f7c25b8e34960a2c5970be8136fda"  # MESSAGE_ID
SOCKETS = (("run/systemd/journal/socket", True), ("dev/log", False))  # and whether it speaks the native protocol
AUTHPRIV, NOTICE, INFO = 10, 5, 6
LONGEST, LONGEST_COMMAND = 1024, 3072  # bytes of a value: journalctl -o json shows none of more than 4096
LONGEST_LINE = 8000  # bytes: rsyslog takes 8 KiB by default
BUSY, DEMANDED = 2.0, 5.0  # seconds that a full queue has when all is over, and where a record is demanded
SILENCE = 0.25  # seconds after which one from which nobody takes is given up, unless it has read our first record


class Journal:
    """Hold the connection, and the record that it had no room for."""

    def __init__(self, root: int, plan: "Plan", *, required: bool) -> None:
        """Connect to what listens on the machine with this root directory; that may be nothing."""
        self.fd = -1
        self.native = False
        self.required = required
        self.plan = plan
        self._begun = monotonic()
        self._waiting = b""
        for path, native in SOCKETS:
            if self.fd < 0:
                self.fd, self.native = _connect(root, path), native
        posix.close(root)

    def files(self) -> set[int]:
        """List the descriptor that is needed to the end."""
        return {self.fd} - {-1}

    def waits(self) -> bool:
        """Tell whether a record is left for which the queue had no room."""
        return bool(self._waiting) and self.fd >= 0

    def go_on(self) -> None:
        """Send what was left, as far as there is room now."""
        self._flush(0)

    def start(self, facts: "Fields") -> None:
        """Record that the command starts; EntryError where that is demanded and can't be."""
        self._begun = monotonic()
        if self.fd >= 0:
            holds = facts.get("BEYOND", "")
            what = f"{_who(self.plan)} enters {_where(self.plan)}: {_line(self.plan)}"
            level = NOTICE if holds else INFO
            self._send(STARTED, level, f"{what}; beyond the container: {holds}" if holds else what, facts)
        if self.required and (self.fd < 0 or not self._flush(DEMANDED)):
            raise EntryError("this machine wants a journal line for each command, and its journal takes none")

    def end(self, status: int, taken: int, given: int) -> None:
        """Record how it ended, and the bytes that the command has taken and given."""
        if self.fd < 0:
            return
        seconds = f"{monotonic() - self._begun:.3f}"
        facts = {"STATUS": str(status), "SECONDS": seconds}
        facts |= {"BYTES_IN": str(taken), "BYTES_OUT": str(given)} if taken >= 0 else {}
        message = f"{_who(self.plan)} left {_where(self.plan)}: status {status} after {seconds} s"
        # One that reads has room soon, also for who is the last of hundreds in front of a short queue
        silence = BUSY if self._has_been_read() else SILENCE
        if self._flush(BUSY, silence):
            self._send(ENDED, INFO, message, facts)
            self._flush(BUSY, silence)

    def _has_been_read(self) -> bool:
        """Tell whether what was sent so far has left the queue: the journal is not stuck, or was not until then."""
        return not self._waiting and not any(ioctl(self.fd, syscalls.SIOCOUTQ, bytes(4)))

    def _send(self, kind: str, level: int, message: str, facts: "Fields") -> None:
        fields = {"ENTRY": self.plan["journal"]["entry"], **facts, **_common(self.plan)}
        if self.native:
            self._waiting = _native(kind, level, printable(message), fields)
        else:
            self._waiting = _syslog("entered" if kind == STARTED else "left", level, fields)
        self._flush(0)

    def _flush(self, seconds: float, silence: float = DEMANDED) -> bool:
        """Send what is left, in the time that there is; tell whether all has been taken.

        When a queue is full that is read from, there is room again at once, which many may want.
        """
        until = monotonic() + seconds
        while self._waiting and self.fd >= 0:
            try:
                posix.write(self.fd, self._waiting)
                self._waiting = b""
            except BlockingIOError:  # its queue is full
                left = min(until - monotonic(), silence)
                room = poll()
                room.register(self.fd, POLLOUT)
                if left <= 0 or not room.poll(int(left * 1000) + 1):
                    return False
            except OSError:  # it has ended, or refuses
                self._waiting = b""
                return False
        return not self._waiting


def _connect(root: int, path: str) -> int:
    """Connect to a datagram socket below a root directory; -1 where nobody listens."""
    flags = syscalls.SOCK_DGRAM | syscalls.SOCK_CLOEXEC | syscalls.SOCK_NONBLOCK
    try:
        place = syscalls.openat2(root, path.encode(), posix.O_PATH | posix.O_CLOEXEC, syscalls.RESOLVE_IN_ROOT)
    except OSError:
        return -1
    connection = syscalls.socket(syscalls.AF_UNIX, flags, 0)
    try:
        name = f"/proc/self/fd/{place}\0"
        syscalls.connect(connection, syscalls.AF_UNIX.to_bytes(2, sys.byteorder) + name.encode())
    except OSError:
        posix.close(connection)
        return -1
    finally:
        posix.close(place)
    return connection


# --- what is told ----------------------------------------------------------------------------------------------------


def _common(plan: "Plan") -> "Fields":
    """Say who asked, and for what."""
    caller, target = plan["journal"], plan["target"]
    return {
        **{name.upper(): value for name, value in caller.items() if name != "entry"},
        "CONTAINER": target["name"],
        "CONTAINER_ID": target["container"],
        "CONTAINER_PID": str(target["pid"]),
        "USER": plan["user"] or "",
        "ROUTE": plan["route"],
        "DETACHED": "yes" if plan["detach"] else "",
        "COMMAND": _line(plan),  # last: the longest, and syslog's line has an end
    }


def _who(plan: "Plan") -> str:
    caller = plan["journal"]
    return caller["sudo_user"] or f"uid {caller['login_uid'] or caller['caller_uid']}"


def _where(plan: "Plan") -> str:
    target = plan["target"]
    return f"{target['name']} ({target['container'][:12]})" if target["container"] else target["name"]


def _line(plan: "Plan") -> str:
    """Write the command's words, each quoted where it needs to be, so that they can be told apart."""
    words: list[str] = []
    size = 0
    for word in plan["command"] or [plan["shell"] or "a shell"]:
        plain = word and word.isprintable() and not set(word) & set(" \"'\\")
        words.append(word if plain else jsonwrite.dumps(word[:LONGEST_LINE]))
        size += len(words[-1]) + 1
        if size > LONGEST_LINE:
            break
    return _shortened(" ".join(words), LONGEST_COMMAND)


def _shortened(text: str, most: int) -> str:
    """Cut a text to so many bytes, visibly."""
    data = _encode(text)
    return text if len(data) <= most else data[: most - 3].decode("utf-8", "ignore") + "…"


def _native(kind: str, level: int, message: str, fields: "Fields") -> bytes:
    """Write journald's native protocol: each field by its name, the length of its value, and that."""
    own = {
        "MESSAGE": message,
        "MESSAGE_ID": kind,
        "PRIORITY": str(level),
        "SYSLOG_FACILITY": str(AUTHPRIV),
        "SYSLOG_IDENTIFIER": NAME,
        "SYSLOG_PID": str(posix.getpid()),
    }
    named = {**own, **{f"NSENTER_{name}": value for name, value in fields.items() if value}}
    return b"".join(map(_binary, named, named.values()))


def _binary(name: str, value: str) -> bytes:
    data = _encode(_shortened(value, LONGEST_COMMAND if name == "NSENTER_COMMAND" else LONGEST))
    return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)


def _syslog(word: str, level: int, fields: "Fields") -> bytes:
    """Write a line as syslog(3) does: a word, and what is told as NAME="value", quoted as JSON is."""
    shown = " ".join(f"{name}={jsonwrite.dumps(value[:512])}" for name, value in fields.items() if value)
    when = strftime("%b %e %H:%M:%S", localtime())
    return _encode(f"<{AUTHPRIV * 8 + level}>{when} {NAME}[{posix.getpid()}]: {word} {shown}")[:LONGEST_LINE]


def _encode(text: str) -> bytes:
    """Write text as UTF-8, whatever bytes it had where it came from."""
    return text.encode("utf-8", "replace")
