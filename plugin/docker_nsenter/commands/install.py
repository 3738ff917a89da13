"""Make the package known to docker, or unknown again: `docker-nsenter install`, `docker-nsenter uninstall`."""

import os
import re
import subprocess
import sys
from contextlib import suppress

from .. import bundle
from ..cli.manual import VERSION
from ..engine.endpoints import config_directory
from ..errors import SYSTEM, CliError, shell_line
from ..loader import path_of
from ..packages import places
from ..planning import elf

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What docker, typer and rich consist of: compiled once at the installation, for no start writes anything
NEEDED = (
    *("docker", "requests", "urllib3", "idna", "certifi", "charset_normalizer"),
    *("typer", "click", "shellingham", "rich", "pygments", "markdown_it", "mdurl"),
)
ACTIONS = ("install", "uninstall", "version", "--version", "--help", "-h")
USAGE = f"""Usage:  docker-nsenter install|uninstall [--system]
        docker-nsenter version

Make the plugin known to docker, for you (below DOCKER_CONFIG, or ~/.docker), or
with --system for the whole machine ({SYSTEM}).
Uninstall it before you remove the package. Then type: docker nsenter --help
"""


def main(words: list[str]) -> int:
    """Install or remove the plugin's file; return the exit status."""
    action, flags = (words[0] if words else "--help"), words[1:]
    unknown = [word for word in flags if word not in ("--system", "--remove", "--help", "-h")]
    if unknown or action in ("--help", "-h") or {"--help", "-h"} & set(flags):
        sys.stdout.write(USAGE)
        return 125 if unknown else 0
    if action in ("version", "--version"):
        sys.stdout.write(f"docker nsenter {VERSION}\n")
        return 0
    system = "--system" in flags
    if system and os.geteuid() != 0:
        raise CliError("--system changes the whole machine, which needs root", _again_as_root(words))
    target = f"{SYSTEM if system else f'{config_directory(os.environ)}/cli-plugins'}/docker-nsenter"
    target = os.path.abspath(target)
    try:
        return uninstall(target) if action == "uninstall" or "--remove" in flags else install(target)
    except OSError as problem:
        raise CliError(f"cannot change {problem.filename or target}: {problem.strerror}") from problem


def for_a_package(words: list[str]) -> int:
    """Do for a Debian package what depends on the machine's Python; the place is that of packages, not /usr/local."""
    target = "/usr/lib/docker/cli-plugins/docker-nsenter"
    if words == ["--remove"]:
        bundle.remove()
        return 0
    prepare(target)
    return 0


def prepare(target: str) -> None:
    """Compile, and write the bundles and the launcher."""
    compiled()
    bundle.write()
    write(target)


def install(target: str) -> int:
    """Install, and say so."""
    prepare(target)
    sys.stdout.write(f"docker nsenter is installed: {target}\n")
    if not any(os.access(f"{place}/docker", os.X_OK) for place in os.get_exec_path()):
        sys.stdout.write("note: there is no docker command on your PATH, and the plugin needs one\n")
    return 0


def uninstall(target: str) -> int:
    """Remove the launcher and the bundles, and say so."""
    bundle.remove()
    try:
        os.unlink(target)
    except FileNotFoundError:
        sys.stdout.write(f"docker nsenter is not installed at {target}\n")
        return 0
    with suppress(OSError):  # docker's directory of plugins, where no other plugin is in it
        os.rmdir(os.path.dirname(target))
    sys.stdout.write(f"docker nsenter is removed from {target}\n")
    return 0


def compiled() -> None:
    """Compile the package and what it needs; installers other than pip leave that to the first start."""
    import compileall

    wanted = [PACKAGE]
    if sys.prefix != sys.base_prefix or not PACKAGE.endswith("-packages/docker_nsenter"):
        wanted += [f"{place}/{name}" for place in places() for name in NEEDED]
    for place in filter(os.path.isdir, wanted):
        compileall.compile_dir(place, quiet=2)


def write(
    target: str, *, python: str = sys.executable, library: str = os.path.dirname(PACKAGE), by: "str | None" = None
) -> None:
    """Write the launcher: an interpreter, started by a loader, and a package in its places; the handshake's answer."""
    text, metadata = _shipped("docker-nsenter", ".."), _shipped("docker-cli-plugin-metadata", "../..")
    values = {
        "@METADATA@": metadata.strip(),
        "@PYTHON@": python,
        "@LIBRARY@": library,
        "@LOADER@": loader(python) if by is None else by,
        "@BUNDLE@": path_of("start") if os.path.exists(path_of("start")) and library in path_of("start") else "",
    }
    for mark, value in values.items():
        text = text.replace(f"'{mark}'", _shell_quote(value))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(f"{target}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(f"{target}.new", 0o755)  # noqa: S103 - a program for all to run
    os.replace(f"{target}.new", target)


def _shipped(name: str, above: str) -> str:
    """Read a file that a wheel has in data/, and a checkout above the package."""
    place = f"{PACKAGE}/data/{name}"
    with open(place if os.path.exists(place) else f"{PACKAGE}/{above}/{name}", encoding="utf-8") as file:
        return file.read()


def _again_as_root(words: list[str]) -> str:
    """Write the line for root, who may not have the program on his PATH."""
    program = f"{os.path.dirname(sys.executable)}/docker-nsenter"
    return shell_line(["sudo", program if os.path.exists(program) else "docker-nsenter", *words])


def _shell_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def loader(python: str) -> str:
    """Find the dynamic loader that can start an interpreter when it is named before it; '' where none can.

    By its own file the start takes one copy of the interpreter more, which enter/hardening/exeseal.py explains.
    """
    with open(python, "rb") as file:
        path = os.fsdecode(elf.loader(file) or b"")
    # Else not an ELF file, or of another C library, whose loader is at work all the time
    if not re.fullmatch(r"/[\w./-]*/ld-linux[\w.-]*\.so\.\d+", path, re.ASCII):
        return ""
    probe = [path, python, "-I", "-S", "-B", "-c", "import sys; print(sys.executable)"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return path if done.returncode == 0 and done.stdout == f"{python}\n" else ""
