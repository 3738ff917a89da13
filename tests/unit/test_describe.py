"""What --dry-run shows a person says what the Plan says."""

from typing import Any

import pytest
from docker_nsenter.cli import options
from docker_nsenter.formatting.preview import change_text, planned_rows, rows, sentence, show
from docker_nsenter.planning.explain import Circumstances, explanation

from .test_plan import container


def explained(*words: str) -> dict[str, Any]:
    """Explain a line for a container without a look at an engine or the kernel."""
    circumstances = Circumstances({"MINE": "1"}, stdin_tty=False, stdout_tty=False)
    request, box = options.request_of([*words]), container()
    return explanation(request, box, circumstances.plan(request, box), circumstances, None, None)


def test_without_facts_the_plans_own_words_are_shown() -> None:
    shown = rows(explained("--cap-add", "KILL", "--cap-drop", "ALL", "web", "ls", "-l"))
    planned = planned_rows(explained("--cap-add", "KILL", "--cap-drop", "ALL", "web")["plan"])
    assert planned["capabilities"] == "the container's, plus KILL, without ALL"
    assert (planned["user"], shown["command"], shown["terminal"]) == ("app", "ls -l", "none")
    assert shown["nearest nsenter"] == "nsenter -t 4242 -a --wdns=/srv -- ls -l"


def test_what_is_mounted_afresh_is_said() -> None:
    assert rows(explained("--net-only", "web", "ss"))["mounted anew"] == "/sys"


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
    show(explained("web", "[bold]x[/bold]"), verbose=False)
    said = capsys.readouterr().out
    assert "[bold]x[/bold]" in said
    assert "Nothing was run." in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ((), "as docker exec"),
        (("--cap-add", "SYS_PTRACE"), "as docker exec, plus SYS_PTRACE"),
        (
            ("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            "as docker exec, minus ALL and plus no_new_privs",
        ),
        (
            ("--net-only",),
            "as docker exec, but only in its net, without its cgroup limits, as yourself and in your directory",
        ),
        (("--no-pid",), "as docker exec, but not in its pid"),
        (("--no-join-cgroup",), "as docker exec, without its cgroup limits"),
    ],
)
def test_one_sentence_says_it_all(line: tuple[str, ...], said: str) -> None:
    found = explained(*line, "web")
    assert sentence(found, alike=True) == f"In {found['plan']['target']['name']}: {said}"


def test_only_rows_that_differ_are_shown_unless_all_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    found = explained("--cap-add", "KILL", "web")
    show(found, verbose=False)
    brief = capsys.readouterr().out
    show(found, verbose=True)
    assert "seccomp" in capsys.readouterr().out
    assert "plus KILL" in brief and "seccomp" not in brief and "docker exec" in brief


def test_at_60_columns_no_word_is_broken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    options = ("--security-opt", "seccomp=unconfined", "--cap-add", "DAC_READ_SEARCH", "--profile", "netadmin")
    found = explained(*options, "web", "ls", "--group-directories-first")
    show(found, verbose=True)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 60
    for word in ("seccomp=unconfined", "DAC_READ_SEARCH", "--group-directories-first", "NET_ADMIN"):
        assert word in said
