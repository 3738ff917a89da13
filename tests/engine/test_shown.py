"""What the keeper of the machine sees of us: names that say what each process is, and nothing of the caller's."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..conftest import Call, Run, children, wait_until

PLUGIN = Path(__file__).resolve().parents[2] / "plugin/docker-nsenter"


def below(pid: int) -> list[int]:
    """List all processes below one."""
    return [each for child in children(pid) for each in (child, *below(child))]


def read(pid: int, name: str) -> str:
    """Read a file of a process's."""
    return Path(f"/proc/{pid}/{name}").read_text().rstrip("\0\n")


@contextmanager
def entered(engine: dict[str, str], *words: str) -> Iterator[int]:
    """Hold an entry open; yield docker's pid."""
    client = subprocess.Popen(["docker", "nsenter", *words], env=engine, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdout
    assert client.stdout.readline() == b"here\n"
    try:
        yield client.pid
    finally:
        client.communicate(timeout=30)


def named(docker: int) -> list[int]:
    return [pid for pid in below(docker) if read(pid, "comm") == "docker-nsenter"]


@pytest.mark.parametrize("options", [(), ("--net-only",)])
def test_a_process_of_ours_says_what_it_is(run: Run, engine: dict[str, str], options: tuple[str, ...]) -> None:
    name = run()
    words = (*options, "-e", "TOKEN=hush-hush", "-i", name, "sh", "-c", "echo here; read x")
    with entered(engine, *words) as docker:
        expected = [f"docker-nsenter: {name} (supervisor)"]
        wait_until(lambda: [read(pid, "cmdline") for pid in named(docker)] == expected, "the installer is reaped")
        ours = named(docker)
        assert all(os.readlink(f"/proc/{pid}/exe") == "/memfd:docker-nsenter (deleted)" for pid in ours)
        for pid in ours:
            assert "hush" not in read(pid, "cmdline") + read(pid, "environ")


def test_a_helper_and_who_removes_it_say_what_they_are(run: Run, engine: dict[str, str], docker: Call) -> None:
    name = run()
    with entered(engine, "--route", "helper", "-i", name, "sh", "-c", "echo here; read x"):
        helper = (
            docker("ps", "-q", "--filter", "label=docker-nsenter").stdout.split() or docker("ps", "-q").stdout.split()
        )
        shown = "".join(docker("top", each, "-eo", "pid,comm,args").stdout for each in helper)
        assert f"docker-nsenter: {name} (relay)" in shown
        assert f"docker-nsenter: {name} (supervisor)" in shown
        reapers = subprocess.run(["ps", "-eo", "comm,args"], capture_output=True, text=True, check=True).stdout
        assert "docker-nsenter  docker-nsenter: helpers (reaper)" in reapers


def test_the_command_shows_its_own_words_and_nothing_of_ours(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    done = nsenter(name, "sh", "-c", "cat /proc/$$/comm; tr '\\0' ' ' </proc/$$/cmdline; echo; ps")
    assert done.stdout.splitlines()[0] == "sh"
    assert "docker-nsenter" not in done.stdout


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    """Be an engine that takes connections and never answers."""
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/silent")
        server.listen(200)
        yield f"unix://{tmp_path}/silent"


BEFORE_US = b'Traceback (most recent call last):\n  File "<string>", line 0, in <module>\nKeyboardInterrupt\n'


@pytest.mark.parametrize(
    "words", [("nsenter", "web", "true"), ("nsenter", "--list"), ("nsenter", "--route=helper", "web")]
)
def test_control_c_is_130_and_no_traceback_whenever_it_comes(silent: str, words: tuple[str, ...]) -> None:
    """From the first instruction on: before Python's own handler is there, the signal itself ends the process."""
    env = {"PATH": os.environ["PATH"], "DOCKER_HOST": silent, "DOCKER_NSENTER_TIMEOUT": "30"}
    statuses = []
    for step in range(40):
        plugin = subprocess.Popen(
            [PLUGIN, *words], env=env, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(step * 0.004 if step < 39 else 1)
        os.killpg(plugin.pid, signal.SIGINT)
        _, said = plugin.communicate(timeout=30)
        if not said.startswith(b"Fatal Python error: init_") and said != BEFORE_US:
            assert not said, step
            statuses.append(plugin.returncode)
    assert set(statuses) <= {130, -signal.SIGINT}, statuses
    assert statuses[-1] == 130


def test_control_c_just_before_the_engine_is_waited_for_is_heard_at_once(silent: str) -> None:
    """Python's handler has run when the kernel begins to wait, and nothing interrupts that any more."""
    env = {"PATH": os.environ["PATH"], "DOCKER_HOST": silent, "DOCKER_NSENTER_TIMEOUT": "100"}
    debugger = (
        *("set confirm off", "handle SIGINT nostop noprint pass", "set breakpoint pending on", "break poll"),
        *("ignore 1 1", "run", "delete", "signal SIGINT"),  # the first poll is that before the question is sent
    )
    words = [word for each in debugger for word in ("-ex", each)]
    line = ["gdb", "-q", "-nx", "-batch", *words, "--args", "sh", str(PLUGIN), "nsenter", "--list"]
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert "Breakpoint 1, " in done.stdout
    assert "exited with code 0202]" in done.stdout  # 130
    assert "does not answer" not in done.stdout + done.stderr
