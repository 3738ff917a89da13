"""Containers come and go, many at once, while all are listed; each costs its own row at most.

`python -m tests.storm [LISTS [AT ONCE [OPTIONS OF DOCKER CREATE]]]` with DOCKER_HOST and DOCKER_CONFIG of an engine
with the plugin.
"""

import collections
import contextlib
import http.client
import json
import os
import queue
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from .images import BUSYBOX

LINES = (("--list",), ("--list", "--format", "json"), ("--list", "NAME"), ("--list", "--format", "json", "NAME"))
GONE = ("no such container", "is not running", "the container stopped before", "no longer exists", "is restarting")


LABEL = f"storm={os.getpid()}"
# What makes an engine slow to start one: a network of its own calls the whole daemon, a filter is compiled for each
LIGHT = ("--log-driver", "none", "--ipc", "none", "--security-opt", "seccomp=unconfined")


def docker(*words: str) -> str:
    """Run docker and return what it says."""
    done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Engine(http.client.HTTPConnection):
    """Ask the engine without a process of docker's."""

    def connect(self) -> None:
        """Connect to its socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))


def come_and_go(over: threading.Event, waiting: "queue.Queue[str]") -> None:
    """Start one container after the other, each of which ends at once."""
    engine = Engine("docker")
    while not over.is_set():
        name = waiting.get()
        engine.request("POST", f"/containers/{name}/start", headers={"Content-Length": "0"})
        engine.getresponse().read()
        waiting.put(name)


@contextlib.contextmanager
def counted() -> "Iterator[collections.Counter[str]]":
    """Count by the engine's events what has come (start) and gone (die)."""
    counts: collections.Counter[str] = collections.Counter()
    words = ["docker", "events", "--filter", f"label={LABEL}", "--format", "{{.Action}}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as events:
        assert events.stdout
        thread = threading.Thread(target=lambda: counts.update(map(str.strip, events.stdout or ())))
        thread.start()
        try:
            yield counts
        finally:
            events.terminate()
            thread.join()


def listed(line: "tuple[str, ...]", name: str, as_user: "tuple[str, ...]" = ()) -> str:
    """List once; return what is wrong with that, '' for nothing."""
    named = "NAME" in line
    words = [*as_user, "docker", "nsenter", *(name if word == "NAME" else word for word in line)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode == 125 and named and any(words in done.stderr for words in GONE):
        return ""
    if done.returncode or "cannot start" in done.stderr or "unexpected" in done.stderr:
        return f"{line}: {done.returncode} {done.stderr}"
    if "json" in line:
        json.loads(done.stdout)
    return ""


def storm(
    lists: int, at_once: int, as_user: "tuple[str, ...]" = (), more: "tuple[str, ...]" = ()
) -> "tuple[int, int, float]":
    """List so many times in a storm; return how many containers came, how many went, and the seconds."""
    over, waiting = threading.Event(), queue.Queue()  # type: ignore[var-annotated]
    anchor = docker("run", "-d", "--network", "none", "--label", LABEL, BUSYBOX, "sleep", "100000")
    words = ("--network", f"container:{anchor}", "--label", LABEL, *LIGHT, *more, BUSYBOX, "true")
    names = [docker("create", *words) for _ in range(3 * at_once)]
    for name in names:
        waiting.put(name)
    threads = [threading.Thread(target=come_and_go, args=(over, waiting)) for _ in range(at_once)]
    with counted() as counts:
        for thread in threads:
            thread.start()
        began = time.monotonic()
        try:
            lines = (LINES[number % len(LINES)] for number in range(lists))
            wrong = [each for line in lines if (each := listed(line, random.choice(names), as_user))]
        finally:
            took = time.monotonic() - began
            over.set()
            for thread in threads:
                thread.join()
            docker("rm", "-f", *names)
            docker("rm", "-f", anchor)  # Podman keeps it as long as others are in its network
    assert not wrong, "\n".join(wrong)
    return counts["start"], counts["die"], took


if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word.isdecimal()]
    lists, at_once = (int(word) for word in (*arguments, *("100", "12")[len(arguments) :]))
    came, went, seconds = storm(lists, at_once, more=tuple(sys.argv[1 + len(arguments) :]))
    rates = f"{came} containers came ({came / seconds:.1f} a second) and {went} went"
    print(f"{lists} lists in {seconds:.1f} s, while {rates}")
