"""See that no helper is left behind: a process of its own that outlives the client, however that is ended.

It waits for the end of a pipe that only the client holds. Whatever a helper's own end and the engine's AutoRemove have
not removed by then (a container that was created and never started, the empty image) it removes; and what an earlier
watcher was kept from removing.
"""

import os
import sys
import time

from ...engine import http
from ...engine.answers import told
from ...engine.containers import quote
from ...engine.endpoints import Endpoint
from ...enter.jsonlite import loads
from ...enter.jsonwrite import dumps
from ...errors import CliError
from .images import LABEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATIENCE = 15.0  # seconds: a create that was under way when the client died may still be answered
PAUSE = 0.2
PREFIX, DIGITS = "docker-nsenter-", 6  # of a client's name, and how many random bytes it ends in
NOTHING = "sha256:84ff92691f909a05b224e1c56abb4864f01b4f8e3c854e4bb4c7baf1d3f6d652"  # of images.EMPTY
STALE = 60.0  # seconds after which a helper that never started is nobody's


class Reaper:
    """Hold the client's end of the watcher's pipe."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        """Fork the watcher; `name` is the label of all that belongs to this client."""
        self.name = name
        self.count = 0
        reader, self._writer = os.pipe()
        child = os.fork()
        if child:
            os.close(reader)
            os.waitpid(child, 0)
            return
        os.setsid()
        if os.fork():
            os._exit(0)
        if sys.platform == "linux":
            from ...enter.hardening import exeseal

            exeseal.name()
            exeseal.entitle(exeseal.words(), "docker-nsenter: helpers (reaper)")
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.dup2(reader, 3)
        os.closerange(4, 1 << 16)
        _watch(endpoint, name)

    def next_name(self) -> str:
        """Name the next container that will be created, and note that it is about to be."""
        self.count += 1
        self.note(b"c")
        return f"{self.name}-{self.count}"

    def note(self, letter: bytes) -> None:
        """Tell the watcher what is about to be made: c a container, i an image, d done with all."""
        os.write(self._writer, letter)

    def let_go(self) -> None:
        """Tell the watcher that nothing more will be made; without this word we count as killed."""
        self.note(b"d")
        os.close(self._writer)


def _watch(endpoint: Endpoint, name: str) -> None:
    """Wait for the client's end, tidy up, and end."""
    notes = b""
    while data := os.read(3, 64):
        notes += data
    status = 1
    try:
        endpoint.client = None  # its connections are the client's
        if b"c" in notes or b"i" in notes:
            _remove(endpoint, name, notes)
        _remove_stale(endpoint)
        status = 0
    finally:
        os._exit(status)


def _remove(endpoint: Endpoint, name: str, notes: bytes) -> None:
    """Remove what carries our label until nothing is left; a client that was killed may still have something coming."""
    deadline = time.monotonic() + PATIENCE
    quiet = 0.0 if b"d" in notes else time.monotonic() + PATIENCE / 3
    while time.monotonic() < deadline:
        left = 0
        try:
            for kind, found in _ours(endpoint, f"{LABEL}={name}"):
                left += 1
                # a refusal: it is being removed, or its image is still in use: look again
                _remove_one(endpoint, kind, found, done=b"d" in notes)
        except CliError:  # Podman lists nothing while somebody removes an image
            left += 1
        if not left and time.monotonic() >= quiet:
            return
        time.sleep(PAUSE)


def _ours(endpoint: Endpoint, label: str) -> "list[tuple[str, dict[str, Any]]]":
    """List what a client of ours has made; the label alone says nothing, for an image hands its own on."""
    named = [(kind, found) for kind, found in _labelled(endpoint, label) if is_ours(kind, found)]
    return [(kind, found) for kind, found in named if kind != "image" or _is_empty(endpoint, found)]


def _is_empty(endpoint: Endpoint, image: "dict[str, Any]") -> bool:
    """Tell whether there is nothing in an image: containerd's store counts what describes it as its size."""
    if not image.get("Size"):
        return True
    status, reply = http.ask(endpoint, "GET", f"/images/{quote(image['Id'])}/json")
    return status == 200 and (loads(reply).get("RootFS") or {}).get("Layers") == [NOTHING]


def is_ours(kind: str, found: "dict[str, Any]") -> bool:
    """Tell whether a container has the one name that goes with its label; an image no name."""
    label = str((found.get("Labels") or {}).get(LABEL))
    digits = label.removeprefix(PREFIX)
    if digits == label or len(digits) != 2 * DIGITS or digits.strip("0123456789abcdef"):
        return False
    if kind == "image":
        return set(found.get("RepoTags") or ()) <= {"<none>:<none>"}
    names = found.get("Names") or [""]
    return len(names) == 1 and names[0].startswith(f"/{label}-") and names[0][len(label) + 2 :].isdigit()


def _labelled(endpoint: Endpoint, label: str) -> "list[tuple[str, dict[str, Any]]]":
    """List the containers and images with a label, containers first."""
    chosen = f"filters={quote(dumps({'label': [label]}))}"
    paths = {"container": f"/containers/json?all=1&{chosen}", "image": f"/images/json?{chosen}"}
    answers = {kind: told(http.ask(endpoint, "GET", path)) for kind, path in paths.items()}
    return [(kind, each) for kind, answer in answers.items() for each in loads(answer)]


def _remove_one(endpoint: Endpoint, kind: str, found: "dict[str, Any]", *, done: bool) -> None:
    """Ask for a removal, which the engine may refuse."""
    if kind == "image":
        http.ask(endpoint, "DELETE", f"/images/{quote(found['Id'])}")
    elif not done or found["State"] != "running":  # a running one ends by itself, and may have something to say yet
        http.ask(endpoint, "DELETE", f"/containers/{found['Id']}?v=1&force=1")


def _remove_stale(endpoint: Endpoint) -> None:
    """Remove what other clients' watchers were kept from removing: images and containers that never started."""
    for kind, found in _ours(endpoint, LABEL):
        old = time.time() - found["Created"] > STALE
        if old and (kind == "image" or found["State"] in ("created", "exited", "dead")):
            _remove_one(endpoint, kind, found, done=False)
