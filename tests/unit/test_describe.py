"""What --dry-run shows a person says what the Plan says."""

from typing import TYPE_CHECKING

import pytest
from docker_nsenter import cli
from docker_nsenter.describe import rows, show
from docker_nsenter.engine import Container
from docker_nsenter.plan import make_plan

if TYPE_CHECKING:
    from docker_nsenter.enter.accept import Plan


def plan(*words: str) -> "Plan":
    """Plan a line for a container without a look at an engine."""
    found = Container()
    found.id, found.name, found.pid, found.hostname, found.user = "a" * 64, "web", 4242, "host", "app"
    return make_plan(cli.request_of([*words]), found, environ={}, stdin_tty=False, stdout_tty=False)


def test_without_facts_the_plans_own_words_are_shown() -> None:
    shown = rows(plan("--cap-add", "KILL", "--cap-drop", "ALL", "web", "ls", "-l"), None)
    assert shown["capabilities"] == "the container's, plus KILL, without ALL"
    assert (shown["user"], shown["command"], shown["terminal"]) == ("app", "ls -l", "none")


def test_the_kernels_facts_are_shown_where_they_are_known() -> None:
    assert rows(plan("web"), {"seccomp": "2 filters", "cgroup": ""})["seccomp"] == "2 filters"
    assert "cgroup" not in rows(plan("web"), {"cgroup": ""})


def test_what_is_mounted_afresh_is_said() -> None:
    assert rows(plan("--net-only", "web", "ss"), None)["mounted afresh"] == "/sys"


def test_markup_in_a_command_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show(plan("web", "[bold]x[/bold]"), None)
    said = capsys.readouterr().out
    assert "[bold]x[/bold]" in said
    assert "nothing was entered" in said
