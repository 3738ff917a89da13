"""A user's systemd and its bus, without a machine that was booted by them: what systemd-run asks to run a command."""

import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from ..conftest import wait_until

ROOT = Path("/sys/fs/cgroup")
# /run/systemd/system says that a machine was booted by systemd; only the manager is to believe that
START = """[ -e /run/systemd/system ] || { mount -t tmpfs none /run/systemd && mkdir /run/systemd/system; } || exit
for place; do echo $$ >"$place/cgroup.procs" || exit; done
exec "$MANAGER" --user --log-target=console --unit=default.target"""
UNITS = {
    "default.target": "[Unit]\nRequires=dbus.service\nAfter=dbus.service\n",
    "basic.target": "[Unit]\n",
    "shutdown.target": "[Unit]\n",
    "dbus.socket": "[Socket]\nListenStream=%t/bus\n",
    "dbus.service": "[Unit]\nRequires=dbus.socket\n[Service]\nType=notify\nExecStart=dbus-daemon --session "
    "--address=systemd: --nofork --nopidfile --systemd-activation --syslog-only\n",
}
PASSED = ("DOCKER_HOST", "DOCKER_CONFIG", "PATH")


class Manager:
    """Hold `systemd --user` in a cgroup and a mount namespace of its own."""

    def __init__(self, engine: dict[str, str]) -> None:
        """Begin; `engine` is what docker needs of the environment."""
        self.place = Path(tempfile.mkdtemp(prefix="nsenter-systemd.", dir="/var/tmp"))
        own = {"XDG_RUNTIME_DIR": str(self.place), "SYSTEMD_UNIT_PATH": str(self.place / "units")}
        self.environment = {**engine, **own, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.place}/bus"}

    def __enter__(self) -> "Manager":
        """Start it, and wait until it is on its bus."""
        (self.place / "units").mkdir()
        for name, text in UNITS.items():
            (self.place / "units" / name).write_text(text)
        for each in self._cgroups():
            each.mkdir()
        manager = next(path for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd") if os.path.exists(path))
        Path("/run/systemd").mkdir(exist_ok=True)
        env = {name: value for name, value in self.environment.items() if not name.startswith("DBUS")}
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", START, "sh", *map(str, self._cgroups())]
        with (self.place / "log").open("wb") as log:
            self._process = subprocess.Popen(
                words, env={**env, "MANAGER": manager}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            wait_until(self._answers, "systemd --user answers", 30)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: "type | None", problem: "BaseException | None", trace: "TracebackType | None") -> None:
        """End all that it has started, and remove its cgroups."""
        self._process.kill()
        self._process.wait()
        for place in ROOT.glob(f"*/{self.place.name}") if not (ROOT / "cgroup.procs").exists() else self._cgroups():
            below = sorted((path.parent for path in place.rglob("cgroup.procs")), reverse=True)
            for each in below:
                for pid in (each / "cgroup.procs").read_text().split():
                    os.kill(int(pid), 9)
            for each in below:
                wait_until(lambda each=each: not (each / "cgroup.procs").read_text(), f"{each} is empty")  # type: ignore[misc]
                each.rmdir()
        subprocess.run(["rm", "-rf", self.place], check=True)

    def _cgroups(self) -> list[Path]:
        """Name its cgroup: on v1 in the hierarchies by which it knows itself; below it makes one in the others, too."""
        places = [ROOT] if (ROOT / "cgroup.procs").exists() else [ROOT / "systemd", ROOT / "unified"]
        return [place / self.place.name for place in places if (place / "cgroup.procs").exists()]

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._process.returncode, (self.place / "log").read_text())
        return self.systemctl("is-active", "dbus.service").stdout == "active\n"

    def systemctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Ask it by systemctl."""
        line = ["systemctl", "--user", *words]
        return subprocess.run(line, env=self.environment, capture_output=True, text=True, check=False, timeout=60)

    def words(self, *options: str) -> list[str]:
        """Write systemd-run's words before the command: it hands on what docker needs, and the command's status."""
        return ["--user", "--quiet", "--wait", "--collect", *options, *(f"--setenv={name}" for name in PASSED), "--"]
