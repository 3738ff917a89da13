"""A real engine, the plugin installed from this checkout, and containers that end with their test."""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from . import patience
from .images import BUSYBOX, EMPTY, import_images

TOP = Path(__file__).resolve().parents[1]

__all__ = ["BUSYBOX", "EMPTY"]

Done = subprocess.CompletedProcess[str]
Run = Callable[..., str]
Call = Callable[..., Done]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 10) -> Any:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds * patience.PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


def children(pid: int) -> list[int]:
    """List the children of a process, whichever of its threads started them: none of one that has ended."""
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # docker's threads come and go
                found += [int(word) for word in (task / "children").read_text().split()]
    return found


def hosts_mounts() -> list[str]:
    """List the mounts of this machine but for those of engines, which come and go."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if not point.startswith(("/var/", "/run/"))]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where everything must work nothing may be skipped, and where the processor is emulated all takes longer."""
    patience.give(items)
    if os.environ.get("NSENTER_MUST_WORK"):
        for item in items:
            assert not list(item.iter_markers("skip")), f"{item.nodeid} is skipped"


def install(config: Path, environment: dict[str, str]) -> None:
    """Install the plugin; where no registry can be reached (NSENTER_TEST_OFFLINE) with the interpreter of the tests."""
    if not os.environ.get("NSENTER_TEST_OFFLINE"):
        subprocess.run([TOP / "scripts/install"], env=environment, check=True, stdout=subprocess.DEVNULL)
        return
    sys.path.insert(0, str(TOP / "plugin"))
    from docker_nsenter.commands.install import write

    write(str(config / "cli-plugins/docker-nsenter"))


@pytest.fixture(scope="session")
def engine() -> Iterator[dict[str, str]]:
    """The environment of a docker command: an engine and a configuration with the plugin installed."""
    if os.geteuid() != 0:
        pytest.fail("the tests enter containers: run them as root")
    with tempfile.TemporaryDirectory(prefix="nsenter-config.") as config:
        own = "" if os.environ.get("NSENTER_TEST_HOST") else tempfile.mkdtemp(prefix="nsenter-engine.", dir="/var/tmp")
        host = (
            os.environ.get("NSENTER_TEST_HOST")
            or subprocess.check_output([TOP / "scripts/engine", "start", own], text=True).strip()
        )
        environment = {**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": config}
        environment.pop("DOCKER_CONTEXT", None)
        install(Path(config), environment)
        import_images(environment)
        yield environment
        if own:
            subprocess.run([TOP / "scripts/engine", "stop", own], check=True)
            os.rmdir(own)


@pytest.fixture
def docker(engine: dict[str, str]) -> Call:
    """Run a docker command."""

    def call(*words: str, check: bool = True, **options: Any) -> Done:
        settings = {"capture_output": True, "text": True, "timeout": 60, "env": engine, "stdin": subprocess.DEVNULL}
        if "input" in options:
            del settings["stdin"]
        done = subprocess.run(["docker", *words], check=False, **{**settings, **options})
        assert not check or done.returncode == 0, done.stderr
        return done

    return call


@pytest.fixture
def nsenter(docker: Call) -> Call:
    """Run docker nsenter, whose failure is for the test to judge."""

    def call(*words: str, check: bool = False, **options: Any) -> Done:
        return docker("nsenter", *words, check=check, **options)

    return call


@pytest.fixture
def run(docker: Call) -> Iterator[Run]:
    """Start containers that end with the test."""
    names: list[str] = []

    def start(*flags: str, image: str = BUSYBOX, command: tuple[str, ...] = ("sleep", "100000")) -> str:
        name = f"nsenter-{uuid.uuid4().hex[:10]}"
        names.append(name)
        network = [] if any(flag.startswith("--net") for flag in flags) else ["--network", "none"]
        docker("run", "-d", "--name", name, *network, *flags, image, *command)
        return name

    yield start
    if names:
        docker("rm", "-f", *names, check=False)


@pytest.fixture
def pid_of(docker: Call) -> Callable[[str], int]:
    """Ask the engine for a container's process."""

    def ask(name: str) -> int:
        return int(docker("inspect", "-f", "{{.State.Pid}}", name).stdout)

    return ask
