"""Entries with kills at random moments leave everything as it was: a short form of scripts/soak."""

import pytest

from .. import soak, storm


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
