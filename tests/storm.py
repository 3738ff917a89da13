"""Containers come and go, many at once, while all are listed; each costs its own row at most.

`python -m tests.storm [LISTS [AT ONCE]]` with DOCKER_HOST and DOCKER_CONFIG of an engine with the plugin.
"""

import json
import os
import subprocess
import sys
import threading
import time

from .images import BUSYBOX

LINES = (("--list",), ("--list", "--format", "json"), ("--list", "NAME"), ("--list", "--format", "json", "NAME"))
GONE = ("no such container", "is not running", "the container stopped before", "no longer exists", "is restarting")


def come_and_go(over: threading.Event, counted: "list[int]") -> None:
    """Run one short container after the other."""
    words = ["docker", "run", "--rm", "--network", "none", "--label", f"storm={os.getpid()}", BUSYBOX]
    while not over.is_set():
        counted.append(subprocess.run([*words, "true"], check=False, capture_output=True).returncode)


def some_name() -> str:
    """Name a container that may end at any moment."""
    words = ["docker", "ps", "-q", "--no-trunc", "-n", "1", "--filter", f"label=storm={os.getpid()}"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip() or "none"


def listed(line: "tuple[str, ...]", as_user: "tuple[str, ...]" = ()) -> str:
    """List once; return what is wrong with that, '' for nothing."""
    named = "NAME" in line
    words = [*as_user, "docker", "nsenter", *(some_name() if word == "NAME" else word for word in line)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode == 125 and named and any(words in done.stderr for words in GONE):
        return ""
    if done.returncode or "cannot start" in done.stderr or "unexpected" in done.stderr:
        return f"{line}: {done.returncode} {done.stderr}"
    if "json" in line:
        json.loads(done.stdout)
    return ""


def storm(lists: int, at_once: int, as_user: "tuple[str, ...]" = ()) -> "tuple[int, float]":
    """List so many times in a storm; return how many containers came and went, and the seconds."""
    over, counted = threading.Event(), []  # type: ignore[var-annotated]
    threads = [threading.Thread(target=come_and_go, args=(over, counted)) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    try:
        wrong = [each for number in range(lists) if (each := listed(LINES[number % len(LINES)], as_user))]
    finally:
        took = time.monotonic() - began
        over.set()
        for thread in threads:
            thread.join()
    assert not wrong, "\n".join(wrong)
    return len(counted), took


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]] or [100]
    went, seconds = storm(arguments[0], arguments[1] if len(arguments) > 1 else 12)
    rate = went / seconds
    print(f"{arguments[0]} lists in {seconds:.1f} s, while {went} containers came and went ({rate:.1f} a second)")
