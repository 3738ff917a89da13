"""A real engine, the plugin installed from this checkout, and containers that end with their test."""

import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parents[1]
BUSYBOX = "nsenter-test-busybox"
EMPTY = "nsenter-test-static"
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\nlocked:x:1001:1001::/:/sbin/nologin\n"
GROUP = "root:x:0:\napp:x:1000:\nextra:x:2000:app\naudio:x:29:app\n"

Done = subprocess.CompletedProcess[str]
Run = Callable[..., str]
Call = Callable[..., Done]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 10) -> Any:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


def children(pid: int) -> list[int]:
    """List the children of a process, whichever of its threads started them."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where everything must work nothing may be skipped."""
    if os.environ.get("NSENTER_MUST_WORK"):
        for item in items:
            assert not list(item.iter_markers("skip")), f"{item.nodeid} is skipped"


@pytest.fixture(scope="session")
def engine() -> Iterator[dict[str, str]]:
    """The environment of a docker command: an engine and a configuration with the plugin installed."""
    if os.geteuid() != 0:
        pytest.fail("the tests enter containers: run them as root")
    with tempfile.TemporaryDirectory(prefix="nsenter-config.") as config:
        own = "" if os.environ.get("NSENTER_TEST_HOST") else tempfile.mkdtemp(prefix="nsenter-engine.", dir="/var/tmp")
        host = os.environ.get("NSENTER_TEST_HOST") or subprocess.check_output(
            [TOP / "scripts/engine", "start", own], text=True
        ).strip()
        environment = {**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": config}
        environment.pop("DOCKER_CONTEXT", None)
        subprocess.run([TOP / "scripts/install"], env=environment, check=True, stdout=subprocess.DEVNULL)
        import_images(environment)
        yield environment
        if own:
            subprocess.run([TOP / "scripts/engine", "stop", own], check=True)


def import_images(environment: dict[str, str]) -> None:
    """Make the images out of this machine's own busybox: one with all its names, one with a single program."""
    busybox = Path("/bin/busybox")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for directory in ("bin", "etc", "root", "tmp", "home/app", "var"):
            (root / directory).mkdir(parents=True)
        os.chown(root / "home/app", 1000, 1000)
        (root / "tmp").chmod(0o1777)
        (root / "bin/busybox").write_bytes(busybox.read_bytes())
        (root / "bin/busybox").chmod(0o755)
        for applet in subprocess.check_output([busybox, "--list"], text=True).split():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        (root / "etc/passwd").write_text(PASSWD)
        (root / "etc/group").write_text(GROUP)
        pack(environment, root, BUSYBOX, "ENV PATH=/bin")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "busybox").write_bytes(busybox.read_bytes())
        (Path(name) / "busybox").chmod(0o755)
        pack(environment, Path(name), EMPTY, "ENV PATH=/")


def pack(environment: dict[str, str], root: Path, image: str, change: str) -> None:
    """Import a directory as an image."""
    tar = subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE)
    command = ["docker", "import", "-c", change, "-", image]
    subprocess.run(command, stdin=tar.stdout, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert tar.wait() == 0


@pytest.fixture
def docker(engine: dict[str, str]) -> Call:
    """Run a docker command."""

    def call(*words: str, check: bool = True, **options: Any) -> Done:
        settings = {"capture_output": True, "text": True, "timeout": 60, "env": engine, "stdin": subprocess.DEVNULL}
        if "input" in options:
            del settings["stdin"]
        done = subprocess.run(["docker", *words], **{**settings, **options})
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
