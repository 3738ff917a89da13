"""A docker engine of a test's own, for what must not happen to the engine that all the others use."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from .conftest import wait_until
from .images import import_images


def with_etc(directory: Path, subordinate: str, *users: str) -> tuple[str, ...]:
    """Write words that run a command with an /etc of its own, which has these subordinate ids and users."""
    etc = directory / "etc"
    shutil.copytree("/etc", etc, symlinks=True)
    for name in ("subuid", "subgid"):
        (etc / name).write_text(f"{subordinate}\n")
    with open(etc / "passwd", "a") as file:
        file.writelines(f"{line}\n" for line in users)
    script = f'mount --bind {etc} /etc && exec "$@"'
    return "unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"


class Private:
    """Run a dockerd with its data below a directory, perhaps under other words (unshare, setpriv, ...)."""

    def __init__(self, directory: Path, environment: dict[str, str], *flags: str, before: tuple[str, ...] = ()) -> None:
        directory.chmod(0o755)  # remapped and rootless engines pass through it with ids of their own
        self.directory = directory
        self.host = f"unix://{directory}/docker.sock"
        self.environment = {**environment, "DOCKER_HOST": self.host}
        (directory / "daemon.json").write_text("{}\n")  # what this machine's own engine is told may not be said twice
        self._words = [
            *before, "dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false",
            "--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec", "--pidfile", f"{directory}/pid",
            "--config-file", f"{directory}/daemon.json", "-H", self.host, *flags,
        ]  # fmt: skip
        self.start()
        import_images(self.environment)

    def start(self) -> None:
        """Start the engine and wait until it answers."""
        (self.directory / "pid").unlink(missing_ok=True)
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                self._words, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._answers, f"the engine answers: {self.directory}/log", 60)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.directory / "log").read_text()[-2000:]
        return self.docker("version", check=False).returncode == 0

    def docker(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a docker command on this engine."""
        return subprocess.run(
            ["docker", *words], env=self.environment, check=check, capture_output=True, text=True, timeout=60
        )

    def run(self, name: str, *flags: str, command: tuple[str, ...] = ("sleep", "100000")) -> str:
        """Start a container; return its id."""
        image = "nsenter-test-busybox"
        return self.docker("run", "-d", "--name", name, "--network", "none", *flags, image, *command).stdout.strip()

    def pid(self) -> int:
        """Tell the number of dockerd itself."""
        return int((self.directory / "pid").read_text())

    def end(self) -> None:
        """Remove the containers, end the engine, and undo what it leaves mounted."""
        if self.process.poll() is not None:
            self.start()
        left = self.docker("ps", "-aq", check=False).stdout.split()
        if left:
            self.docker("rm", "-f", *left, check=False)
        self.process.terminate()
        self.process.wait(30)
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for point in sorted((point for point in points if point.startswith(f"{self.directory}/")), reverse=True):
            subprocess.run(["umount", "-l", point], check=False)


Start = Callable[..., Private]
