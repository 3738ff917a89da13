"""Make a package installed by pip known to docker: `docker-nsenter install`."""

import os
import re
import subprocess
import sys

from .. import bundle
from ..engine.endpoints import config_directory
from ..errors import Problem

SYSTEM = "/usr/local/lib/docker/cli-plugins"
USAGE = """Usage:  docker-nsenter install [--system] [--remove]

Put docker-nsenter into docker's directory of plugins: yours (DOCKER_CONFIG is
honoured), or with --system that of the whole machine. --remove takes it away.
"""


def main(words: list[str]) -> int:
    """Install or remove the plugin's file; return the exit status."""
    unknown = [word for word in words if word not in ("--system", "--remove", "--help")]
    if unknown or "--help" in words:
        sys.stdout.write(USAGE)
        return 125 if unknown else 0
    directory = SYSTEM if "--system" in words else f"{config_directory(os.environ)}/cli-plugins"
    target = f"{directory}/docker-nsenter"
    try:
        if "--remove" in words:
            bundle.remove()
            os.unlink(target)
        else:
            bundle.write()
            write(directory, target)
    except OSError as problem:
        raise Problem(f"cannot change {target}: {problem.strerror}") from problem
    sys.stdout.write(f"docker nsenter is {'removed from' if '--remove' in words else 'installed:'} {target}\n")
    return 0


def write(directory: str, target: str) -> None:
    """Write the launcher with this interpreter and this package in its places."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(f"{package}/data/docker-nsenter", encoding="utf-8") as file:
        text = file.read()
    places = {
        "@METADATA@": f"{package}/data/docker-cli-plugin-metadata",
        "@PYTHON@": sys.executable,
        "@LIBRARY@": os.path.dirname(package),
        "@LOADER@": loader(sys.executable),
    }
    for mark, value in places.items():
        text = text.replace(f"'{mark}'", _shell_quote(value))
    os.makedirs(directory, exist_ok=True)
    with open(f"{target}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(f"{target}.new", 0o755)  # noqa: S103 - a program for all to run
    os.replace(f"{target}.new", target)


def _shell_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def loader(python: str) -> str:
    """Find the dynamic loader that can start an interpreter when it is named before it; '' where none can.

    By its own file the start takes one copy of the interpreter more, which enter/hardening/exeseal.py explains.
    """
    with open(python, "rb") as file:
        head = file.read(4096)
    found = re.search(rb"/[\w./-]*/ld-linux[\w.-]*\.so\.\d+(?=\0)", head)
    if not found:  # not an ELF file, or of another C library, whose loader is at work all the time
        return ""
    path = found[0].decode()
    probe = [path, python, "-I", "-S", "-B", "-c", "import sys; print(sys.executable)"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return path if done.returncode == 0 and done.stdout == f"{python}\n" else ""
