"""What is decided: pure, without an engine."""

import json
import shlex
from typing import Any

import pytest
from docker_nsenter.cli import options
from docker_nsenter.engine.containers import Container, quote, read_container
from docker_nsenter.enter import jsonlite, jsonwrite
from docker_nsenter.enter.validate import validate
from docker_nsenter.errors import CliError
from docker_nsenter.planning.plan import make_plan
from hypothesis import given
from hypothesis import strategies as st


def container(**changes: Any) -> Container:
    """A running container."""
    found = Container()
    found.id, found.name, found.pid, found.hostname = "a" * 64, "web", 4242, "host"
    found.env, found.workdir, found.user = ["PATH=/bin", "A=1"], "/srv", "app"
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def plan(line: str, *, environ: dict[str, str] | None = None, tty: bool = False, **changes: Any) -> dict[str, Any]:
    """Plan a line."""
    request = options.request_of(shlex.split(line))
    made = make_plan(request, container(**changes), environ=environ or {"MINE": "1"}, stdin_tty=tty, stdout_tty=tty)
    assert validate(jsonlite.loads(jsonwrite.dumps(made))) == made
    return dict(made)


def test_an_ordinary_entry_takes_everything_from_the_container() -> None:
    made = plan("web ls")
    assert made["capabilities"] == {"base": "container", "add": 0, "drop": 0}
    assert (made["user"], made["directory"], made["cgroups"], made["limits"]) == ("app", "/srv", True, True)
    assert made["environment"]["set"][1:] == ["HOSTNAME=host", "PATH=/bin", "A=1"]


def test_net_alone_leaves_the_caller_as_he_is() -> None:
    made = plan("--net-only web ss")
    assert (made["user"], made["directory"], made["cgroups"], made["limits"]) == (None, None, False, False)
    assert made["environment"]["set"] == ["MINE=1"]
    assert made["mounts"] == ["sys"]
    assert made["capabilities"]["base"] == "container"


def test_pid_alone_takes_the_limits_and_not_the_user() -> None:
    made = plan("--pid web ps")
    assert (made["user"], made["cgroups"], made["limits"], made["mounts"]) == (None, True, True, ["proc"])


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("--privileged web", "capabilities", {"base": "caller", "add": 0, "drop": 0}),
        ("--cap-add cap_chown,KILL web", "capabilities", {"base": "container", "add": 33, "drop": 0}),
        ("--cap-drop ALL web", "capabilities", {"base": "container", "add": 0, "drop": (1 << 64) - 1}),
        ("--security-opt seccomp=unconfined web", "seccomp", "unconfined"),
        ("--security-opt apparmor:unconfined web", "apparmor", "unconfined"),
        ("--security-opt label=disable web", "selinux", ""),
        ("--security-opt no-new-privileges web", "no_new_privs", True),
        ("--no-join-cgroup web", "cgroups", False),
        ("-w sub web", "directory", "/srv/sub"),
        ("-T web", "tty", False),
    ],
)
def test_an_option_changes_its_field(line: str, field: str, value: object) -> None:
    assert plan(line, tty=True)[field] == value


@pytest.mark.parametrize(
    ("changes", "seccomp"),
    [
        ({}, "container"),
        ({"security_opt": ["seccomp=unconfined"]}, "none"),
        ({"privileged": True}, "none"),
        ({"privileged": True, "security_opt": ["seccomp={}"]}, "container"),
    ],
)
def test_what_the_container_was_started_with_decides_the_filter(changes: dict[str, Any], seccomp: str) -> None:
    assert plan("web", **changes)["seccomp"] == seccomp


@pytest.mark.parametrize(
    "line",
    [
        "--cap-add BOGUS web",
        "--security-opt seccomp=profile.json web",
        "--security-opt bogus web",
        "-e =x web",
        "--env-file /no/such web",
    ],
)
def test_what_cannot_be_is_refused(line: str) -> None:
    with pytest.raises(CliError):
        plan(line)


def test_dockers_own_variables_stay_out() -> None:
    environ = {
        "MINE": "1",
        "DOCKER_CLI_PLUGIN_SOCKET": "@x",
        "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": "docker",
        "OTEL_RESOURCE_ATTRIBUTES": "a=b,docker.cli.cobra.command_path=docker%20nsenter",
    }
    assert plan("--net-only web ss", environ=environ)["environment"]["set"] == [
        "MINE=1",
        "OTEL_RESOURCE_ATTRIBUTES=a=b",
    ]


@pytest.mark.parametrize(
    "reply", [None, [], {}, {"State": 1}, {"Id": "x", "Name": "y", "State": {"Pid": "z"}}, "text", 3]
)
def test_a_reply_that_is_not_what_it_should_be_is_refused(reply: object) -> None:
    with pytest.raises(CliError, match="does not describe a container"):
        read_container(reply)


@given(st.text(min_size=1))
def test_a_quoted_name_is_one_harmless_word(name: str) -> None:
    try:
        quoted = quote(name)
    except UnicodeEncodeError:
        return
    assert set(quoted) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-%")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), 1 << 64) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_json_is_written_and_read_as_json_does(value: object) -> None:
    assert (
        json.loads(jsonwrite.dumps(value))
        == value
        == jsonlite.loads(jsonwrite.dumps(value))
        == jsonlite.loads(json.dumps(value).encode())
    )


@given(st.binary(max_size=40))
def test_rubbish_is_not_json(data: bytes) -> None:
    try:
        expected = json.loads(data.decode())
    except ValueError:
        with pytest.raises(ValueError, match=""):
            jsonlite.loads(data + b"\0")
        return
    if not isinstance(expected, float):
        assert jsonlite.loads(data) == expected
