"""The plain parser reads a line as typer does, or leaves it to typer."""

import shlex
from typing import Any

import pytest
from docker_nsenter.cli import generate, grammar, options
from docker_nsenter.cli.request import NAMESPACES, Request, parse
from docker_nsenter.errors import CliError
from hypothesis import given, settings
from hypothesis import strategies as st

OPTIONS = [*grammar.FLAGS, *grammar.VALUES]
PLAIN = [
    "web",
    "web ls -l",
    "web -- ls -l",
    "-it web sh",
    "-u app web id",
    "--user=app -w /tmp -e A=b -e C web",
    "--net-only web ss -tlnp",
    "--cap-add SYS_PTRACE --cap-add NET_ADMIN web strace -p 1",
    "--privileged web",
    "--no-net --no-pid web sh -c 'exit 3'",
    "--dry-run --format json web",
    "pid:1234 ps",
]
words = st.one_of(
    st.sampled_from(OPTIONS),
    st.sampled_from(OPTIONS).map(lambda word: f"{word}=value"),
    st.sampled_from(
        [
            "web",
            "--",
            "-",
            "-it",
            "-dt",
            "-tx",
            "-uapp",
            "--net=1",
            "--use",
            "",
            "a=b",
            "app",
            "--help",
            "-e",
            "host",
            "123",
            "/x",
            "type=a",
        ]
    ),
    st.text(max_size=5),
)


def typers(line: list[str]) -> tuple[dict[str, Any], str, list[str]] | None:
    """Read a line by typer; None for a usage error or help."""
    try:
        return options.read(line)
    except (CliError, options.HelpWanted):
        return None


@settings(max_examples=600, deadline=None)
@given(st.lists(words, max_size=6))
def test_what_the_plain_parser_takes_typer_reads_the_same(line: list[str]) -> None:
    plain = parse(line)
    assert plain is None or plain == typers(line)


@pytest.mark.parametrize("line", PLAIN)
def test_ordinary_lines_need_no_typer(line: str) -> None:
    split = shlex.split(line)
    assert parse(split) == typers(split)
    assert parse(split) is not None


@pytest.mark.parametrize("line", ["", "--", "-u", "--bogus web", "-u -x web", "--net=1 web", "--user"])
def test_odd_lines_are_left_to_typer(line: str) -> None:
    assert parse(shlex.split(line)) is None


def test_the_table_is_what_the_app_generates() -> None:
    with open(grammar.__file__) as file:
        assert file.read() == generate.grammar()


def test_a_double_dash_behind_the_container_is_dropped_once() -> None:
    assert read("web -- ls -- -l").command == ["ls", "--", "-l"]
    assert read("web ls --").command == ["ls", "--"]


def read(line: str) -> Request:
    """Read a line into a Request."""
    return options.request_of(shlex.split(line))


@pytest.mark.parametrize("row", NAMESPACES)
def test_every_namespace_has_its_three_flags_and_aliases(row: tuple[str, tuple[str, ...], str]) -> None:
    word, aliases, name = row
    for each in (word, *aliases):
        assert read(f"--{each} web").namespaces == (name,)
        assert read(f"--{each}-only web").namespaces == (name,)
        assert name not in read(f"--no-{each} web").namespaces
        assert len(read(f"--no-{each} web").namespaces) == len(NAMESPACES) - 1


@pytest.mark.parametrize("line", ["host ls", "123 ls", "-it 123 ls"])
def test_a_container_may_be_called_host_or_by_digits(line: str) -> None:
    assert read(line).container in ("host", "123")


def test_a_value_may_begin_with_a_dash_when_it_is_joined() -> None:
    assert read("--env=-x web").env == ["-x"]
