"""Podman behind its socket for Docker's client: entered as on Docker's engine, but for what its own exec leaves out."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import Call, Done, Run, wait_until
from ..images import BUSYBOX, EMPTY, import_images
from .test_helper import READ_ALL, left
from .test_parity import CONTAINERS

TITLES = ("cap-drop ALL, cap-add CHOWN", "user and group-add", "no-new-privileges, user")
KEPT = ("Cap", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Umask", "SigBlk", "SigIgn")


@pytest.fixture(scope="module")
def engine(engine: dict[str, str]) -> Iterator[dict[str, str]]:
    """Podman's service with files and containers of its own."""
    place = Path(tempfile.mkdtemp(prefix="nsenter-podman.", dir="/var/tmp"))
    place.chmod(0o711)
    words = ["podman", "--root", place / "root", "--runroot", place / "run", "--tmpdir", place / "tmp"]
    if Path("/sys/fs/cgroup/unified").exists():  # where crun starts nothing
        words += ["--runtime", "runc"]
    environment = {**engine, "DOCKER_HOST": f"unix://{place}/socket"}
    service = [*words, "--cgroup-manager=cgroupfs", "system", "service", "-t", "0", environment["DOCKER_HOST"]]
    with (place / "log").open("wb") as log:
        own = {**os.environ, "TMPDIR": str(place)}  # where each image that is loaded leaves a file
        process = subprocess.Popen(service, env=own, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    asked = ["docker", "version", "-f", "{{.Server.Version}}"]
    try:
        wait_until(lambda: not subprocess.call(asked, env=environment, stdout=-3, stderr=-3), "podman", 60)
        import_images(environment)
        yield environment
    finally:
        subprocess.run([*words, "rm", "-fa", "-t", "0"], capture_output=True, check=False)
        process.terminate()
        process.wait()
        subprocess.run([*words, "unmount", "-fa"], capture_output=True, check=False)
        subprocess.run(["umount", "-l", place / "root/overlay"], capture_output=True, check=False)
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def run(run: Run) -> Run:
    """Start containers that nobody waits for at their end: here `rm -f` asks politely first, for ten seconds."""
    return lambda *flags, **options: run("--stop-timeout", "0", *flags, **options)


@pytest.fixture(params=["local", "helper", "a user of the socket's group"])
def enter(request: pytest.FixtureRequest, nsenter: Call, engine: dict[str, str]) -> Call:
    """Enter as root directly, as root by a helper, and without root."""

    def call(*words: str, **options: Any) -> Done:
        if request.param in ("local", "helper"):
            return nsenter("--route", request.param, *words, **options)
        socket = engine["DOCKER_HOST"].removeprefix("unix://")
        os.chown(socket, 0, 61235)
        os.chmod(socket, 0o660)
        subprocess.run(["chmod", "-R", "a+rX", engine["DOCKER_CONFIG"]], check=True)
        before = ["setpriv", "--reuid=61234", "--regid=61234", "--groups=61235"]
        settings = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 60, "cwd": "/"}
        env = {**engine, "HOME": "/"}
        return subprocess.run([*before, "docker", "nsenter", *words], check=False, env=env, **{**settings, **options})

    return call


def told(done: Done) -> "list[str]":
    """Keep what must agree: its own exec leaves the primary group and HOSTNAME out."""
    assert done.returncode == 0, done.stderr
    status, rest = done.stdout.split("== cgroup", 1)
    others = [line for line in rest.splitlines() if not line.startswith("HOSTNAME=")]
    return [line for line in status.splitlines() if line.startswith(KEPT)] + others


@pytest.mark.parametrize("title", TITLES)
def test_the_kernel_says_the_same_as_of_its_own_exec(run: Run, docker: Call, enter: Call, title: str) -> None:
    words = (run(*CONTAINERS[title]), "sh", "-c", READ_ALL)
    assert told(enter(*words)) == told(docker("exec", *words))


@pytest.mark.parametrize("own", [(), ("--user", "app"), ("-e", "HOME=/elsewhere")])
def test_another_user_has_a_home_of_his_own(run: Run, docker: Call, enter: Call, own: tuple[str, ...]) -> None:
    """Podman lists the HOME that it made for the container's own user like one that was asked for."""
    name = run(*own)
    for user in ("app", "0", "4343"):
        words = ("-u", user, name, "sh", "-c", "echo $HOME")
        assert enter(*words).stdout == docker("exec", *words).stdout, user


def test_an_images_tools_are_shown(run: Run, enter: Call) -> None:
    name = run(image=EMPTY, command=("/busybox", "sleep", "100000"))
    done = enter("--tools", BUSYBOX, name, "sh", "-c", "expr 40 + 2; readlink /proc/1/exe")
    assert (done.stdout, done.stderr) == ("42\n/busybox\n", "")


def test_it_is_listed(run: Run, nsenter: Call) -> None:
    name = run("--user", "app", "--memory", "64m")
    done = nsenter("--list")
    row = next(line for line in done.stdout.splitlines() if line.startswith(name))
    assert row.split()[1:3] == ["app", "64"]


def test_a_helper_leaves_neither_a_container_nor_an_image(run: Run, docker: Call, nsenter: Call) -> None:
    """Here an empty image has a size: what describes it counts, as in containerd's store."""
    name = run()
    for _ in range(3):
        assert nsenter("--route", "helper", name, "true").returncode == 0
    wait_until(lambda: not left(docker), "nothing is left", 30)
