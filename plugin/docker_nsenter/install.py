"""Make a package installed by pip known to docker: `docker-nsenter install`."""

import os
import sys

from .docker_cli import config_directory
from .errors import Problem

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
            os.unlink(target)
        else:
            write(directory, target)
    except OSError as problem:
        raise Problem(f"cannot change {target}: {problem.strerror}") from problem
    sys.stdout.write(f"docker nsenter is {'removed from' if '--remove' in words else 'installed:'} {target}\n")
    return 0


def write(directory: str, target: str) -> None:
    """Write the launcher with this interpreter and this package in its places."""
    package = os.path.dirname(os.path.abspath(__file__))
    with open(f"{package}/data/docker-nsenter", encoding="utf-8") as file:
        text = file.read()
    places = {
        "@METADATA@": f"{package}/data/docker-cli-plugin-metadata",
        "@PYTHON@": sys.executable,
        "@LIBRARY@": os.path.dirname(package),
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
