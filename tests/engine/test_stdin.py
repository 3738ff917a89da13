"""A command's reading never decides what the caller's shell runs next: nothing of the input is taken, or all.

docker exec -i always takes all. Whoever is inside may read a part, write into its own end, make that larger.
"""

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from docker_nsenter.enter.session.pumps import unread

from ..conftest import Run, children, wait_until

Engine = dict[str, str]
SOURCES = {
    "file": "bash <{file}",
    "pipe": "cat {file} | bash",
    "pipe that is filled slowly": "(head -c 9000 {file}; sleep 0.02; tail -c +9001 {file}) | bash",
    "heredoc": "bash <<'END'\n{text}END\n",
}
# Read so much that what follows in the comment comes next, by itself or by what FIONREAD says
STEERS = (
    "dd bs=1 count=30",
    'dd bs=30 count=1; timeout 0.3 sh -c "printf %300d 1 1<>/proc/self/fd/0"',
    'dd bs=4096 count=1; timeout 0.3 sh -c "printf %4000d 1 1<>/proc/self/fd/0"',
)


@pytest.fixture(params=["local", "helper"])
def route(request: pytest.FixtureRequest) -> str:
    """Enter by both routes."""
    return str(request.param)


@pytest.fixture
def enter(run: Run, route: str) -> str:
    """The words that enter a container."""
    return f"docker nsenter --route={route} {run()}"


def shell(engine: Engine, line: str, seconds: float = 60) -> str:
    """Run a line of a host's shell and return what it printed."""
    words = ["bash", "-c", line]
    done = subprocess.run(words, env=engine, capture_output=True, text=True, timeout=seconds, check=False)
    assert "docker nsenter:" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("steer", STEERS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_command_cannot_make_the_callers_script_go_on_inside_a_comment(
    enter: str, engine: Engine, tmp_path: Path, source: str, steer: str
) -> None:
    for times in (100, 9000):
        comment = "# never " + "; echo STEERED" * times
        text = f"echo began\n{enter} sh -c '{steer}' >/dev/null 2>&1\n{comment}\necho went on\n"
        (tmp_path / "script").write_text(text)
        said = shell(engine, SOURCES[source].format(file=tmp_path / "script", text=text)).splitlines()
        assert said in (["began"], ["began", "went on"])


@pytest.mark.parametrize("source", ["{loop} <{file}", "cat {file} | {loop}", "{loop} <<'END'\n{text}END\n"])
def test_a_loop_keeps_its_list_or_loses_all_of_it(enter: str, engine: Engine, tmp_path: Path, source: str) -> None:
    text = "".join(f"{number} # rm -rf /\n" for number in range(4))
    (tmp_path / "list").write_text(text)
    for command, count in (("true", 4), ("sh -c 'exec <&-'", 4), ("dd bs=1 count=3 of=/dev/null status=none", 1)):
        loop = f'while read -r line; do echo "$line"; {enter} {command}; done'
        said = shell(engine, source.format(loop=loop, file=tmp_path / "list", text=text))
        assert said.splitlines() == text.splitlines()[:count]


# What stands before the next reader after a command that took nothing, after one that took a byte; None: is not said
@pytest.mark.parametrize(
    ("source", "nothing", "a_byte"),
    [
        ("</dev/null", "", ""),
        ("<&-", None, None),
        ("<{0}/file", "abcdef", ""),
        ("<>{0}/file", "abcdef", ""),
        ("0>>{0}/other", None, None),
        ("<{0}/growing", "abcdef", ""),
        ("<{0}/fifo", "abcdef", ""),
        ("</proc/sys/kernel/ostype", "Linux\n", ""),
        ("</proc/self/mounts", None, ""),
        ("</proc/net/dev", None, ""),
        ("</sys/kernel/profiling", "0\n", ""),
    ],
)
def test_input_of_every_kind_is_left_as_it_was_or_at_its_end(
    enter: str, engine: Engine, tmp_path: Path, source: str, nothing: "str | None", a_byte: "str | None"
) -> None:
    place = source.format(tmp_path)
    later, grown = ("; sleep 1", "ghi") if "growing" in source else ("", "")
    for command, expected in (("true", nothing), ("dd bs=1 count=1 of=/dev/null", a_byte)):
        for name in ("file", "growing"):
            (tmp_path / name).write_text("abcdef")
        (tmp_path / "fifo").unlink(missing_ok=True)
        os.mkfifo(tmp_path / "fifo")
        writer = f"printf abcdef >{tmp_path}/fifo &" if "fifo" in source else ""
        if grown:
            writer = f"(sleep 0.3; printf {grown} >>{tmp_path}/growing) &"
        begin = time.monotonic()
        said = shell(engine, f"{writer} {{ {enter} sh -c '{command}{later}' 2>/dev/null; cat 2>/dev/null; }} {place}")
        assert expected is None or said == (expected and expected + grown)
        assert time.monotonic() - begin < 30


def test_a_directory_as_input_is_an_empty_one(enter: str, engine: Engine, run: Run) -> None:
    """It ends Python's own start with five lines and 1."""
    assert shell(engine, f"docker exec -i {run()} wc -c </tmp; echo $?") == "0\n0\n"
    for options in ("", "-i", "-t", "--net-only"):
        words = enter.replace("docker nsenter", f"docker nsenter {options}")
        assert shell(engine, f"{words} wc -c </tmp 2>&1; echo $?").split() == ["0", "0"]
        assert shell(engine, f"{words} sh -c 'exit 7' </; echo $?") == "7\n"


def test_of_a_huge_file_is_read_no_more_than_the_command_asks_for(enter: str, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 5 << 30)
    for command, place in (("true", 0), ("head -c 100000 >/dev/null", 5 << 30)):
        asked = "python3 -c 'import os; print(os.lseek(0, 0, 1))'"
        assert shell(engine, f"{{ {enter} {command}; {asked}; }} <{tmp_path}/huge") == f"{place}\n"


def test_a_socket_is_taken_to_its_end(enter: str, engine: Engine) -> None:
    ours, theirs = socket.socketpair()
    ours.send(b"0123456789" * 900)
    words = shlex.split(f"{enter} head -c 3")
    done = subprocess.run(words, stdin=theirs, env=engine, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "012"
    with pytest.raises(BlockingIOError):
        theirs.recv(1, socket.MSG_DONTWAIT)


@pytest.mark.parametrize("nonblocking", [False, True])
def test_the_callers_descriptors_keep_their_flags(enter: str, engine: Engine, nonblocking: bool) -> None:
    reader, writer = os.pipe()
    output, sink = os.pipe()
    os.set_blocking(reader, not nonblocking)
    os.set_blocking(sink, not nonblocking)
    client = subprocess.Popen(shlex.split(f"{enter} head -n1"), stdin=reader, stdout=sink, env=engine)
    time.sleep(1)
    os.write(writer, b"one\n")
    assert client.wait(30) == 0
    assert (os.get_blocking(reader), os.get_blocking(sink)) == (not nonblocking, not nonblocking)
    assert os.read(output, 100) == b"one\n"


def test_a_program_that_needs_a_pipe_has_one(enter: str, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("abc\n" * 3000)
    for source in (f"{{}} <{tmp_path}/file", f"cat {tmp_path}/file | {{}}"):
        line = source.format(f"{enter} sh -c 'test -p /dev/stdin && cat /dev/stdin'")
        assert shell(engine, line) == "abc\n" * 3000


@pytest.mark.parametrize("source", ["yes", "(echo y; sleep 3)"])
def test_a_writer_that_does_not_end_is_not_waited_for(enter: str, engine: Engine, source: str) -> None:
    assert shell(engine, f"{source} | {{ {enter} head -n1; echo ended >&2; }} 2>&1", 20) == "y\nended\n"


# --- output that nobody reads ---------------------------------------------------------------------------------------


def by_signal(client: "subprocess.Popen[bytes]", plugin: int) -> None:
    os.kill(plugin, signal.SIGTERM)


def by_dockers_end(client: "subprocess.Popen[bytes]", plugin: int) -> None:
    client.kill()


@pytest.mark.parametrize("stop", [by_signal, by_dockers_end])
@pytest.mark.parametrize("command", ["head -c 300000 /dev/zero", "yes & sleep 1; exit 0", "exec yes"])
def test_a_slow_reader_keeps_nobody_from_ending_a_command(
    enter: str, engine: Engine, command: str, stop: "Callable[[subprocess.Popen[bytes], int], None]"
) -> None:
    reader, sink = os.pipe()
    words = [*shlex.split(enter), "sh", "-c", command]
    client = subprocess.Popen(words, env=engine, stdin=subprocess.DEVNULL, stdout=sink)
    os.close(sink)
    wait_until(lambda: unread(reader) == 65536, "the caller's pipe is full", 30)
    time.sleep(1.5)  # and the command has ended, if it can
    plugin = children(client.pid)[0]
    begin = time.monotonic()
    stop(client, plugin)
    wait_until(lambda: not Path(f"/proc/{plugin}/cwd").exists(), "the plugin ends", 8)
    assert time.monotonic() - begin < 5
    assert client.wait(5) == (-signal.SIGKILL if stop is by_dockers_end else 128 + signal.SIGTERM)
    os.close(reader)


def test_what_background_children_flood_is_not_waited_for(enter: str, engine: Engine) -> None:
    assert (
        shell(engine, f"{enter} sh -c 'echo first; yes & sleep 0.5' | (head -n1; sleep 2; cat >/dev/null)") == "first\n"
    )
