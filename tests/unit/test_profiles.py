"""--profile means what kubectl debug means by the name, and an explicit option wins."""

from typing import Any

import pytest
from docker_nsenter.cli import options
from docker_nsenter.cli.request import PROFILES as NAMES
from docker_nsenter.enter.linux.capabilities import ALL, NUMBERS
from docker_nsenter.errors import CliError
from docker_nsenter.planning import defaults
from docker_nsenter.planning.plan import make_plan
from docker_nsenter.planning.profiles import PROFILES, words

from .test_plan import container, plan


def bits(*names: str) -> int:
    """A set by names."""
    return sum(1 << NUMBERS[name] for name in names)


def test_the_names_are_those_of_the_command_line() -> None:
    assert tuple(PROFILES) == NAMES


@pytest.mark.parametrize(
    ("line", "capabilities"),
    [
        ("--profile general web", {"base": "container", "add": bits("SYS_PTRACE"), "drop": 0}),
        ("--profile baseline web", {"base": "container", "add": 0, "drop": ALL & ~defaults.CAPABILITIES}),
        ("--profile restricted web", {"base": "container", "add": 0, "drop": ALL}),
        ("--profile netadmin web", {"base": "container", "add": bits("NET_ADMIN", "NET_RAW"), "drop": 0}),
        ("--profile sysadmin web", {"base": "caller", "add": 0, "drop": 0}),
        ("--profile general --cap-drop SYS_PTRACE web", {"base": "container", "add": 0, "drop": bits("SYS_PTRACE")}),
        (
            "--profile restricted --cap-add KILL web",
            {"base": "container", "add": bits("KILL"), "drop": ALL & ~bits("KILL")},
        ),
        ("--profile sysadmin --drop-caps web", {"base": "container", "add": 0, "drop": 0}),
        ("--drop-caps --profile sysadmin web", {"base": "container", "add": 0, "drop": 0}),
    ],
)
def test_a_profile_changes_the_capabilities_and_an_option_beside_it_wins(
    line: str, capabilities: dict[str, Any]
) -> None:
    assert plan(line)["capabilities"] == capabilities


def test_restricted_is_never_root_and_gains_nothing() -> None:
    made = plan("--profile restricted web", user="")
    assert (made["user"], made["no_new_privs"], made["seccomp"]) == ("65534:65534", True, "container")
    assert plan("--profile restricted web", user="app")["user"] == "app"
    assert plan("--profile restricted -u 0 web", user="")["user"] == "0"
    assert plan("--profile restricted --net-only web ss", user="app")["user"] == "65534:65534"
    assert plan("--profile restricted --security-opt no-new-privileges=false web")["no_new_privs"] is False


def test_sysadmin_lifts_the_filter_and_the_label() -> None:
    made = plan("--profile sysadmin web", apparmor="docker-default", selinux="a:b:c:d")
    assert (made["seccomp"], made["apparmor"], made["selinux"]) == ("unconfined", "unconfined", "")
    assert plan("--profile sysadmin --security-opt no-new-privileges web")["no_new_privs"] is True


def test_an_unknown_profile_is_refused_with_the_names() -> None:
    with pytest.raises(CliError, match="general, baseline, restricted, netadmin or sysadmin"):
        options.request_of(["--profile", "legacy", "web"])


@pytest.mark.parametrize("name", NAMES)
def test_the_options_that_a_profile_stands_for_give_the_same_plan(name: str) -> None:
    box = container(user="", privileged=name == "baseline")
    given = words(options.request_of(["--profile", name, "web"]), box)
    tty = {"environ": {}, "stdin_tty": False, "stdout_tty": False}
    by_name = make_plan(options.request_of(["--profile", name, "web"]), box, **tty)  # type: ignore[arg-type]
    by_words = make_plan(options.request_of([*given, "web"]), box, **tty)  # type: ignore[arg-type]
    known = (1 << len(NUMBERS)) - 1
    for each in (by_name, by_words):
        each["capabilities"]["drop"] &= known
        del each["typed"]  # type: ignore[misc]
    assert by_name == by_words
