"""A frozen process never hangs an entry: it is entered as it is, or refused at once."""

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..weaken import weakened
from .conftest import plan_for, run_plan, wait_until
from .test_seccomp import DONOR

# The freezers that this machine has, v1 and v2, each on its own cgroup root
ROOTS = {
    kind: Path(line.split()[4])
    for line in Path("/proc/self/mountinfo").read_text().splitlines()
    for kind in ("freezer", "cgroup2")
    if kind in line.partition(" - ")[2].replace(",", " ").split()
}
HURRY = ("enter/session/run.py", "START_TIMEOUT = 30.0", "START_TIMEOUT = 1.0")


class Frozen:
    """A process under a filter in a frozen cgroup of its own."""

    def __init__(self, kind: str) -> None:
        self.place = ROOTS[kind] / f"nsenter-test-{uuid.uuid4().hex[:8]}"
        self.place.mkdir()
        donor = DONOR.format(count=1, sleep="import time; time.sleep(1000)")
        self.process = subprocess.Popen([sys.executable, "-c", donor], stdout=subprocess.PIPE)
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n"
        self.pid = self.process.pid
        (self.place / "cgroup.procs").write_text(str(self.pid))
        self.file = self.place / ("freezer.state" if kind == "freezer" else "cgroup.freeze")
        self.file.write_text("FROZEN" if kind == "freezer" else "1")
        events = self.place / "cgroup.events"
        wait_until(lambda: kind == "freezer" or "frozen 1" in events.read_text(), "it is frozen")

    def thaw(self) -> None:
        """Let it run on."""
        self.file.write_text("THAWED" if self.file.name == "freezer.state" else "0")

    def end(self) -> None:
        """Take everything away."""
        self.thaw()
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not (self.place / "cgroup.procs").read_text(), "all have ended")
        self.place.rmdir()


@pytest.fixture(params=ROOTS)
def frozen(request: pytest.FixtureRequest) -> Iterator[Frozen]:
    """Freeze a process."""
    process = Frozen(request.param)
    yield process
    process.end()


@pytest.mark.timeout(30)
def test_a_frozen_process_is_looked_into_with_its_own_filter_or_not_at_all(frozen: Frozen) -> None:
    """A v2 freezer lets a tracer stop what it holds, one of v1 never; both are told at once."""
    began = time.monotonic()
    done = run_plan(plan_for(frozen.pid, "cat", "/proc/self/status", cgroups=False))
    assert time.monotonic() - began < 5
    if frozen.file.name == "freezer.state":
        assert done.returncode == 125
        assert "its seccomp filter can only be copied while it runs" in done.stderr
        assert "hint: docker nsenter --security-opt seccomp=unconfined pid:" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert "Seccomp:\t2" in done.stdout
    done = run_plan(plan_for(frozen.pid, "cat", "/proc/self/status", cgroups=False, seccomp="unconfined"))
    assert done.returncode == 0, done.stderr
    assert "Seccomp:\t0" in done.stdout


@pytest.mark.timeout(30)
def test_a_command_that_freezes_before_it_executes_does_not_hang_us(frozen: Frozen, tmp_path: Path) -> None:
    """docker pause between our look and the join: even SIGKILL waits for the thaw, so we must not."""
    blind = ("enter/steps.py", "if wanted and entry.cgroups.frozen():", "if False:")
    marker = tmp_path / "marker"
    plan = plan_for(frozen.pid, "touch", str(marker), seccomp="unconfined")
    done = run_plan(plan, library=weakened(tmp_path, HURRY, blind))
    assert done.returncode == 125
    assert "is the container frozen" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    frozen.thaw()
    members = frozen.place / "cgroup.procs"
    wait_until(lambda: members.read_text().split() == [str(frozen.pid)], "what was left frozen dies at the thaw")
    assert not marker.exists()
