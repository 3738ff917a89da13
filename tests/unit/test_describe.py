"""What --dry-run shows a person says what the Plan says."""

from typing import Any

import pytest
from docker_nsenter.cli import options
from docker_nsenter.formatting.tables import change_text, rows, show_explanation
from docker_nsenter.planning.explain import Circumstances, explanation

from .test_plan import container


def explained(*words: str) -> dict[str, Any]:
    """Explain a line for a container without a look at an engine or the kernel."""
    circumstances = Circumstances({"MINE": "1"}, stdin_tty=False, stdout_tty=False)
    request, box = options.request_of([*words]), container()
    return explanation(request, box, circumstances.plan(request, box), circumstances, None, None)


def test_without_facts_the_plans_own_words_are_shown() -> None:
    shown = rows(explained("--cap-add", "KILL", "--cap-drop", "ALL", "web", "ls", "-l"))
    assert shown["capabilities"] == "the container's, plus KILL, without ALL"
    assert (shown["user"], shown["command"], shown["terminal"]) == ("app", "ls -l", "none")
    assert shown["nearest nsenter"] == "nsenter -t 4242 -a --wdns=/srv -- ls -l"


def test_what_is_mounted_afresh_is_said() -> None:
    assert rows(explained("--net-only", "web", "ss"))["mounted afresh"] == "/sys"


@pytest.mark.parametrize(
    ("line", "option", "text"),
    [
        (("--cap-add", "KILL"), "--cap-add KILL", "capabilities: the container's, plus KILL"),
        (("-u", "0"), "--user 0", "user: 0, not app"),
        (("--no-join-cgroup",), "--no-join-cgroup", "cgroups: no, not yes"),
        (("--no-net",), "--no-net", "namespaces: -net"),
        (("-w", "/srv"), "--workdir /srv", "changes nothing here"),
        (("--security-opt", "no-new-privileges"), "--security-opt no-new-privileges", "no_new_privs: yes, not no"),
        (("-e", "B=2"), "--env B=2", "environment: B=2"),
    ],
)
def test_each_option_says_what_it_changed(line: tuple[str, ...], option: str, text: str) -> None:
    assert rows(explained(*line, "web"))[option] == text


def test_an_option_that_changes_nothing_says_so() -> None:
    assert change_text({}) == "changes nothing here"


def test_markup_in_a_command_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show_explanation(explained("web", "[bold]x[/bold]"))
    said = capsys.readouterr().out
    assert "[bold]x[/bold]" in said
    assert "nothing was entered" in said
