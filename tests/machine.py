"""What the machine is like; and one of a test's own: a mount namespace with its own /run, /dev/log and /etc."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from .patience import PATIENCE

JOURNALD = "/lib/systemd/systemd-journald"
# Where Debian keeps this processor's libraries below /lib and /usr/lib, and which file starts its programs
LIBRARIES = f"{os.uname().machine}-linux-gnu"
LOADER = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}[os.uname().machine]
SETUP = """set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
mkdir -p "$1/etc" && cp -a /etc/. "$1/etc" && mount --bind "$1/etc" /etc
mkdir -p "$1/dev" && mount --bind /dev "$1/dev" && mount -t tmpfs -o mode=755 tmpfs /dev
for name in "$1"/dev/*; do
    if [ -d "$name" ]; then mkdir "/dev/${name##*/}" && mount --rbind "$name" "/dev/${name##*/}"
    else cp -a "$name" /dev/ 2>/dev/null || true; fi
done
rm -f /dev/log
mount --rbind /dev/pts /dev/pts
touch "$1/ready"
exec sleep infinity"""
Record = dict[str, Any]


class Machine:
    """Hold the namespace by a process in it."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o755)
        words = ["unshare", "--mount", "sh", "-c", SETUP, "sh", str(directory)]
        self.holder = subprocess.Popen(words)
        self.root = Path(f"/proc/{self.holder.pid}/root")
        self.before = ("nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", "--wd=/")
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._wait((directory / "ready").exists)
        self.config = directory / "etc/docker-nsenter/config.json"

    def _wait(self, condition: Any) -> None:
        for _ in range(int(1000 * PATIENCE)):
            if condition():
                return
            assert self.holder.poll() is None
            time.sleep(0.01)
        raise AssertionError("the machine is never ready")

    def demand(self, **settings: Any) -> None:
        """Write the file of the machine's owner."""
        self.config.parent.mkdir(exist_ok=True)
        self.config.write_text(json.dumps(settings))
        self.config.chmod(0o644)

    def journald(self, queue: int = 512) -> None:
        """Start a real journal, with the queue that systemd gives it at boot: the kernel's own is of ten records."""
        script = f"echo {queue} >/proc/sys/net/unix/max_dgram_qlen; exec {JOURNALD}"  # of this network namespace
        words = [*self.before, "unshare", "--net", "sh", "-c", script]
        self._daemons.append(subprocess.Popen(words, stderr=subprocess.DEVNULL))
        self._wait((self.root / "run/systemd/journal/socket").exists)

    def records(self, count: "int | None" = None, *match: str) -> list[Record]:
        """Ask the journal for our records: those of now, or so many, which there must be after a moment."""
        words = [*self.before, "journalctl", "-q", "--no-pager", "-o", "json", "-t", "docker-nsenter", *match]
        found: list[Record] = []
        for _ in range(int(100 * PATIENCE)):
            found = [json.loads(line) for line in subprocess.check_output(words).splitlines()]
            if count is None or len(found) >= count:
                break
            time.sleep(0.1)
        assert count in (None, len(found)), found
        return found

    def listen(self, path: str, *, full: bool = False) -> socket.socket:
        """Listen at a path of the machine's, as a journal or syslog does; perhaps with a queue that has no room."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(f"{self.root}/{path}")
        os.chmod(f"{self.root}/{path}", 0o666)
        listener.settimeout(10)
        while full and self._fill(path):  # a sender's own room ends before a queue of 512, which systemd sets
            pass
        return listener

    def _fill(self, path: str) -> bool:
        """Send what one sender can; tell whether that was anything."""
        sent = False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            try:
                while True:
                    filler.sendto(b"x", f"{self.root}/{path}")
                    sent = True
            except BlockingIOError:
                return sent

    def end(self) -> None:
        """End all that was started here."""
        for each in self._daemons:
            each.send_signal(signal.SIGTERM)
            each.wait()
        self.holder.kill()
        self.holder.wait()


def native(data: bytes) -> dict[str, str]:
    """Read a record of journald's native protocol, in its binary form only."""
    found = {}
    while data:
        name, _, data = data.partition(b"\n")
        assert b"=" not in name
        size = int.from_bytes(data[:8], "little")
        assert data[8 + size : 9 + size] == b"\n"
        assert name.decode() not in found
        found[name.decode()] = data[8 : 8 + size].decode()
        data = data[9 + size :]
    return found
