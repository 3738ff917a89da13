"""A caller's shell: jobs in the background leave its terminal alone, and a pipe behind us is no surprise."""

import re
import shutil
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from ..conftest import Run

SHELLS = {"dash": ["-i"], "bash": ["--norc", "--noprofile", "--noediting", "-i"], "zsh": ["-f", "-i"]}
PROMPT = "ready> "


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, engine: dict[str, str]) -> Iterator["pexpect.spawn[str]"]:
    """Start a shell with job control on a terminal of its own."""
    program = shutil.which(request.param)
    assert program, f"{request.param} is needed"
    env = {**engine, "PS1": PROMPT, "PROMPT": PROMPT, "TERM": "xterm"}
    child = pexpect.spawn(program, SHELLS[request.param], env=env, timeout=30, encoding="utf-8", dimensions=(24, 200))
    child.expect_exact(PROMPT)  # what is typed earlier may be lost while the shell takes its terminal
    if request.param == "zsh":
        child.sendline("unsetopt ZLE PROMPT_SP PROMPT_CR")  # its editor sets the terminal for each line anew
    child.sendline("set -m; echo begun")
    child.expect(r"\nbegun\r")
    child.expect_exact(PROMPT)
    yield child
    child.close(force=True)


def modes(shell: "pexpect.spawn[str]") -> list[int]:
    """Read the terminal's four flags."""
    return [int(flag) for flag in termios.tcgetattr(shell.child_fd)[:4]]


def test_a_job_in_the_background_leaves_the_terminal_alone(run: Run, shell: "pexpect.spawn[str]") -> None:
    name, before = run(), modes(shell)
    shell.sendline(f"docker nsenter {name} sleep 3 &")
    shell.expect_exact(PROMPT)
    for _ in range(12):
        assert modes(shell) == before
        time.sleep(0.1)
    shell.sendline("echo still; read word; echo word=$word")
    shell.expect(r"\nstill\r")
    shell.sendline("mine")
    shell.expect(r"\nword=mine\r")  # the line was the shell's to read
    shell.sendline("wait; echo rc=$?")
    shell.expect(r"\nrc=0\r")
    assert modes(shell) == before


def test_a_job_that_is_brought_forward_gets_the_terminal_and_gives_it_back(
    run: Run, shell: "pexpect.spawn[str]"
) -> None:
    name, before = run(), modes(shell)
    shell.sendline(f"docker nsenter {name} sh -c 'sleep 2; read word; echo got=$word' &")
    shell.expect_exact(PROMPT)
    time.sleep(1)
    assert modes(shell) == before
    shell.sendline("fg")
    time.sleep(2)
    assert modes(shell) != before
    shell.sendline("theirs")
    shell.expect("got=theirs")
    shell.expect_exact(PROMPT)
    shell.sendline("echo status=$?")
    shell.expect(r"\nstatus=0\r")
    assert modes(shell) == before


def test_a_shell_into_a_pipe_says_what_to_type_and_that_works(
    run: Run, shell: "pexpect.spawn[str]", tmp_path: Path
) -> None:
    name, before = run(), modes(shell)
    shell.sendline(f"docker nsenter {name} | tee {tmp_path}/log")
    shell.expect("a shell needs a terminal")
    shell.expect(f"hint: (docker nsenter -it {name})\r\n")
    assert shell.match
    line = str(shell.match.group(1))
    shell.expect_exact(PROMPT)
    shell.sendline(f"{line} | tee {tmp_path}/log")
    shell.expect(r"[#$] (\x1b\[6n)?$")
    shell.sendline("echo in-$((40+2)); exit")
    shell.expect("in-42")
    shell.expect_exact(PROMPT)
    assert re.search(r"^in-42\r?$", (tmp_path / "log").read_text(), re.M)
    shell.sendline("echo there")
    shell.expect(r"\nthere\r")
    assert modes(shell) == before
