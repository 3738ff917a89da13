"""A hint is the line that was typed, whole, with its change: it reads back as the request that it describes."""

import os
import shlex
import subprocess
from typing import Any

import pytest
from docker_nsenter import errors
from docker_nsenter.cli.grammar import FLAGS, VALUES
from docker_nsenter.cli.read import read_request
from docker_nsenter.cli.request import Request
from docker_nsenter.engine import endpoints
from docker_nsenter.enter import hints
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RELAXING = {parameter for word, (parameter, _) in {**FLAGS, **VALUES}.items() if word in hints.RELAXED}
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
NAMES = st.sampled_from(["web", "shop/web", "pid:7", "a b", "it's"])
OWN = st.sampled_from(
    [[], ["--context", "prod"], ["-H", "tcp://a:1"], ["--context", "nsenter", "-D"], ["--host=ssh://x"]]
)
# One spelling of one option with its value; by docker's grammar and ours
VALUED = st.one_of(
    st.sampled_from([["-u", "web"], ["--user=web"], ["-u", "0:0"], ["-w", "/a b"], ["--workdir=/x"], ["-e", "A=it's"]]),
    st.sampled_from(
        [["--cap-add", "KILL,CHOWN"], ["--cap-drop=ALL"], ["--tools", "host"], ["--security-opt", "label=disable"]]
    ),
    st.builds(lambda word: ["--env", f"A={word}"], WORDS),
    st.builds(lambda word: [f"--shell=/{word}"], WORDS),
)
PLAIN = st.sampled_from(
    [
        ["-it"],
        ["-i"],
        ["-T"],
        ["-d"],
        ["-id"],
        ["--privileged"],
        ["--no-join-cgroup"],
        ["--no-net"],
        ["--no-pid"],
        ["--dry-run"],
    ]
)
OPTIONS = st.lists(st.one_of(VALUED, PLAIN), max_size=5).map(lambda rows: [word for row in rows for word in row])
COMMANDS = st.one_of(
    st.just([]),
    st.lists(WORDS, max_size=3).map(lambda rest: ["ls", *rest]),
    st.just(["--", "-x"]),
    st.just(["web", "web"]),
)
SAID = [
    "namespaces",
    "privileged",
    "cap_add",
    "cap_drop",
    "security_opt",
    "join_cgroup",
    "user",
    "workdir",
    "shell",
    "tools",
    "env",
    "tty",
    "detach",
]


def asked(request: Request) -> dict[str, Any]:
    """Take what a request says."""
    return {name: getattr(request, name) for name in (*SAID, "container", "command", "interactive", "dry_run")}


def read(words: list[str], own: "list[str] | None" = None) -> dict[str, Any]:
    """Read a line as the product does."""
    request = read_request(words, own or [])
    assert request
    return asked(request)


def pasted(line: str) -> list[str]:
    """Have a shell read a line."""
    if "$'" not in line:
        return shlex.split(line)
    script = f"printf '%s\\0' {line}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


def behind(line: str, own: list[str]) -> list[str]:
    """Take what stands behind docker's own words, which are those that were typed."""
    words = pasted(line)
    found, command, rest = endpoints.split(words[1:])
    assert words[0] == "docker"
    assert command == "nsenter"
    assert found.words == own
    return rest


# what is changed, and what that does to what was asked for
CHANGES: "list[tuple[hints.Change, dict[str, Any]]]" = [
    ({"add": ["--tools", "host"]}, {"tools": "host"}),
    ({"container": "db/web"}, {"container": "db/web"}),
    ({"without": ["-w", "--workdir"], "add": ["-w", "/"]}, {"workdir": "/"}),
    ({"without": ["-d", "--detach"]}, {"detach": False}),
    ({"without": ["-u", "--user"]}, {"user": None}),
    ({"without": ["-t", "--tty"], "add": ["-T"]}, {"tty": False}),
    ({"command": ["ls", "-l"]}, {"command": ["ls", "-l"]}),
    ({"swap": (["-u", "--user"], "web", "app")}, {"user": {"web": "app"}}),
    ({"swap": (["--cap-add"], "CHOWN", "SYS_PTRACE")}, {"cap_add": {"CHOWN": "SYS_PTRACE"}}),
    ({}, {}),
]


@pytest.mark.parametrize(("change", "says"), CHANGES)
@given(OWN, OPTIONS, NAMES, COMMANDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
def test_a_hint_reads_back_as_the_request_that_it_describes(
    change: "hints.Change", says: dict[str, Any], own: list[str], options: list[str], name: str, command: list[str]
) -> None:
    before = read([*options, name, *command], own)
    line = errors.again(**change)
    wanted = {**before}
    for key, value in says.items():
        if isinstance(value, dict):
            old = before[key]
            wanted[key] = [value.get(each, each) for each in old] if isinstance(old, list) else value.get(old, old)
        else:
            wanted[key] = value
    assert line.isprintable()
    assert read(behind(line, own), own) == wanted


@given(OWN, OPTIONS, NAMES, COMMANDS)
@settings(max_examples=60, deadline=None)
def test_the_safe_line_is_a_full_entry_with_nothing_lifted(
    own: list[str], options: list[str], name: str, command: list[str]
) -> None:
    before = read([*options, name, *command], own)
    after = read(behind(errors.again(without=[*hints.PARTIAL, *hints.RELAXED]), own), own)
    full = read([name])
    assert {"privileged", "security_opt", "cap_add", "join_cgroup"} <= RELAXING
    for key in before:
        assert after[key] == (full[key] if key in (*RELAXING, "namespaces") else before[key]), key


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_line_to_paste_is_read_back_by_a_shell_and_harmless_to_a_terminal(words: list[str]) -> None:
    line = hints.shell_line(words)
    assert line.isprintable()
    assert pasted(line) == words


@pytest.mark.parametrize(
    ("own", "typed", "line"),
    [
        ([], "web", "docker exec -i web sh"),
        (["--context", "prod"], "-u 0 --cap-add KILL web id -u", "docker --context prod exec -i -u 0 web id -u"),
        ([], "-it --tools host -w /tmp web -- ls", "docker exec -it -w /tmp web ls"),
        ([], "-idT --user=app web ls", "docker exec -id --user=app web ls"),
    ],
)
def test_docker_exec_is_offered_with_what_it_has(own: list[str], typed: str, line: str) -> None:
    read(shlex.split(typed), own)
    assert errors.again(exec=True) == line


def test_another_command_of_docker_s_goes_to_the_same_engine() -> None:
    read(["-u", "app", "web"], ["-H", "tcp://a:1"])
    assert errors.again(docker=["start", "it's"]) == "docker -H tcp://a:1 start 'it'\\''s'"


def test_a_line_that_is_too_long_to_read_is_no_hint() -> None:
    read(["web", "sh", "-c", "x" * 4000])
    assert errors.again(add=["--tools", "host"]) == ""


def test_the_options_that_take_a_value_are_those_of_the_grammar() -> None:
    assert set(VALUES) == hints.VALUES
    assert set(hints.PARTIAL) >= {word for word in FLAGS if FLAGS[word][0].rpartition("_")[2] == "only"}
    assert set(hints.RELAXED) <= {*FLAGS, *VALUES}
    assert set(hints.EXECS) <= {*FLAGS, *VALUES}


@pytest.mark.parametrize("word", ["\ud800", "a\udfff\udc80"])
def test_half_of_a_character_is_quoted_all_the_same(word: str) -> None:
    """An engine may send it in JSON."""
    assert hints.shell_line([word]).startswith("$'")
