"""Containers of the parity test by title; programs for hostile ones, other tools, copies without a defence."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from docker_nsenter.commands.install import write

from ..attack import Entry, Field, Result
from ..conftest import Call, Done, Run
from ..weaken import Change, weakened
from .test_parity import CONTAINERS, PROFILE

Plugin = Callable[..., Call]
Raw = Callable[..., Done]
REAL = os.path.realpath(sys.executable)


@pytest.fixture
def start(run: Run, tmp_path: Path) -> Callable[..., str]:
    """Start one of the parity test's containers by its title, with more flags if need be."""

    def begin(title: str, *more: str) -> str:
        profile = tmp_path / "profile.json"
        profile.write_text(json.dumps(PROFILE))
        return run(*more, *(flag.replace("PROFILE", str(profile)) for flag in CONTAINERS[title]))

    return begin


@pytest.fixture
def plugin(tmp_path: Path, engine: dict[str, str]) -> Plugin:
    """Install another docker-nsenter: of a changed copy of the package, or of a copy of the interpreter."""

    def install(*changes: Change, python: str = REAL, by: "str | None" = None) -> Call:
        place = tmp_path / f"config-{len(list(tmp_path.iterdir()))}"
        library = weakened(place, *changes)
        write(str(place / "cli-plugins/docker-nsenter"), python=python, library=str(library), by=by)

        def call(*words: str, seconds: float = 60, **options: object) -> Done:
            env = {**engine, "DOCKER_CONFIG": str(place)}
            settings = {"stdin": subprocess.DEVNULL, "env": env, **options}
            return run_words("docker", "nsenter", *words, seconds=seconds, **settings)

        return call

    return install


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody reaches; pytest closes its own again whenever it is started."""
    with tempfile.TemporaryDirectory(prefix="nsenter-field.", dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def field(engine: dict[str, str], public: Path) -> Iterator[Field]:
    """Attackers in a container and beside it; who sees the host's processes is begun by the test."""
    with Field(engine, public, agent=False) as made:
        made.target()
        yield made


def fight(field: Field, call: Call, options: tuple[str, ...], name: str, **more: Any) -> Result:
    """Enter for a second."""
    result = Result(Entry(()), field.mark())
    field.results[result.mark] = result
    done = call(*options, name, *field.script(result.mark, "1"), **more)
    result.status, result.said = done.returncode, done.stderr
    return result


def answering(path: Path, answer: Callable[[socket.socket], None]) -> socket.socket:
    """Listen on a unix socket, and have each connection answered; it ends with the socket that is returned."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            answer(client)

    threading.Thread(target=serve, daemon=True).start()
    return server


def stop_and_continue(shell: "pexpect.spawn[str]", prompt: str) -> None:
    """Type ^Z, have the shell continue the job, see it say `again`, and leave."""
    shell.send("\x1a")
    shell.expect("Stopped")
    shell.expect(prompt)
    shell.sendline("fg")
    shell.expect("again\r\n")
    shell.expect(prompt)
    shell.close(force=True)


@pytest.fixture
def raw(pid_of: Callable[[str], int]) -> Raw:
    """Enter all namespaces by util-linux's nsenter."""

    def call(name: str, *words: str, program: str = "nsenter", seconds: float = 60, **options: object) -> Done:
        return run_words(program, "-t", str(pid_of(name)), "-a", "--", *words, seconds=seconds, **options)

    return call


def run_words(*words: str, seconds: float = 60, **options: object) -> Done:
    """Run a program; one that does not end in time is killed with all that it started and gets the status 124."""
    settings: dict[str, Any] = {"text": True, "errors": "replace", "start_new_session": True, **options}
    pipes = {name: subprocess.PIPE for name in ("stdout", "stderr") if name not in options}
    process = subprocess.Popen(words, **{**pipes, **settings})
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return subprocess.CompletedProcess(words, 124, "", "")
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


@pytest.fixture
def sacrifice(tmp_path: Path) -> Callable[[str], str]:
    """Copy a program of the host's, so that an attack that works spoils only the copy."""

    def copy(program: str) -> str:
        place = tmp_path / "sacrifice"
        place.mkdir(exist_ok=True)
        # Where a Python finds its library, which is not always where it was built for
        (place / "pyvenv.cfg").write_text(f"home = {os.path.dirname(REAL)}\n")
        shutil.copy2(os.path.realpath(program), place)
        return str(place / os.path.basename(os.path.realpath(program)))

    return copy


@pytest.fixture(scope="session")
def browser() -> str:
    """Find a browser, which scripts/test brings along: only who lacks it and does not need everything goes without."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    if not found:
        (pytest.fail if os.environ.get("NSENTER_MUST_WORK") else pytest.skip)("no browser here: install chromium")
    return found


def build(directory: Path, name: str, source: str, *flags: str) -> Path:
    """Compile a static program for a container."""
    (directory / f"{name}.c").write_text(source)
    words = ["gcc", "-O1", "-w", *(flags or ("-static",)), "-o", directory / name, directory / f"{name}.c"]
    subprocess.run(words, check=True)
    return directory / name
