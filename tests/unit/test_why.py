"""The line that --why offers is the one that was typed, with what lifts the refusal added."""

import shlex

import pytest
from docker_nsenter.cli import options
from docker_nsenter.enter.tracing.why import Refused
from docker_nsenter.errors import Problem


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("--why web ls", "docker nsenter --cap-add KILL web ls"),
        (
            "-u app --why --cap-add CHOWN web sh -c 'a b'",
            "docker nsenter --cap-add CHOWN --user app --cap-add KILL web sh -c 'a b'",
        ),
        ("--why --net-only web ip a", "docker nsenter --net-only --cap-add KILL web ip a"),
        ("--why -e 'A=it'\\''s' web env", "docker nsenter --env 'A=it'\\''s' --cap-add KILL web env"),
    ],
)
def test_the_options_are_added_before_the_container(monkeypatch: pytest.MonkeyPatch, typed: str, line: str) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    request = options.request_of(shlex.split(typed))
    assert Refused("x()", 1, ["y"], ["--cap-add", "KILL"]).line(request.why) == line
    assert request.namespaces == options.request_of(shlex.split(line)[2:]).namespaces


def test_who_typed_sudo_is_offered_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "1000")
    assert options.request_of(["--why", "web", "ls"]).why == ["sudo", "docker", "nsenter", "", "web", "ls"]


def test_why_waits_for_the_command_so_that_detach_contradicts_it() -> None:
    with pytest.raises(Problem, match="--detach"):
        options.request_of(["--why", "-d", "web", "ls"])
    assert options.request_of(["web", "ls"]).why == []
