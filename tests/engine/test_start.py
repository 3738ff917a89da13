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
    plugin = f"{engine['DOCKER_CONFIG']}/cli-plugins/docker-nsenter"
    line = [word.format(name, config=engine["DOCKER_CONFIG"]) for word in words]
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=openat", "-o", str(trace), plugin, *line]
    subprocess.run(command, env=engine, check=True, stdin=subprocess.DEVNULL, timeout=60)
    opened = re.findall(r'"([^"]*\.(?:pyc?|bundle))"', trace.read_text())
    names = {path.rpartition("/")[2].partition(".")[0] for path in opened if "docker_nsenter" in path}
    assert names == {"start", "enter", "watch", "plan"}
    assert [path for path in opened if "site-packages" in path] == []


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
