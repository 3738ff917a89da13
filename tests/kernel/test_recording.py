"""What --record writes is whole at every moment, bounded where it is demanded, and never inside the container."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_nsenter.enter.session import recording as module
from docker_nsenter.enter.session.recording import Recording

from ..machine import Machine
from ..weaken import weakened
from .conftest import children, plan_for, run_plan, start_plan, wait_until

Unshared = Callable[..., int]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    (tmp_path / "machine").mkdir()
    found = Machine(tmp_path / "machine")
    yield found
    found.end()


def read(file: Path) -> tuple[dict[str, Any], list[list[Any]]]:
    """Read a recording as a player does: every line is whole."""
    data = file.read_bytes()
    assert data.endswith(b"\n")
    head, *events = [json.loads(line) for line in data.decode().splitlines(keepends=True) if line]
    assert head["version"] == 2
    assert [event[0] for event in events] == sorted(event[0] for event in events)
    return head, events


def shown(events: list[list[Any]], code: str = "o") -> str:
    """Put the output together again."""
    return "".join(event[2] for event in events if event[1] == code)


def asks(file: Path, *, keys: bool = False) -> dict[str, Any]:
    """Write the Plan's field."""
    return {"file": str(file), "input": keys}


def test_output_and_exit_are_recorded_byte_for_byte(unshared: Unshared, tmp_path: Path) -> None:
    file = tmp_path / "a.cast"
    script = "seq 1 30000; printf 'h\\303\\251 \\\\\\\\ \\033[1m \"\\360\\237\\230\\200\\n' >&2; exit 9"
    done = run_plan(plan_for(unshared(), "sh", "-c", script, record=asks(file)))
    assert (done.returncode, done.stderr.splitlines()[0]) == (9, f"docker nsenter: recording output to {file}")
    head, events = read(file)
    assert (head["width"], head["height"]) == (80, 24)
    assert events[-1][1:] == ["x", "9"]
    assert sorted(shown(events)) == sorted(done.stdout + done.stderr.partition("\n")[2])
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["\\" * 9000, '"\\\n\r\t\0\x1b' * 3000, "é" * 9000, "😀" * 5000, "a\\" * 7000])
@pytest.mark.parametrize("size", [1, 7, 4095, 65536])
def test_no_piece_ends_within_a_character_or_an_escape(tmp_path: Path, text: str, size: int) -> None:
    directory = os.open(tmp_path, os.O_PATH)
    made = Recording(directory, "a", "a")
    made.begin("web", ["true"], b"")
    data = text.encode() + b"\xff\xc3"
    for at in range(0, len(data), size):
        made.shown(data[at : at + size])
    made.end(0)
    assert shown(read(tmp_path / "a")[1]) == text + "\ufffd\ufffd"
    os.close(directory)


def test_every_write_lies_within_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at, writes = 0, []

    def write(fd: int, data: bytes) -> int:
        nonlocal at
        writes.append((at, len(data)))
        at += len(data)
        return os.write(fd, data)

    monkeypatch.setattr(module.posix, "write", write)
    made = Recording(os.open(tmp_path, os.O_PATH), "a", "a")
    made.begin("web", ["x" * 5000, "\1" * 5000], b"")
    for size in (*range(1, 5000, 13), 65536):
        made.shown(b"\x1b[0mab\\" * size)
    assert all(start // 4096 == (start + size - 1) // 4096 for start, size in writes)


def begin(before: tuple[str, ...], plan: dict[str, Any], library: "Path | None" = None) -> "subprocess.Popen[bytes]":
    """Start stage 2, and let it run."""
    null = subprocess.DEVNULL
    return start_plan(plan, before=before, library=library, stdin=null, stdout=null, stderr=subprocess.PIPE)


def test_it_is_whole_after_kill_9(unshared: Unshared, tmp_path: Path) -> None:
    pid = unshared()
    for number in range(12):
        file = tmp_path / f"{number}.cast"
        process = begin((), plan_for(pid, "yes", "été " * 700, record=asks(file)))
        wait_until(lambda file=file: file.exists() and file.stat().st_size > 100_000, "it records")
        time.sleep(number * 0.003)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, events = read(file)
        assert len(events) > 20


def test_it_is_whole_when_the_disk_is_full_and_the_command_goes_on(
    machine: Machine, unshared: Unshared, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run([*machine.before, "mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small], check=True)
    file = Path(f"{machine.root}{small}/a.cast")
    plan = plan_for(unshared(), "seq", "1", "200000", record=asks(small / "a.cast"))
    done = run_plan(plan, before=machine.before)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "200000"
    assert done.stderr.splitlines()[1:] == ["docker nsenter: the recording ends here: No space left on device"]
    assert done.stdout.startswith(shown(read(file)[1]))


def test_a_line_that_was_cut_off_is_removed(unshared: Unshared, tmp_path: Path) -> None:
    file = tmp_path / "a.cast"
    plan = plan_for(unshared(), "seq", "1", "4000000", record=asks(file))
    done = run_plan(plan, before=("prlimit", "--fsize=20000001"))
    assert done.returncode == 0
    assert "the recording ends here" in done.stderr
    read(file)


@pytest.mark.parametrize("kind", ["file", "link", "fifo", "missing"])
def test_only_a_new_file_is_recorded_to(unshared: Unshared, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a.cast"
    victim = tmp_path / "victim"
    victim.write_text("mine")
    {
        "file": lambda: file.write_text("mine"),
        "link": lambda: os.symlink(victim, file),
        "fifo": lambda: os.mkfifo(file),
        "missing": lambda: None,
    }[kind]()
    plan = plan_for(unshared(), "true", record=asks(file if kind != "missing" else tmp_path / "no/a.cast"))
    done = run_plan(plan)
    assert done.returncode == 125
    assert re.fullmatch(r"docker nsenter: cannot record to .*: (File exists|No such file or directory)\n", done.stderr)
    assert victim.read_text() == "mine"


def test_a_command_that_is_not_run_leaves_no_file(unshared: Unshared, tmp_path: Path) -> None:
    done = run_plan(plan_for(unshared(), "true", directory="/nowhere", record=asks(tmp_path / "a.cast")))
    assert done.returncode == 125
    assert list(tmp_path.iterdir()) == []


def relaxed(pid: int, *command: str, **more: Any) -> dict[str, Any]:
    """Write a Plan whose command holds more than the container: no seccomp filter, or no limits of its cgroup."""
    plan = plan_for(pid, *command, cgroups=False, **more)
    plan["journal"]["entry"] = os.urandom(16).hex()
    return plan


@pytest.fixture
def recorder(machine: Machine) -> Path:
    """Have the machine record what holds more than the container; return the directory."""
    subprocess.run([*machine.before, "sh", "-c", "mkdir -m 700 /run/recordings"], check=True)
    bounds = {"record_bytes": 1 << 20, "record_total_bytes": 3 << 20}
    machine.demand(record="relaxed", record_directory="/run/recordings", **bounds)
    return Path(f"{machine.root}/run/recordings")


def guardless(tmp_path: Path) -> Path:
    """Leave the guard's look at other processes out: this machine's are other tests' containers."""
    return weakened(
        tmp_path / "weak", ("enter/hardening/guard.py", "    views, above = _views(entry)\n", "    return Seen()\n")
    )


def test_what_holds_more_than_the_container_is_recorded_where_that_is_demanded(
    machine: Machine, recorder: Path, unshared: Unshared, tmp_path: Path
) -> None:
    pid, library = unshared(), guardless(tmp_path)
    done = run_plan(plan_for(pid, "echo", "full"), before=machine.before, library=library)
    assert (done.returncode, done.stderr, list(recorder.iterdir())) == (0, "", [])
    done = run_plan(relaxed(pid, "echo", "more"), before=machine.before, library=library)
    assert (done.returncode, done.stderr) == (0, "docker nsenter: this machine records what this command shows\n")
    (file,) = recorder.iterdir()
    assert shown(read(file)[1]) == "more\n"
    assert file.stat().st_blocks * 512 <= 8192
    done = run_plan(relaxed(pid, "true", detach=True), before=machine.before, library=library)
    assert done.returncode == 125
    assert "a detached command can't be recorded" in done.stderr


def test_a_demanded_recording_is_bounded_and_its_command_with_it(
    machine: Machine, recorder: Path, unshared: Unshared, tmp_path: Path
) -> None:
    pid, library = unshared(), guardless(tmp_path)
    for _ in range(2):
        done = run_plan(relaxed(pid, "yes"), before=machine.before, library=library)
        assert done.returncode == 125
        assert "it has reached its bound of 1048576 bytes; the command is ended" in done.stderr
    assert all(file.stat().st_size <= 1 << 20 for file in recorder.iterdir())
    for file in recorder.iterdir():
        read(file)
    run_plan(relaxed(pid, "yes"), before=machine.before, library=library)
    done = run_plan(relaxed(pid, "true"), before=machine.before, library=library)
    assert done.returncode == 125
    assert "/run/recordings is full" in done.stderr
    assert len(list(recorder.iterdir())) == 3


def test_several_at_once_keep_to_the_bound(
    machine: Machine, recorder: Path, unshared: Unshared, tmp_path: Path
) -> None:
    pid, library = unshared(), guardless(tmp_path)
    running = [begin(machine.before, relaxed(pid, "sleep", "3"), library) for _ in range(6)]
    codes = sorted(process.wait(30) for process in running)
    assert codes == [0, 0, 0, 125, 125, 125]
    assert len(list(recorder.iterdir())) == 3


@pytest.mark.parametrize("change", ["missing", "others"])
def test_without_the_directory_nothing_that_holds_more_is_run(
    machine: Machine, recorder: Path, unshared: Unshared, tmp_path: Path, change: str
) -> None:
    if change == "missing":
        recorder.rmdir()
    else:
        recorder.chmod(0o777)
    done = run_plan(relaxed(unshared(), "true"), before=machine.before, library=guardless(tmp_path))
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1


def test_the_command_has_no_descriptor_of_the_recording(unshared: Unshared, tmp_path: Path) -> None:
    done = run_plan(plan_for(unshared(), "ls", "-l", "/proc/self/fd", record=asks(tmp_path / "a.cast")))
    assert done.returncode == 0
    assert "a.cast" not in done.stdout
    assert str(tmp_path) not in done.stdout


def test_of_a_command_that_is_not_found_nothing_is_recorded(unshared: Unshared, tmp_path: Path) -> None:
    done = run_plan(plan_for(unshared(), "nonesuch", record=asks(tmp_path / "a.cast")))
    assert done.returncode == 127
    assert "cannot run nonesuch: no such program on the PATH" in done.stderr
    assert not (tmp_path / "a.cast").exists()


def test_a_kill_leaves_no_child(unshared: Unshared, tmp_path: Path) -> None:
    process = begin((), plan_for(unshared(), "sleep", "4713", record=asks(tmp_path / "a.cast")))
    wait_until(lambda: children(process.pid), "the command runs")
    process.kill()
    process.wait()
    read(tmp_path / "a.cast")
