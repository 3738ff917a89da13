"""Under systemd-run: a session without a shell, a terminal that ends with its client, and no SIGPIPE."""

import subprocess
import termios
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest

from ..conftest import Call, Run, wait_until
from .systemd import Manager

LASTING = "4712"  # seconds; what sleeps that long has to be ended


@pytest.fixture(scope="module")
def manager(engine: dict[str, str]) -> Iterator[Manager]:
    """Run a user's systemd."""
    with Manager(engine) as started:
        yield started


class Terminal:
    """Type on a terminal that systemd-run carries to one of its own."""

    def __init__(self, manager: Manager, *words: str) -> None:
        """Start docker with these words."""
        self.unit = f"nsenter-{uuid.uuid4().hex[:10]}"
        line = [*manager.words("--pty", f"--unit={self.unit}"), "docker", *words]
        env: Any = {**manager.environment, "TERM": "xterm"}
        self.child = pexpect.spawn("systemd-run", line, env=env, timeout=30, encoding="utf-8", dimensions=(24, 120))

    def status(self) -> int | None:
        """Wait for the end."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


def sleeping(docker: Call, name: str) -> list[str]:
    """List what is left of a command that sleeps."""
    return [line for line in docker("top", name, "-eo", "pid,args").stdout.splitlines() if LASTING in line]


def test_a_command_has_the_terminal_and_its_status_comes_back(run: Run, manager: Manager) -> None:
    script = "read word; echo got=$word; stty size; exit 4"
    terminal = Terminal(manager, "nsenter", run(), "sh", "-c", script)
    terminal.child.sendline("mine")
    terminal.child.expect("got=mine\r\n24 120\r\n")
    assert terminal.status() == 4


@pytest.mark.parametrize("route", ["local", "helper"])
def test_control_c_ends_it_with_130(run: Run, docker: Call, manager: Manager, route: str) -> None:
    name = run("--init")
    terminal = Terminal(manager, "nsenter", "--route", route, name, "sh", "-c", f"echo in; sleep {LASTING}")
    terminal.child.expect("in\r")
    terminal.child.send("\x03")
    assert terminal.status() == 130
    assert not sleeping(docker, name)


def test_the_terminal_is_as_it_was_when_the_next_reads_from_it(run: Run, manager: Manager) -> None:
    """One unit's shell runs both, so that it is systemd's own terminal that is looked at."""
    script = f"before=$(stty -g); docker nsenter {run()} true; [ $before = $(stty -g) ] && echo sa''me"
    words = manager.words("--pty")
    env: Any = {**manager.environment, "TERM": "xterm"}
    child = pexpect.spawn("systemd-run", [*words, "sh", "-c", script], env=env, timeout=30, encoding="utf-8")
    before = termios.tcgetattr(child.child_fd)
    child.expect("same\r")
    child.expect(pexpect.EOF)
    assert termios.tcgetattr(child.child_fd) == before or not child.isalive()
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize("route", ["local", "helper"])
@pytest.mark.parametrize("end", ["the client hangs up", "systemctl stop"])
def test_nothing_is_left_when_it_is_ended_from_outside(
    run: Run, docker: Call, manager: Manager, route: str, end: str
) -> None:
    """Neither ends the command itself, which is in the container's cgroup."""
    name = run("--init")
    terminal = Terminal(manager, "nsenter", "--route", route, name, "sh", "-c", f"echo in; sleep {LASTING}")
    terminal.child.expect("in\r")
    assert sleeping(docker, name)
    began = time.monotonic()
    if end == "systemctl stop":
        assert manager.systemctl("stop", f"{terminal.unit}.service").returncode == 0
        assert time.monotonic() - began < 45  # by SIGTERM: SIGKILL comes after 90 seconds
    terminal.child.close(force=True)
    wait_until(lambda: not sleeping(docker, name), "the command has ended", 30)
    listed = ("list-units", "--no-legend", f"{terminal.unit}*")
    wait_until(lambda: not manager.systemctl(*listed).stdout, "the unit is gone", 30)
    wait_until(lambda: not docker("ps", "-q", "--filter", "label=docker-nsenter").stdout, "no helper is left", 30)


@pytest.mark.parametrize("route", ["local", "helper"])
@pytest.mark.parametrize("option", ["--pty", "--pipe"])
def test_signals_are_what_docker_exec_gives(run: Run, docker: Call, manager: Manager, option: str, route: str) -> None:
    """Systemd starts all with SIGPIPE ignored."""
    name = run()
    read = ("grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status")
    words = [*manager.words(option), "docker", "nsenter", "--route", route, name, *read]
    seen = subprocess.run(
        ["systemd-run", *words], env=manager.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.replace("\r", "") == docker("exec", name, *read).stdout


def test_pipes_carry_every_byte_and_the_end(run: Run, manager: Manager) -> None:
    script = "cat; cat /no/such; exit 5"
    line = ["systemd-run", *manager.words("--pipe"), "docker", "nsenter", run(), "sh", "-c", script]
    data = bytes(range(256)) * 1000
    done = subprocess.run(line, env=manager.environment, input=data, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (5, data)
    assert b"/no/such" in done.stderr


def test_without_a_terminal_or_pipes_a_command_runs_and_a_shell_says_what_it_needs(run: Run, manager: Manager) -> None:
    """Input is /dev/null there, and what is written goes to the journal."""
    name = run()
    for words, status in ((("sh", "-c", "read word; exit 6"), 6), ((), 0)):
        line = ["systemd-run", *manager.words(), "docker", "nsenter", name, *words]
        done = subprocess.run(line, env=manager.environment, stdin=subprocess.DEVNULL, check=False, timeout=60)
        assert done.returncode == status, words
