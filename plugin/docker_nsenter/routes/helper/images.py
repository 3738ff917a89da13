"""What a helper is made of: this machine's Python bound into an empty image, or an image that has Python."""

import os
import sys

from ...engine import answers, http
from ...engine.containers import quote
from ...engine.endpoints import Endpoint
from ...enter.jsonwrite import dumps
from ...errors import CliError, again
from ...planning import elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

HEAD = 8
# What a helper whose own filter forbids it to copy another makes that from; the rest is stage 2
MAKER = ("routes/__init__", "routes/seccomp_profile", "engine/__init__", "engine/endpoints", "errors")
LABEL = "com.github.docker-nsenter.helper"
DEFAULT = "python:3.13-slim-bookworm"
IMPORTS = 10  # attempts
EMPTY = bytes(10240)  # a tar archive of nothing


class Wanted:
    """Hold the helper's image, and whether somebody asked for it."""

    def __init__(self, name: str, *, asked: bool) -> None:
        """Take the image's name."""
        self.name = name
        self.asked = asked


def wanted(option: "str | None", endpoint: Endpoint) -> Wanted:
    """Choose the image: --helper-image, the environment, plugins.nsenter of config.json, or a Python of Docker's."""
    places = (option, os.environ.get("DOCKER_NSENTER_HELPER_IMAGE"), endpoint.settings.get("helperImage"))
    for name in places:
        if name:
            return Wanted(name, asked=True)
    return Wanted(DEFAULT, asked=False)


# --- the engine's own machine: this Python -------------------------------------------------------------------------


def python_paths() -> list[str]:
    """List what this interpreter needs of the host's files: the system's libraries, and wherever else it lives."""
    mapped = set()
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            words = line.rstrip("\n").split(None, 5)
            path = words[5] if len(words) == 6 else ""
            if path.startswith("/") and "/site-packages/" not in path and os.path.exists(path):
                mapped.add(os.path.dirname(path))
    program = os.path.realpath(sys.executable)
    paths = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", os.path.dirname(program), os.path.dirname(os.__file__)]
    with open(program, "rb") as file:  # by its own name, where that is a link, as Homebrew's
        named = os.fsdecode(elf.loader(file) or b"")
    found: list[str] = []
    for path in [*paths, *sorted(mapped), named]:
        if os.path.exists(path) and not any(_covers(each, path) for each in found):
            found.append(path)
    return found


def _covers(place: str, path: str) -> bool:
    """Tell whether binding a place shows a path too: it is below, and on the same file system."""
    inside = path == place or path.startswith(place + "/")
    return inside and os.stat(place).st_dev == os.stat(path).st_dev


def bind(source: str, target: str, *, writable: bool = False) -> "dict[str, Any]":
    """Describe a bind mount; read-only ones without what is mounted below, which might stay writable."""
    # Podman 4 takes any BindOptions for NonRecursive
    options = {} if writable else {"BindOptions": {"NonRecursive": True}}
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": not writable, **options}


def empty(endpoint: Endpoint, name: str, meanwhile: "Callable[[], object]" = bool) -> str:
    """Import an image that holds nothing, without a tag; return its id. `meanwhile` is called while that is done."""
    path = f"/images/create?fromSrc=-&changes={quote(f'LABEL {LABEL}={name}')}"
    for _ in range(IMPORTS):
        answer = http.ask(endpoint, "POST", path, EMPTY, "application/x-tar", meanwhile)
        if b"layer not known" not in answer[1]:  # Podman's, where the last image with this layer is removed meanwhile
            break
    for line in answers.told(answer).splitlines():
        found = str(answers.parsed(endpoint, line).get("status", ""))
        if found.startswith("sha256:"):
            return found
    raise CliError("the engine did not import the helper's empty image")


# --- any engine ----------------------------------------------------------------------------------------------------


def create(endpoint: Endpoint, settings: "dict[str, Any]", name: str) -> str:
    """Create the helper's container; return its id."""
    answer = http.ask(endpoint, "POST", f"/containers/create?name={name}", dumps(settings).encode())
    if b"mount type unknown" in answer[1]:  # image mounts are Docker 28's
        image = next(each["Source"] for each in settings["HostConfig"]["Mounts"] if each["Type"] == "image")
        raise CliError(
            f"--tools {image}: before Docker 28 a helper cannot mount the images of containerd's store",
            again(swap=(["--tools"], image, "host")),
        )
    return str(answers.parsed(endpoint, answers.told(answer)).get("Id", ""))


def mounted(endpoint: Endpoint, container: str, target: str) -> str:
    """Say where on its machine the engine keeps what it mounts there in a container."""
    answer = http.ask(endpoint, "GET", f"/containers/{container}/json")
    for row in answers.parsed(endpoint, answers.told(answer)).get("Mounts") or []:
        if row.get("Destination") == target and str(row.get("Source", "")).startswith("/"):
            return str(row["Source"])
    raise answers.odd(endpoint)


def start(endpoint: Endpoint, container: str, meanwhile: "Callable[[], object]" = bool) -> None:
    """Start it; `meanwhile` is called while it starts."""
    answers.told(http.ask(endpoint, "POST", f"/containers/{container}/start", meanwhile=meanwhile))


def bundle(library: str) -> bytes:
    """Pack stage 2, which a helper without our files is sent, behind its size in HEAD bytes."""
    import io
    import zipfile

    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.write(f"{library}/docker_nsenter/__init__.py", "docker_nsenter/__init__.py")
        for name in MAKER:
            archive.write(f"{library}/docker_nsenter/{name}.py", f"docker_nsenter/{name}.py")
        for folder, folders, names in os.walk(f"{library}/docker_nsenter/enter"):
            folders.sort()
            for name in sorted(names):
                if name.endswith(".py") or name.startswith("starter."):  # what --tools starts programs by
                    archive.write(f"{folder}/{name}", f"{folder}/{name}".removeprefix(f"{library}/"))
    packed = memory.getvalue()
    return len(packed).to_bytes(HEAD, "big") + packed


def provide(endpoint: Endpoint, name: str, meanwhile: "Callable[[], object]" = bool) -> None:
    """See that the engine has the image; pull it where it has not, and say so. `meanwhile` is called while it looks."""
    path = f"/images/{quote(name).replace('%2F', '/')}/json"
    answer = http.ask(endpoint, "GET", path, meanwhile=meanwhile)
    if answer[0] == 404:
        _say(f"docker nsenter: the engine has no image {name} for the helper; pulling it (once)\n")
        _pull(endpoint, name)
    else:
        answers.told(answer)


def _pull(endpoint: Endpoint, name: str) -> None:
    """Pull the image; say whose it is where that fails."""
    from ...engine.images import pull

    try:
        pull(endpoint, name)
    except CliError as problem:
        sentence = f"the helper's image {name} can't be pulled: {problem.sentence}"
        raise CliError(sentence) from None


def _say(text: str) -> None:
    os.write(2, text.encode("utf-8", "replace"))
