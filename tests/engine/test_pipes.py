"""The caller's pipes and files stay his: nothing can be put in or taken out but what the command reads and writes."""

import os
import subprocess
from pathlib import Path

import pytest

from ..conftest import Call, Run

LOOP = 'while read -r word; do echo "host reads $word"; {}; done'


def shell(engine: dict[str, str], script: str) -> str:
    """Run a line of a host's shell and return what it printed."""
    done = subprocess.run(["sh", "-c", script], env=engine, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


def test_the_command_cannot_write_what_the_callers_shell_reads_next(run: Run, engine: dict[str, str]) -> None:
    web = run()
    attack = f"test $word = one && docker nsenter {web} sh -c 'echo rm -rf / >/proc/self/fd/0; echo x >&0'"
    said = shell(engine, f"(echo one; sleep 1; echo two) | {LOOP.format(attack)}")
    assert said.splitlines() == ["host reads one", "host reads two"]


def test_the_command_cannot_read_what_the_callers_other_commands_wrote(run: Run, engine: dict[str, str]) -> None:
    web = run()
    attack = f"docker nsenter {web} timeout 1 sh -c 'read -r x <&1 || read -r x </proc/self/fd/1; echo stole $x'"
    said = shell(engine, f"(echo secret; {attack}) | (sleep 2; cat)")
    assert "secret\n" in said
    assert "stole secret" not in said


@pytest.mark.parametrize("redirect", ["cat {list} |", "{loop} <{list}"])
def test_a_command_that_reads_nothing_leaves_a_loops_input_alone(
    run: Run, engine: dict[str, str], tmp_path: Path, redirect: str
) -> None:
    """As `docker exec` without -i; ssh and docker exec -i take all of it."""
    words = tmp_path / "list"
    words.write_text("".join(f"{number}\n" for number in range(5)))
    loop = LOOP.format(f"docker nsenter {run()} true")
    line = redirect.format(list=words, loop=loop) + ("" if "{loop}" in redirect else loop)
    assert len(shell(engine, line).splitlines()) == 5


def test_a_tty_less_command_reads_a_long_pipe_to_its_end(run: Run, nsenter: Call) -> None:
    text = os.urandom(3_000_001).hex()
    done = nsenter(run(), "sh", "-c", "md5sum; echo end", input=text)
    expected = subprocess.run(["md5sum"], input=text, capture_output=True, text=True, check=True).stdout
    assert done.stdout == f"{expected}end\n"


def test_bytes_come_through_untouched_both_ways(run: Run, nsenter: Call) -> None:
    data = bytes(range(256)) * 5000
    done = nsenter(run(), "cat", input=data, text=False)
    assert done.stdout == data  # type: ignore[comparison-overlap]


def test_output_into_a_file_of_the_kernels_kind_is_complete(run: Run, engine: dict[str, str], tmp_path: Path) -> None:
    web = run()
    target = tmp_path / "out"
    shell(engine, f"docker nsenter {web} seq 100000 >>{target}; docker nsenter {web} cat </proc/version >>{target}")
    lines = target.read_text().splitlines()
    assert lines[:100000] == [str(number) for number in range(1, 100001)]
    assert lines[100000] == Path("/proc/version").read_text().strip()


def test_a_reader_that_comes_late_gets_everything(run: Run, engine: dict[str, str]) -> None:
    """The caller's pipe is full for a second: nothing is lost, and nothing spins."""
    said = shell(engine, f"docker nsenter {run()} seq 50000 | (sleep 1; tail -n1)")
    assert said == "50000\n"


def test_a_reader_that_goes_ends_the_command(run: Run, engine: dict[str, str]) -> None:
    assert shell(engine, f"docker nsenter {run()} yes | head -n1; echo ended") == "y\nended\n"


def test_a_command_that_closes_its_input_leaves_the_rest(run: Run, engine: dict[str, str]) -> None:
    said = shell(engine, f"seq 20 | (docker nsenter {run()} sh -c 'exec <&-; sleep 0.3; echo done'; wc -l)")
    assert said.split() == ["done", "20"]
