"""TAB through docker's own completion: its protocol, and real shells with the scripts that docker generates."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from ..conftest import Call, Run
from .remote import Remote

Engine = dict[str, str]
Complete = Callable[..., list[str]]
Shell = Callable[[str], "pexpect.spawn[str]"]
SHELLS = {
    "bash": (
        ["bash", "--norc", "-i"],
        "source /usr/share/bash-completion/bash_completion; source <(docker completion bash)",
    ),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; source <(docker completion zsh)"),
    "fish": (["fish", "--no-config", "-i"], "docker completion fish | source"),
}


@pytest.fixture
def patient(engine: Engine) -> Engine:
    """Give TAB more than its half second: other tests may keep the machine busy."""
    return {**engine, "DOCKER_NSENTER_TIMEOUT": "30", "TERM": "xterm", "PS1": "$ "}


@pytest.fixture
def complete(docker: Call, patient: Engine) -> Complete:
    """Ask docker for the completion of a line; the candidates with their descriptions."""

    def ask(*words: str, before: tuple[str, ...] = (), kind: str = "__complete", **environment: str) -> list[str]:
        done = docker(*before, kind, *words, env={**patient, **environment})
        *lines, directive = done.stdout.splitlines()
        assert directive in (":4", ":6"), done.stdout
        return lines

    return ask


def names(lines: list[str]) -> set[str]:
    """Leave the descriptions out."""
    return {line.partition("\t")[0] for line in lines}


def test_running_containers_are_offered_with_image_and_status(run: Run, docker: Call, complete: Complete) -> None:
    name, ended = run(), run(command=("true",))
    docker("wait", ended)
    line = next(line for line in complete("nsenter", "") if line.startswith(f"{name}\t"))
    assert re.fullmatch(rf"{name}\tnsenter-test-busybox, Up .*", line)
    assert ended not in names(complete("nsenter", ""))
    identity = docker("inspect", "-f", "{{.Id}}", name).stdout.strip()
    assert identity[:12] in names(complete("nsenter", identity[:5]))
    assert names(complete("nsenter", identity[:20])) == {identity[:20]}
    assert names(complete("nsenter", name[:-1])) == {name}


def test_users_groups_and_programs_are_the_containers(run: Run, complete: Complete) -> None:
    name = run()
    assert {"root", "app", "locked"} <= names(complete("nsenter", "-u", ""))
    assert "app:extra" in names(complete("nsenter", "--user", "app:e"))
    assert names(complete("nsenter", name, "wge")) == {"wget"}
    assert names(complete("nsenter", "-it", name, "--", "hostn")) == {"hostname"}


def test_arguments_are_paths_in_the_container(run: Run, docker: Call, complete: Complete) -> None:
    name = run("-w", "/etc")
    docker(
        "exec", name, "sh", "-c", "mkdir -p /only/here /only/'a b'; touch /only/file; ln -s ../../../../usr /only/up"
    )
    assert names(complete("nsenter", name, "cat", "/only/")) == {"/only/here/", "/only/file", "/only/up"}
    assert names(complete("nsenter", name, "cat", "/on")) == {"/only/"}
    assert "passwd" in names(complete("nsenter", name, "cat", "pass"))
    assert names(complete("nsenter", "-w", "/only", name, "cat", "fi")) == {"file"}
    assert complete("nsenter", name, "cat", "/only/up/include") == []


def test_programs_are_those_that_will_run(run: Run, complete: Complete, tmp_path: Path) -> None:
    name = run()
    assert "docker" not in names(complete("nsenter", name, "dock"))
    assert "docker" in names(complete("nsenter", "--net-only", name, "dock"))
    assert "docker" in names(complete("nsenter", "--tools", "host", name, "dock"))
    assert "wget" in names(complete("nsenter", "--tools", "host", name, "wg"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/mytool").touch(mode=0o755)
    assert names(complete("nsenter", "--tools", str(tmp_path), name, "myt")) == {"mytool"}


def test_a_path_in_the_container_leads_nowhere_else(run: Run, docker: Call, complete: Complete) -> None:
    """A container whose PATH is links, FIFOs and evil names lists nothing of the host's and no word for a shell."""
    name = run("-e", "PATH=/bin:/evil:/up:/fifo:/nowhere")
    docker("exec", name, "mkdir", "/evil")
    docker("exec", name, "ln", "-s", "../../../../../usr/bin", "/up")
    docker("exec", name, "mkfifo", "/fifo")
    for word in ("$(reboot)", "`x`", "a;b", "-x", "good"):
        docker("exec", name, "cp", "/bin/true", f"/evil/{word}")
    found = names(complete("nsenter", name, ""))
    assert {"good", "wget"} <= found
    assert not found & {"$(reboot)", "`x`", "a;b", "-x", "docker", "dockerd"}


def test_images_and_processes_are_offered(run: Run, complete: Complete, pid_of: Callable[[str], int]) -> None:
    assert f"pid:{pid_of(run())}\tsleep" in complete("nsenter", "pid:")


def test_dockers_own_options_choose_the_engine(run: Run, docker: Call, engine: Engine, complete: Complete) -> None:
    name, host = run(), engine["DOCKER_HOST"]
    nowhere = {"DOCKER_HOST": "unix:///nowhere.sock"}
    assert complete("nsenter", "", **nowhere) == []
    assert name in names(complete("nsenter", "", before=("-H", host), **nowhere))
    assert name in names(complete("-H", host, "nsenter", "", **nowhere))
    docker("context", "create", "there", "--docker", f"host={host}")
    try:
        assert name in names(complete("--context", "there", "nsenter", "", DOCKER_HOST=""))
    finally:
        docker("context", "rm", "-f", "there")


@pytest.mark.parametrize("way", ["tcp", "tls", "ssh"])
def test_an_engine_elsewhere_is_asked_within_the_usual_time(run: Run, engine: Engine, tmp_path: Path, way: str) -> None:
    """docker starts its plugin as itself for a completion, and so would dial by the plugin; to connect takes time."""
    name = run()
    with Remote(engine, tmp_path) as remote:
        words, env = getattr(remote, way)()
        for line in ((*words, "__complete", "nsenter"), ("__complete", *words, "nsenter")):
            done = subprocess.run(
                ["docker", *line, name[:-2]], capture_output=True, text=True, env=env, check=True, timeout=60
            )
            assert names(done.stdout.splitlines()[:-1]) == {name}, done.stderr


def test_descriptions_are_left_out_where_they_are_not_wanted(run: Run, complete: Complete) -> None:
    run()
    for lines in (
        complete("nsenter", "", kind="__completeNoDesc"),
        complete("nsenter", "", DOCKER_CLI_DISABLE_COMPLETION_DESCRIPTION="1"),
    ):
        assert lines
        assert not [line for line in lines if "\t" in line]


def test_others_are_offered_the_shells_that_the_container_lists(run: Run, docker: Call, engine: Engine) -> None:
    name = run()
    docker("exec", name, "sh", "-c", "printf '/bin/sh\n/bin/ash\n/bin/$(x)\n' >/etc/shells")
    subprocess.run(["chmod", "-R", "a+rX", engine["DOCKER_CONFIG"]], check=True)
    os.chmod(engine["DOCKER_HOST"].removeprefix("unix://"), 0o666)
    words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "docker", "__complete", "nsenter"]
    env = {**engine, "DOCKER_NSENTER_TIMEOUT": "30"}
    try:
        done = subprocess.run([*words, name, ""], capture_output=True, text=True, env=env, check=True)
    finally:
        os.chmod(engine["DOCKER_HOST"].removeprefix("unix://"), 0o660)
    assert done.stdout == "ash\tshell\nsh\tshell\n:4\n"


@pytest.fixture
def shell(patient: Engine) -> Iterator[Shell]:
    """Start a shell on a terminal, with docker's generated completion."""
    started: list[pexpect.spawn[str]] = []

    def start(name: str) -> "pexpect.spawn[str]":
        command, setup = SHELLS[name]
        child = pexpect.spawn(
            command[0], command[1:], env=patient, timeout=60, encoding="utf-8", dimensions=(40, 200), echo=False
        )
        started.append(child)
        for _ in range(10):  # fish throws away what was typed before it is ready
            child.sendline(f"{setup}; expr 1000 + 1")
            if child.expect(["1001", pexpect.TIMEOUT], timeout=6) == 0:
                return child
        raise AssertionError(f"{name} does not answer: {child.before}")

    yield start
    for child in started:
        child.close(force=True)


@pytest.mark.parametrize("name", SHELLS)
def test_tab_completes_in_a_real_shell(name: str, run: Run, shell: Shell) -> None:
    """The line is completed and run: only a right one has the right output."""
    container = run()
    begun = container[:-3]
    child = shell(name)
    for line, output in (
        (f"docker nsenter {begun}\texpr 40 + 2", "42"),
        (f"docker nsenter -u lock\t{begun}\tid -u", "1001"),
        (f"docker nsenter --net-o\t{begun}\texpr 40 + 3", "43"),
        (f"docker nsenter --cap-drop=AL\t{begun}\tgrep CapEff /proc/self/status", r"CapEff:\s+0000000000000000"),
        (f"docker nsenter --security-opt lab\t{begun}\texpr 40 + 4", "44"),
        (f"docker nsenter {begun}\tunam\t-s", "Linux"),
    ):
        child.send(line + "\r")
        child.expect(rf"[\r\n]{output}\r?\n")  # a line of its own: the name of a container may have a 42 in it


def test_tab_lists_what_there_is_to_choose(run: Run, shell: Shell) -> None:
    run()
    child = shell("bash")
    child.send("docker nsenter --profile \t\t")
    for word in ("baseline", "restricted", "sysadmin"):
        child.expect(word)
