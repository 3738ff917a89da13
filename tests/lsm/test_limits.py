"""--why names a limit of the container's cgroup, which is version 2 on today's machines with a security module."""

import subprocess
from pathlib import Path

import pytest

from ..conftest import Call, Run
from ..engine.test_why import LIMITS, hint_of

V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
FILES = ("memory.max", "pids.max") if V2 else ("memory/memory.limit_in_bytes", "pids/pids.max")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("title", ["memory", "pids"])
def test_why_names_the_limit_that_ended_it_and_the_line_lifts_it(
    run: Run, nsenter: Call, engine: dict[str, str], title: str
) -> None:
    flags, _, command, said, lifting = LIMITS[title]
    name = run(*flags)
    done = nsenter("--why", name, *command, timeout=200)
    assert done.returncode != 0
    assert said in done.stderr
    hint = hint_of(done.stderr)
    assert lifting in hint
    subprocess.run(hint, shell=True, check=True, env=engine, timeout=200)
    assert nsenter(name, *command, timeout=200).returncode == 0


@pytest.mark.timeout(600)
def test_a_command_that_is_ended_for_its_memory_was_in_the_containers_cgroup(run: Run, nsenter: Call) -> None:
    """Its limit stands there; another process of the container that the kernel chose would be no news of ours."""
    name = run("-m", "16m", "--pids-limit", "77")
    found = [nsenter(name, "cat", f"/sys/fs/cgroup/{file}").stdout.strip() for file in FILES]
    assert found == [str(16 << 20), "77"]
