"""A real terminal: keys, sizes, full-screen programs, and the caller's terminal given back."""

import os
import re
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from ..conftest import Call, Run, children, wait_until
from .conftest import Plugin

Spawn = Callable[..., "pexpect.spawn[str]"]
PROMPT = r"[#$] (\x1b\[6n)?$"  # ash asks where the cursor is


@pytest.fixture
def spawn(engine: dict[str, str]) -> Iterator[Spawn]:
    """Start docker nsenter on a terminal of 33 lines and 101 columns."""
    started: list[pexpect.spawn[str]] = []

    def start(*words: str, command: str = "docker") -> "pexpect.spawn[str]":
        words = ("nsenter", *words) if command == "docker" else words
        child = pexpect.spawn(command, list(words), env=engine, timeout=15, encoding="utf-8", dimensions=(33, 101))
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def test_a_shell_on_a_terminal_of_the_containers(run: Run, spawn: Spawn) -> None:
    shell = spawn(run())
    shell.expect(PROMPT)
    shell.sendline("tty; stty size; echo TERM=$TERM")
    shell.expect(r"/dev/pts/\d+\r\n33 101\r\nTERM=xterm")
    shell.expect(PROMPT)
    shell.sendline("exit 9")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 9


def test_the_window_has_its_size_from_the_first_moment(run: Run, spawn: Spawn) -> None:
    name = run()
    for _ in range(5):
        sized = spawn(name, "stty", "size")
        sized.expect("33 101")
        sized.expect(pexpect.EOF)


def test_a_resize_reaches_the_command(run: Run, spawn: Spawn) -> None:
    shell = spawn(run())
    shell.expect(PROMPT)
    shell.setwinsize(20, 50)
    time.sleep(0.3)
    shell.sendline("stty size")
    shell.expect("20 50")


def test_control_c_ends_the_foreground_and_not_the_shell(run: Run, spawn: Spawn) -> None:
    shell = spawn(run())
    shell.expect(PROMPT)
    shell.sendline("sleep 1000")
    time.sleep(0.3)
    shell.sendintr()
    shell.expect(PROMPT)
    shell.sendline("echo status=$?")
    shell.expect("status=130")


def test_control_c_ends_a_command_with_130(run: Run, spawn: Spawn) -> None:
    command = spawn(run(), "sleep", "1000")
    time.sleep(0.7)
    command.sendintr()
    command.expect(pexpect.EOF)
    command.close()
    assert command.exitstatus == 130


def test_control_z_and_fg_work_in_an_entered_shell(run: Run, spawn: Spawn) -> None:
    shell = spawn(run())
    shell.expect(PROMPT)
    shell.sendline("sleep 1000")
    time.sleep(0.3)
    shell.send("\x1a")
    shell.expect("Stopped")
    shell.expect(PROMPT)
    shell.sendline("fg")
    shell.expect("sleep 1000")
    time.sleep(0.2)
    shell.sendintr()
    shell.expect(PROMPT)


def test_a_full_screen_editor_works(run: Run, spawn: Spawn, docker: Call) -> None:
    name = run()
    editor = spawn(name, "vi", "/tmp/note")
    editor.expect(r"/tmp/note")
    editor.send("ihello from vi\x1b")
    time.sleep(0.5)  # vi waits for what may follow an escape
    editor.send(":wq\r")
    editor.expect(pexpect.EOF)
    editor.close()
    assert editor.exitstatus == 0
    assert docker("exec", name, "cat", "/tmp/note").stdout == "hello from vi\n"


def test_the_terminal_of_the_host_is_never_handed_in(run: Run, spawn: Spawn) -> None:
    shell = spawn("-T", "-i", run(), "sh", "-c", "ls -l /proc/self/fd; cat >/dev/null")
    shell.expect("pipe:")
    shell.sendeof()
    shell.expect(pexpect.EOF)
    assert "/dev/pts" not in (shell.before or "")


def settings(fd: int) -> list[object]:
    """Read a terminal's settings."""
    return list(termios.tcgetattr(fd))


@pytest.mark.parametrize("end", ["exit", "kill the command", "kill docker", "terminate the plugin"])
def test_the_callers_terminal_is_given_back(run: Run, docker: Call, spawn: Spawn, end: str) -> None:
    name = run()
    outer = spawn("--norc", "--noprofile", "-i", command="bash")
    outer.expect(PROMPT)
    before = settings(outer.child_fd)
    outer.sendline(f"docker nsenter {name} sh")
    outer.expect("built-in shell")
    outer.expect(PROMPT)
    assert settings(outer.child_fd) != before
    client = wait_until(lambda: children(outer.pid), "docker runs")[0]
    if end == "exit":
        outer.sendline("exit")
    elif end == "kill the command":
        docker("exec", name, "sh", "-c", "kill -9 $(pidof sh | tr ' ' '\\n' | grep -v $$)", check=False)
    elif end == "kill docker":
        os.kill(client, signal.SIGKILL)
    else:
        os.kill(children(client)[0], signal.SIGHUP)
    outer.expect(PROMPT)
    wait_until(lambda: settings(outer.child_fd)[:4] == before[:4], "the settings are back")
    outer.sendline("read line; echo got=$line")
    time.sleep(0.3)
    outer.sendline("word")
    outer.expect("got=word")


def test_the_callers_terminal_is_given_back_by_a_defect_of_ours(
    run: Run, plugin: Plugin, spawn: Spawn, tmp_path: Path
) -> None:
    """Of all defects by the one that no `finally` sees: an error in the clean-up of what nobody holds."""
    raw = "        if not self.deadline and self.terminal.raw():\n"
    odd = f"{raw}            each = self._odd(); next(each); del each\n"
    way = "    def _resize(self) -> None:\n"
    clean_up = "        try:\n            yield\n        finally:\n            raise ValueError('odd')\n\n"
    clean_up = f"    def _odd(self):\n{clean_up}{way}"
    plugin(("enter/session/supervisor.py", raw, odd), ("enter/session/supervisor.py", way, clean_up))
    outer = spawn("--norc", "--noprofile", "-i", command="bash")
    outer.expect(PROMPT)
    before = settings(outer.child_fd)
    outer.sendline(f"DOCKER_CONFIG={tmp_path}/config-0 docker nsenter {run()} sh; echo status=$?")
    outer.expect("unexpected ValueError: odd")
    outer.expect("status=125")
    outer.expect(PROMPT)
    assert settings(outer.child_fd)[:4] == before[:4]


def test_the_callers_shell_can_go_on_reading_its_terminal(run: Run, spawn: Spawn) -> None:
    script = f"docker nsenter {run()} sh -ic 'echo in'; read line; echo got=$line"
    outer = spawn("-c", script, command="bash")
    outer.expect("in\r\n")
    outer.sendline("word")
    outer.expect("got=word")


def test_errors_go_their_own_way_beside_a_terminal(run: Run, spawn: Spawn, tmp_path: Path) -> None:
    outer = spawn("-c", f"docker nsenter {run()} sh -c 'echo shown; echo kept >&2' 2>{tmp_path}/errors", command="bash")
    outer.expect(pexpect.EOF)
    assert "shown" in (outer.before or "")
    assert "kept" not in (outer.before or "")
    assert (tmp_path / "errors").read_text() == "kept\n"


def test_input_from_a_pipe_feeds_a_forced_terminal(run: Run, engine: dict[str, str]) -> None:
    words = ["docker", "nsenter", "-t", run(), "cat"]
    done = subprocess.run(words, input="typed\n", capture_output=True, text=True, env=engine, timeout=20, check=False)
    assert done.returncode == 0
    assert re.sub(r"\r", "", done.stdout).startswith("typed\ntyped\n")


def test_a_hung_up_terminal_ends_the_command(run: Run, docker: Call, spawn: Spawn) -> None:
    name = run()
    shell = spawn(name, "sleep", "2468")
    wait_until(lambda: "2468" in docker("top", name).stdout, "it runs")
    shell.close(force=True)
    wait_until(lambda: "2468" not in docker("top", name).stdout, "it ends", 15)
