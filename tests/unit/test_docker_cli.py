"""The words before `nsenter` as pflag reads them, and docker's choice of the engine."""

import base64
import json
from hashlib import sha256
from pathlib import Path

import pytest
from docker_nsenter.engine import endpoints
from docker_nsenter.errors import CliError
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("line", "expected", "command", "rest"),
    [
        (["nsenter", "web"], {}, "nsenter", ["web"]),
        (["--context", "nsenter", "nsenter", "web"], {"context": "nsenter"}, "nsenter", ["web"]),
        (["--config=/x", "nsenter", "-D"], {"config": "/x"}, "nsenter", ["-D"]),
        (["-c", "v", "nsenter"], {"context": "v"}, "nsenter", []),
        (["-cv", "nsenter"], {"context": "v"}, "nsenter", []),
        (["-c=v", "nsenter"], {"context": "v"}, "nsenter", []),
        (["-c=", "nsenter"], {"context": "="}, "nsenter", []),
        (["-Dc", "v", "nsenter"], {"context": "v", "debug": True}, "nsenter", []),
        (["-Dcv", "nsenter"], {"context": "v", "debug": True}, "nsenter", []),
        (["-D=false", "nsenter"], {"debug": False}, "nsenter", []),
        (["--debug=T", "nsenter"], {"debug": True}, "nsenter", []),
        (["--debug", "true", "nsenter"], {"debug": True}, "true", ["nsenter"]),
        (["-H", "", "nsenter"], {"host": "", "host_given": True}, "nsenter", []),
        (["--tlscacert", '"/a b"', "nsenter"], {"tlscacert": "/a b"}, "nsenter", []),
        (["--tlsverify=0", "nsenter"], {"tlsverify": False}, "nsenter", []),
        (["--", "nsenter", "web"], {}, "nsenter", ["web"]),
        (["-D", "help", "nsenter", "x"], {"debug": True}, "help", ["x"]),
        (["--help", "nsenter"], {"help": True}, "nsenter", []),
        ([], {}, "", []),
    ],
)
def test_dockers_words_are_split_as_pflag_does(
    line: list[str], expected: dict[str, object], command: str, rest: list[str]
) -> None:
    options, word, words = endpoints.split(line)
    assert (word, words) == (command, rest)
    for name, value in expected.items():
        assert getattr(options, name) == value


@pytest.mark.parametrize("line", [["--bogus"], ["-x"], ["--debug=maybe"], ["-c"], ["-H", "a", "-H", "b"]])
def test_what_docker_would_refuse_is_refused(line: list[str]) -> None:
    with pytest.raises(CliError):
        endpoints.split(line)


@given(st.lists(st.text(max_size=8), max_size=6))
def test_no_line_breaks_the_splitter(line: list[str]) -> None:
    try:
        endpoints.split(line)
    except CliError as problem:
        assert problem.status == 125


def choose(line: list[str], environ: dict[str, str]) -> endpoints.Endpoint:
    """Resolve the endpoint of a line."""
    return endpoints.endpoint(endpoints.split([*line, "nsenter"])[0], environ)


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """A docker configuration with two contexts, one of them current."""
    for name, endpoint in {
        "one": {"Host": "unix:///one.sock"},
        "two": {"Host": "tcp://two:1", "SkipTLSVerify": True},
    }.items():
        place = tmp_path / "contexts/meta" / sha256(name.encode()).hexdigest()
        place.mkdir(parents=True)
        (place / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": endpoint}}))
    (tmp_path / "config.json").write_text('{"currentContext": "one"}')
    return {"DOCKER_CONFIG": str(tmp_path), "HOME": "/nonexistent"}


@pytest.mark.parametrize(
    ("line", "environ", "host"),
    [
        ([], {}, "unix:///one.sock"),
        (["-c", "two"], {}, "tcp://two:1"),
        ([], {"DOCKER_CONTEXT": "two"}, "tcp://two:1"),
        ([], {"DOCKER_CONTEXT": "two", "DOCKER_HOST": "unix:///h"}, "unix:///h"),
        (["-c", "two"], {"DOCKER_HOST": "unix:///h"}, "tcp://two:1"),
        (["-H", "unix:///o"], {"DOCKER_CONTEXT": "two", "DOCKER_HOST": "unix:///h"}, "unix:///o"),
        (["-H", ""], {"DOCKER_HOST": "unix:///h"}, "unix:///var/run/docker.sock"),
        (["-c", ""], {"DOCKER_HOST": " unix:///h "}, "unix:///h"),
        (["-c", "default"], {}, "unix:///var/run/docker.sock"),
        (["-H", "example"], {}, "tcp://example:2375"),
        (["-H", "tcp://example"], {}, "tcp://example:2375"),
        (["-H", "unix://"], {}, "unix:///var/run/docker.sock"),
        (["-c", "default", "--tls"], {}, "tcp://localhost:2376"),
    ],
)
def test_the_engine_is_the_one_that_docker_takes(
    home: dict[str, str], line: list[str], environ: dict[str, str], host: str
) -> None:
    assert choose(line, {**home, **environ}).host == host


def test_an_unknown_context_is_an_error_and_not_the_local_engine(home: dict[str, str]) -> None:
    with pytest.raises(CliError, match='context "three" does not exist'):
        choose(["-c", "three"], home)


def test_a_context_can_turn_verification_off(home: dict[str, str]) -> None:
    assert choose(["-c", "two"], home).tls == {"ca": "", "cert": "", "key": "", "verify": False}


def test_a_malformed_config_is_as_good_as_none(home: dict[str, str]) -> None:
    Path(home["DOCKER_CONFIG"], "config.json").write_text("{broken")
    assert choose([], home).host == "unix:///var/run/docker.sock"


def test_the_sdk_takes_passwords_from_the_configuration_that_docker_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads them when a client is made: at the look-up already, where the engine is another machine's."""
    from docker import auth
    from docker_nsenter.engine import sdk

    monkeypatch.setenv("DOCKER_CONFIG", "/nowhere")
    login = base64.b64encode(b"me:right").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"registry.test": {"auth": login}}}))
    options, _, _ = endpoints.split(["--config", str(tmp_path), "-H", "tcp://127.0.0.1:1", "nsenter"])
    client = sdk.client(endpoints.endpoint(options, {"DOCKER_API_VERSION": "1.41"}), 10)
    found = json.loads(base64.urlsafe_b64decode(auth.get_config_header(client, "registry.test")))
    assert (found["username"], found["password"]) == ("me", "right")
