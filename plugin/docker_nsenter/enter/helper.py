"""Start in a helper container: greet the client, fork stage 2, and be its relay (session/relay.py)."""

import fcntl
import posix
import sys
import termios
from _signal import SIG_DFL, SIGCHLD, SIGUSR1, set_wakeup_fd, signal

from . import document, jsonlite
from .__main__ import end, serve
from .errors import printable
from .hardening import exeseal
from .linux import syscalls
from .linux.procfs import read
from .session.frames import HEAD, Frames, frame
from .session.relay import Relay
from .start import Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Serve one client over standard input and output; never return."""
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    exeseal.name()
    filtered = read("/proc/self/status").partition(b"\nSeccomp:")[2].split()[0]
    posix.write(1, frame(b"H", read("/proc/sys/kernel/random/boot_id") + filtered))
    described = jsonlite.loads(_read(_size(b"I")))
    plans = document.spool(0, _size(b"P"))  # unread: stage 2 is a fork of ours
    exeseal.entitle(exeseal.words(), f"docker-nsenter: {printable(described['whom'])} (relay)")
    engine = f"/proc/{posix.getppid()}"  # a helper's parent is the engine's shim, among the machine's own files
    relay = Relay(described, Frames())
    relay.run(lambda alive: _become_stage2(relay, plans, alive, engine))


def _size(letter: bytes) -> int:
    """Wait for a frame of the greeting, and return how long its payload is, which is still to be read."""
    head = _read(HEAD)
    if head[:1] != letter:
        raise ValueError(f"not the frame {letter!r}")
    return int.from_bytes(head[1:], "big")


def _read(size: int) -> bytes:
    """Read so many bytes and not one of what follows; a client that goes before has asked for nothing."""
    data = b""
    while len(data) < size:
        data += posix.read(0, size - len(data)) or posix._exit(125)
    return data


def _become_stage2(relay: Relay, plans: int, alive: int, engine: str) -> "NoReturn":
    """Be stage 2 with the descriptors made for it, at home in the mount namespace of the engine's machine."""
    set_wakeup_fd(-1)
    for number in (SIGCHLD, SIGUSR1):
        signal(number, SIG_DFL)
    posix.setsid()
    if relay.master >= 0:
        fcntl.ioctl(next(fd for fd in relay.inner if posix.isatty(fd)), termios.TIOCSCTTY, 0)
    for number, fd in enumerate(relay.inner):
        posix.dup2(fd, number, True)
    posix.lseek(plans, 0, 0)
    try:
        host_mounts = posix.open(f"{engine}/ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as problem:  # the engine gave the helper less than was asked for
        end(f"the helper cannot see the files of the engine's machine: {problem.strerror}")
    syscalls.close_range(3, 0xFFFFFFFF, syscalls.CLOSE_RANGE_CLOEXEC)
    for fd in {*relay.outputs, relay.input} - {-1}:
        posix.close(fd)
    serve(Start(plans, docker=f"fd:{alive}", host_mounts=host_mounts, host_root=f"{engine}/root"))


if __name__ == "__main__":
    sys.exit(main())
