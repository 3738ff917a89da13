"""The line that --why offers is the one that was typed, with what lifts the refusal added."""

import shlex

import pytest
from docker_nsenter.cli import options
from docker_nsenter.cli.read import read_request
from docker_nsenter.enter.linux import argument_names
from docker_nsenter.enter.tracing import risk
from docker_nsenter.enter.tracing.refused import Refused
from docker_nsenter.errors import CliError


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("--why web ls", "docker nsenter --cap-add KILL web ls"),
        (
            "-u app --why --cap-add CHOWN web sh -c 'a b'",
            "docker nsenter -u app --cap-add CHOWN --cap-add KILL web sh -c 'a b'",
        ),
        ("--why --net-only web ip a", "docker nsenter --net-only --cap-add KILL web ip a"),
        ("--why -e 'A=it'\\''s' web env", "docker nsenter -e 'A=it'\\''s' --cap-add KILL web env"),
    ],
)
def test_the_options_are_added_before_the_container(monkeypatch: pytest.MonkeyPatch, typed: str, line: str) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    request = read_request(shlex.split(typed))
    assert request
    assert Refused("x()", 1, ["y"], ["--cap-add", "KILL"]).line(request.why) == line
    assert request.namespaces == options.request_of(shlex.split(line)[2:]).namespaces


def test_who_typed_sudo_is_offered_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "1000")
    request = read_request(["--why", "web", "ls"])
    assert request
    assert request.why == ["sudo", "docker", "nsenter", "", "web", "ls"]


def test_why_waits_for_the_command_so_that_detach_contradicts_it() -> None:
    with pytest.raises(CliError, match="--detach"):
        options.request_of(["--why", "-d", "web", "ls"])
    assert options.request_of(["web", "ls"]).why == []


def test_the_users_that_was_typed_gives_way_to_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    request = read_request(shlex.split("--why -u app:audio -w /tmp web touch /x"))
    assert request
    line = Refused("x()", 1, ["y"], ["--user", "0"]).line(request.why)
    assert line == "docker nsenter -w /tmp --user 0 web touch /x"


def test_a_limit_of_the_containers_is_raised_by_dockers_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    refused = Refused("fork()", 11, ["y"], [])
    refused.update = ["--pids-limit", "20"]
    again = ["sudo", "docker", "-H", "unix:///x", *options.request_of(["--why", "-T", "web", "make"]).why[1:]]
    assert refused.line(again) == "sudo docker -H unix:///x update --pids-limit 20 web"


ALL = {"cgroup", "ipc", "mnt", "net", "pid", "uts"}
# (options, the namespaces that are joined, whether the container has users of its own): what is given away
GIVEN = [
    (["--user", "0"], ALL, False, risk.HARMLESS),
    (["--user", "0"], {"net"}, False, risk.ROOT),
    (["--cap-add", "CHOWN"], ALL, False, risk.HARMLESS),
    (["--cap-add", "CHOWN"], {"net"}, False, risk.ROOT),
    (["--cap-add", "NET_RAW"], {"net"}, False, risk.HARMLESS),
    (["--cap-add", "NET_ADMIN"], {"net"}, False, risk.SURFACE),
    (["--cap-add", "NET_ADMIN"], ALL - {"net"}, False, risk.ROOT),
    (["--cap-add", "SYS_PTRACE"], ALL, False, risk.SURFACE),
    (["--cap-add", "SYS_PTRACE"], ALL - {"pid"}, False, risk.ROOT),
    (["--security-opt", "seccomp=unconfined"], ALL, False, risk.SURFACE),
    (["--security-opt", "seccomp=unconfined", "--cap-add", "SYS_ADMIN"], ALL, False, risk.ROOT),
    (["--security-opt", "seccomp=unconfined", "--cap-add", "SYS_ADMIN"], ALL, True, risk.SURFACE),
    (["--security-opt", "no-new-privileges=false"], ALL, False, risk.HARMLESS),
    (["--no-join-cgroup"], ALL, False, risk.ROOT),
    ([], ALL, False, risk.HARMLESS),
]


@pytest.mark.parametrize(("words", "joined", "own_users", "given"), GIVEN)
def test_a_remedy_says_what_it_gives_away(words: list[str], joined: set[str], own_users: bool, given: str) -> None:
    assert risk.of(words, joined, own_users=own_users) == given


@pytest.mark.parametrize(
    ("letter", "value", "shown"),
    [
        ("R", 16902, "PTRACE_SEIZE"),
        ("I", 0x8914, "SIOCSIFFLAGS"),
        ("I", 0xDEAD, "0xdead"),
        ("O", 0o101, "O_WRONLY|O_CREAT"),
        ("O", 0o4010000, "O_RDONLY|O_SYNC"),
        ("M", 0, "0x0"),
        ("M", 0x1021, "MS_RDONLY|MS_REMOUNT|MS_BIND"),
        ("C", 0x11, "SIGCHLD"),
        ("C", 0x10020000, "CLONE_NEWNS|CLONE_NEWUSER"),
        ("C", 0x80, "CLONE_NEWTIME"),
        ("T", 0x80003, "SOCK_RAW|SOCK_CLOEXEC"),
        ("F", 17, "AF_PACKET"),
        ("S", 0, "0"),
        ("m", 0o4755, "04755"),
        ("L", 7, "Max open files"),
    ],
)
def test_numbers_are_shown_by_their_names(letter: str, value: int, shown: str) -> None:
    assert argument_names.DECODED[letter](value) == shown
