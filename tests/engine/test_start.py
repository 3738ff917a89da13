"""The start of an ordinary entry: from the bundles, and nothing else of ours."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import TOP, Call, Run


@pytest.mark.parametrize(
    "words",
    [
        ["nsenter", "{}", "true"],
        ["--config", "{config}", "nsenter", "-u", "1000", "-w", "/tmp", "{}", "true"],
        ["nsenter", "--net-only", "{}", "true"],
        ["nsenter", "--cap-add", "NET_ADMIN", "{}", "true"],
    ],
    ids=["plain", "with docker's options", "net only", "cap add"],
)
def test_an_entry_reads_its_modules_from_the_bundles(
    words: list[str], engine: dict[str, str], run: Run, tmp_path: Path
) -> None:
    """A module that is opened by itself costs 0.1 ms; what typer, rich and the SDK cost is 60 ms and more."""
    name = run("--security-opt", "seccomp=unconfined")
    done, opened = opened_by([word.format(name, config=engine["DOCKER_CONFIG"]) for word in words], engine, tmp_path)
    assert done.returncode == 0, done.stderr
    assert opened == {"start", "enter", "watch", "plan"}


def test_so_does_an_entry_into_several(engine: dict[str, str], run: Run, tmp_path: Path) -> None:
    names = ",".join(run("--security-opt", "seccomp=unconfined") for _ in range(2))
    done, opened = opened_by(["nsenter", names, "true"], engine, tmp_path)
    assert done.returncode == 0, done.stderr
    assert opened == {"start", "enter", "watch", "plan", "many", "plan-many"}


def test_an_error_is_worded_by_what_was_read_before(engine: dict[str, str], run: Run, tmp_path: Path) -> None:
    """By then nobody has the power to read what only root's capabilities could."""
    name = run("--security-opt", "seccomp=unconfined")
    done, opened = opened_by(["nsenter", name, "strace"], engine, tmp_path)
    assert done.returncode == 127
    assert "cannot run strace: no such program on the PATH" in done.stderr
    assert f"hint: docker nsenter --tools host {name} strace" in done.stderr
    assert opened == {"start", "enter", "watch", "plan"}


def opened_by(
    words: list[str], engine: dict[str, str], place: Path
) -> tuple["subprocess.CompletedProcess[str]", set[str]]:
    """Run a line; return how it ended, and the names of the files of code that it opened."""
    plugin, trace = f"{engine['DOCKER_CONFIG']}/cli-plugins/docker-nsenter", place / "trace"
    command = ["strace", "-f", "-e", "trace=openat", "-o", str(trace), plugin, *words]
    done = subprocess.run(
        command, check=False, env=engine, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    opened = re.findall(r'"([^"]*\.(?:pyc?|bundle))"', trace.read_text())
    assert [path for path in opened if "site-packages" in path] == []
    return done, {path.rpartition("/")[2].partition(".")[0] for path in opened if "docker_nsenter" in path}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="scripts/floor.py knows the system calls of x86-64")
def test_what_the_bench_calls_the_floor_does_enter(engine: dict[str, str], run: Run, docker: Call) -> None:
    """A floor that left out a step would be too low."""
    words = [
        run(),
        "sh",
        "-c",
        "grep -E 'Cap|Seccomp|Uid|Groups' /proc/self/status; cat /proc/self/cgroup; ls -l /proc/1/ns",
    ]
    floor = [sys.executable, "-ISB", str(TOP / "scripts/floor.py"), "nsenter", *words]
    done = subprocess.run(floor, env=engine, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == docker("exec", *words).stdout
    assert "Seccomp:\t2" in done.stdout
