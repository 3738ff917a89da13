"""Who types a neighbour's option, or a mistyped one, is shown the line that was meant; it can be pasted."""

import shlex

import pytest
from docker_nsenter.cli import options
from docker_nsenter.cli.read import read_request
from docker_nsenter.cli.request import Request
from docker_nsenter.cli.suggestions import STRANGERS
from docker_nsenter.errors import CliError

# what is typed, what is meant
LINES = {
    # nsenter's
    "-m -u -i -n -p web ls": "web ls",
    "-muinp web": "web",
    "-n web ss -tlnp": "--net-only web ss -tlnp",
    "-mn web ls": "--mount --net web ls",
    "-t 1234 -a": "pid:1234",
    "-t 1234 -n ip a": "--net-only pid:1234 ip a",
    "-t1234 -m -n ls -l": "--mount --net pid:1234 ls -l",
    "--target 99 --net ip a": "--net pid:99 ip a",
    "--target=99 -m -u -i -n -p": "pid:99",
    "-u app -t 123": "-u app pid:123",
    "--target web": "web",
    "-S 0 web id": "-u 0 web id",
    "-G 5 web id": "-u 0:5 web id",
    "-t web -n": "-t --net-only web",
    # docker run's
    "--pid host web": "--no-pid web",
    "-it --net=host web sh": "-it --no-net web sh",
    "-v /tmp:/tmp web": "web",
    "--volume=/a:/b web ls": "web ls",
    "--mount type=bind,src=/a,dst=/b web": "web",
    "--mount=type=bind,src=/a web": "web",
    "-p 80:80 web": "web",
    "--rm -it web sh": "-it web sh",
    "-it --name web sh": "-it web sh",
    "--name=web sh": "web sh",
    "--entrypoint sh web": "web sh",
    "-c ls web": "web sh -c ls",
    "--cgroup /a web": "--no-join-cgroup web",
    "--detach-keys x web": "web",
    "--privileged=true web id": "--privileged web id",
    "--tty=false web": "--no-tty web",
    # options in the wrong place
    "web -u root id": "-u root web id",
    "-i web -u app -w /tmp id": "-i -u app -w /tmp web id",
    "web --net ip a": "--net web ip a",
    "web -it sh": "-it web sh",
    "--json --list": "--format json --list",
    # mistyped
    "--usr app web id": "--user app web id",
    "--priviledged web": "--privileged web",
    "--capadd KILL web": "--cap-add KILL web",
    "--cap-ad=KILL web": "--cap-add=KILL web",
    "--workdirr=/tmp web": "--workdir=/tmp web",
    "-u -x web": "-u-x web",
    "--env --net web": "--env=--net web",
}


def refused(line: str) -> CliError:
    """Read a line that can't be meant."""
    with pytest.raises(CliError) as caught:
        read_request(shlex.split(line))
    assert caught.value.status == 125
    return caught.value


@pytest.mark.parametrize(("typed", "meant"), LINES.items())
def test_the_hint_is_the_line_that_was_meant(typed: str, meant: str) -> None:
    assert refused(typed).hint == f"docker nsenter {meant}"


@pytest.mark.parametrize("meant", sorted({*LINES.values()}))
def test_every_hint_is_a_line_that_can_be_read(meant: str) -> None:
    assert isinstance(read_request(shlex.split(meant)), Request)


@pytest.mark.parametrize("line", ["--image x web", "--tim x", "--nte web"])
def test_a_guess_is_near_or_not_made(line: str) -> None:
    assert refused(line).hint in ("docker nsenter --help", "docker nsenter --time x", "docker nsenter --net web")
    assert "--time" not in refused("--image x web").hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("--context prod web ls", "docker --context prod nsenter web ls"),
        ("-i --host=tcp://h web", "docker --host=tcp://h nsenter -i web"),
        ("-H tcp://h web", "docker -H tcp://h nsenter web"),
        ("-D web", "docker -D nsenter web"),
    ],
)
def test_dockers_own_options_are_told_to_stand_before(line: str, hint: str) -> None:
    assert refused(line).hint == hint


@pytest.mark.parametrize("line", ["-v", "-V"])
def test_the_version_has_a_word(line: str) -> None:
    assert refused(line).hint == "docker nsenter --version"


@pytest.mark.parametrize("line", ["-l web", "--xyzzy web", "-x web", "--bogus web"])
def test_what_is_near_to_nothing_is_shown_the_help(line: str) -> None:
    assert refused(line).hint == "docker nsenter --help"


@pytest.mark.parametrize("name", STRANGERS)
def test_every_stranger_is_refused_with_a_reason(name: str) -> None:
    assert ": " in refused(f"{name} x:y web").sentence


def test_a_container_that_was_swallowed_is_named() -> None:
    assert refused("-e web").sentence == "no container given: web is the value of -e"
    assert refused("-i").sentence == "no container given"


def test_a_program_may_be_called_like_an_option_behind_a_double_dash() -> None:
    assert options.request_of(["web", "--", "-u"]).command == ["-u"]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("--profile sysadm web", "docker nsenter --profile sysadmin web"),
        ("--format jsn web", "docker nsenter --format json web"),
        ("--route x web", ""),
    ],
)
def test_the_nearest_value_is_shown(line: str, hint: str) -> None:
    assert refused(line).hint == hint
