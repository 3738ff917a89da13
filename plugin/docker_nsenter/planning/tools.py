"""Find what --tools names: the host's programs, a directory, a static program, or an image, which is pulled if absent.

Nothing of an image is copied where the engine keeps its layers as directories (overlay2): stage 2 shows them. Elsewhere
it is unpacked once into CACHE, which only root can read. No container is made, so none can be left behind.
"""

import os
import sys

from ..engine import containers, endpoints, http
from ..errors import CliError, again
from ..packages import add_packages
from . import elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..enter.plan import PlannedTools

PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
CACHE = "/var/cache/docker-nsenter/tools"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def find(word: str, options: "endpoints.Globals", *, local: bool, only_look: bool) -> "PlannedTools":
    """Say what the tools are made of; pull an image that is not there unless this is only a look.

    By a helper, `host` is the engine's machine, and an image's layers are directories that only that one sees; none
    where the engine does not name them: then the helper has it show the image.
    """
    if word == "host":
        return {"kind": "host", "layers": [], "path": PATH}
    if word.startswith(("/", "./", "../")) or word in (".", ".."):
        if not local and not http.is_local(endpoints.endpoint(options, os.environ)):
            raise CliError(
                f"--tools {word}: the engine is on another machine, which does not have your files; name an image"
            )
        try:
            return _place(os.path.realpath(word), word)
        except FileNotFoundError:
            raise CliError(f"--tools {word}: the current directory was deleted") from None
    if not word:
        raise CliError("--tools is empty: it takes host, an image or a path")
    return _image(word, options, local=local, only_look=only_look)


def _place(path: str, word: str) -> "PlannedTools":
    """Take a directory with a root in it, or one static program."""
    if os.path.isdir(path):
        if not any(os.path.isdir(path + folder) for folder in PATH):
            raise CliError(
                f"--tools {path}: the directory is not a root filesystem with programs (bin, usr/bin, …)",
                again(swap=(["--tools"], word, "host")),
            )
        return {"kind": "tree", "layers": [path], "path": PATH}
    try:
        with open(path, "rb") as file:
            named = elf.loader(file)
    except OSError as problem:
        raise CliError(f"--tools {path}: {problem.strerror}") from problem
    if named != b"":
        raise CliError(
            f"--tools {path}: this is not a static program: it needs a loader or an interpreter",
            again(swap=(["--tools"], word, "host")),
        )
    return {"kind": "file", "layers": [path], "path": []}


# --- an image ---------------------------------------------------------------------------------------------------


def _image(name: str, options: "endpoints.Globals", *, local: bool, only_look: bool) -> "PlannedTools":
    """Take the layers of an image, uppermost first."""
    endpoint = endpoints.endpoint(options, os.environ)
    reply = _inspect(endpoint, name)
    if reply is None and only_look:
        return {"kind": "tree", "layers": [], "path": PATH}
    if reply is None:
        from ..engine.images import pull

        if not sys.stderr.isatty():
            sys.stderr.write(f"docker nsenter: pulling {name}\n")
        try:
            pull(endpoint, name)
        except CliError as problem:
            raise CliError(f"--tools {name}: {problem.sentence}", _hint(name)) from None
        reply = _inspect(endpoint, name)
    if reply is None:
        raise CliError(f"--tools {name}: the engine pulled it and does not have it")
    machine = MACHINES.get(os.uname().machine, "")
    if local and (reply.get("Os", "linux"), reply.get("Architecture", machine)) != ("linux", machine):
        raise CliError(f"--tools {name}: the image is for {reply.get('Os')}/{reply.get('Architecture')}, not {machine}")
    variables = (reply.get("Config") or {}).get("Env") or []
    own = [folder for word in variables if word.startswith("PATH=") for folder in word[5:].split(":")]
    path = [folder for folder in dict.fromkeys([*own, *PATH]) if folder.startswith("/")]
    layers = _layers(reply, visible=local)
    if not layers and local:
        layers = [_unpacked(endpoint, reply, name)]
    return {"kind": "tree", "layers": layers, "path": path}


def _inspect(endpoint: "endpoints.Endpoint", name: str) -> "dict[str, Any] | None":
    status, reply = http.get(endpoint, f"/images/{containers.quote(name)}/json")
    if status == 404:
        return None
    if status != 200 or not isinstance(reply, dict):
        words = reply.get("message") if isinstance(reply, dict) else ""
        raise CliError(f"--tools {name}: {words or f'the engine answers with HTTP status {status}'}")
    return reply


def _layers(reply: "dict[str, Any]", *, visible: bool) -> list[str]:
    """Name the directories in which overlay2 (overlay: Podman's) keeps an image's layers; none for others."""
    driver = reply.get("GraphDriver") or {}
    data = driver.get("Data") or {}
    if driver.get("Name") not in ("overlay2", "overlay") or not data.get("UpperDir"):
        return []
    layers = [data["UpperDir"], *(word for word in str(data.get("LowerDir") or "").split(":") if word)]
    return layers if not visible or all(os.path.isdir(layer) for layer in layers) else []


def _unpacked(endpoint: "endpoints.Endpoint", reply: "dict[str, Any]", name: str) -> str:
    """Unpack an image into the cache, once for each image."""
    from . import unpack

    place = f"{CACHE}/{str(reply['Id']).rpartition(':')[2]}"
    if not os.path.isdir(place):
        if sys.stderr.isatty():
            sys.stderr.write(f"docker nsenter: unpacking {name} into {CACHE}\n")
        add_packages()
        from ..engine import sdk
        from ..engine.images import PATIENCE

        with sdk.Words(endpoint):
            unpack.unpack(sdk.client(endpoint, PATIENCE).get_image(str(reply["Id"])), place, name)
    return place


def _hint(name: str) -> str:
    """Offer what needs no registry."""
    return again(swap=(["--tools"], name, f"./{name}" if os.path.exists(name) else "host"))
