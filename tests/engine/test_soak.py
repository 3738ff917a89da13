"""Entries with kills at random moments leave everything as it was: a short form of scripts/soak."""

from pathlib import Path

import pytest

from .. import jobs, soak, storm
from .remote import Remote


@pytest.mark.timeout(110)
def test_100_entries_with_kills_at_random_leave_nothing(
    engine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, engine[name])
    counts = soak.soak(100, 8, 4711)
    assert sum(counts.values()) == 100
    assert set(counts) >= {"nobody", "docker", "plugin", "command"}


@pytest.mark.timeout(110)
def test_containers_that_come_and_go_cost_no_list(engine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A short form of `scripts/soak lists`."""
    for name in ("DOCKER_HOST", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, engine[name])
    assert storm.storm(12, 4)[0] > 0


@pytest.mark.timeout(110)
def test_60_jobs_stopped_continued_and_hung_up_at_random_leave_each_terminal_as_it_was(
    engine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short form of `scripts/soak jobs`."""
    for name in ("DOCKER_HOST", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, engine[name])
    with Remote(engine, tmp_path) as remote:
        counts = jobs.jobs(60, 6, 4711, remote)
    assert sum(counts.values()) == 60
    assert {kind.partition(" in ")[0].replace(" ", "_") for kind in counts} == set(jobs.KINDS)
