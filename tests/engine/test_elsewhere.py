"""A client that is not Linux, on the real engine: a Python that lacks what a Mac lacks, no /proc (not_linux.py)."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from docker_nsenter.commands.install import write
from docker_nsenter.routes.helper import client

from .. import not_linux
from ..conftest import TOP, Call, Done, Run, children, wait_until
from .remote import Remote
from .test_helper import READ_ALL, left, resize_and_interrupt, told
from .test_process import processes
from .test_terminal import PROMPT

Engine = dict[str, str]
WAYS = ("unix", "tcp", "tls", "ssh")


@pytest.fixture(scope="module")
def remote(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """The same engine, as it is reached from elsewhere, and a docker whose plugin is run by such a Python."""
    place = tmp_path_factory.mktemp("mac")
    write(str(place / "config/cli-plugins/docker-nsenter"), python=str(not_linux.write_python(place)), by="")
    environment = {**engine, "DOCKER_CONFIG": str(place / "config")}
    with Remote(environment, tmp_path_factory.mktemp("remote")) as found:
        yield found


def reached(remote: Remote, way: str = "unix") -> tuple[list[str], Engine]:
    """Return the words that run docker without /proc, by this way to the engine, and their environment."""
    words, env = ([], remote.engine) if way == "unix" else getattr(remote, way)()
    env = {**env, "DOCKER_NSENTER_HELPER_IMAGE": remote.image}
    return ["unshare", "-m", "sh", "-c", not_linux.HIDDEN, "sh", "docker", *words], env


@pytest.fixture
def mac(remote: Remote) -> Call:
    """Run docker nsenter there."""

    def call(*line: str, way: str = "unix", **options: Any) -> Done:
        words, env = reached(remote, way)
        settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 100, **options}
        if "input" not in settings:
            settings.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([*words, "nsenter", *line], env=env, check=False, **settings)

    return call


def test_the_python_lacks_what_a_mac_lacks(tmp_path: Path) -> None:
    code = (
        "import os, select, sys; print([name for name in ('pipe2', 'O_PATH', 'memfd_create', 'splice') "
        "if hasattr(os, name)], hasattr(select, 'epoll'), hasattr(select, 'poll'), sys.platform)\n"
        "for name in 'ctypes', 'docker_nsenter.enter.steps':\n"
        "    try: __import__(name)\n"
        "    except ImportError as problem: print(problem)"
    )
    words = ["-I", "-S", "-B", "-X", "utf8", "-c", code]
    shown = subprocess.check_output([not_linux.write_python(tmp_path), *words], text=True).splitlines()
    assert shown[0] == "[] False False darwin"
    assert len(shown) == 3


@pytest.mark.parametrize("way", WAYS)
def test_it_is_what_docker_exec_gives(run: Run, docker: Call, mac: Call, way: str) -> None:
    name = run("--group-add", "1234", "--user", "app")
    oracle = docker("exec", name, "sh", "-c", READ_ALL)
    assert told(mac(name, "sh", "-c", READ_ALL, way=way)) == told(oracle)
    data = os.urandom(2_000_000)
    done = mac(name, "sh", "-c", "md5sum; echo errors >&2; exit 9", way=way, input=data, text=False)
    assert (done.returncode, done.stderr) == (9, b"errors\n")  # type: ignore[comparison-overlap]
    assert done.stdout.split()[0].decode() == hashlib.md5(data).hexdigest()  # type: ignore[attr-defined]


def test_nothing_of_it_stays(run: Run, docker: Call, mac: Call) -> None:
    assert mac(run(), "true").returncode == 0
    wait_until(lambda: not left(docker), "the helper is gone", 60)


def test_a_loop_over_a_file_goes_on(run: Run, remote: Remote, tmp_path: Path) -> None:
    words, env = reached(remote)
    (tmp_path / "list").write_text("1\n2\n3\n")
    line = f'while read -r x; do "$@" nsenter {run()} true; echo $x; done <{tmp_path}/list'
    done = subprocess.run(["sh", "-c", line, "sh", *words], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "2", "3"], done.stderr
    line = f'{{ "$@" nsenter {run()} head -n1; cat; }} <{tmp_path}/list'
    done = subprocess.run(["sh", "-c", line, "sh", *words], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "1\n", done.stderr  # the command has read of it: all of it was its own


def test_a_reader_that_goes_ends_the_command(run: Run, remote: Remote) -> None:
    words, env = reached(remote)
    line = f'"$@" nsenter {run()} yes | head -n1; echo ended'
    done = subprocess.run(["sh", "-c", line, "sh", *words], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "y\nended\n"


def test_signals_go_by_linuxs_numbers() -> None:
    assert {name: int(signal.Signals[f"SIG{name}"]) for name in client.SIGNALS} == client.SIGNALS


def test_a_signal_reaches_the_command(run: Run, docker: Call, remote: Remote) -> None:
    words, env = reached(remote)
    name = run()
    # unshare and sh become docker
    process = subprocess.Popen([*words, "nsenter", name, "sleep", "6421"], env=env, stdin=subprocess.DEVNULL)
    wait_until(lambda: any("6421" in line for line in processes(docker, name)), "the command runs", 60)
    os.kill(children(process.pid)[0], signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM


def test_a_killed_client_takes_the_command_along(run: Run, docker: Call, remote: Remote) -> None:
    words, env = reached(remote)
    name = run()
    process = subprocess.Popen([*words, "nsenter", name, "sleep", "6422"], env=env, stdin=subprocess.DEVNULL)
    wait_until(lambda: any("6422" in line for line in processes(docker, name)), "the command runs", 60)
    process.kill()  # docker: its socket tells the plugin, as it does on a Mac by a path
    process.wait()
    wait_until(lambda: not any("6422" in line for line in processes(docker, name)), "it ends", 60)
    wait_until(lambda: not left(docker), "the helper is gone", 60)


def test_a_terminal_is_the_containers(run: Run, remote: Remote) -> None:
    words, env = reached(remote)
    env = {**env, "PS1": "$ "}
    line = [*words[1:], "nsenter", run()]
    shell = pexpect.spawn(words[0], line, env=env, timeout=60, encoding="utf-8", dimensions=(33, 101))
    shell.expect(PROMPT)
    shell.sendline("tty; stty size")
    shell.expect(r"/dev/pts/\d+\r\n33 101\r\n")
    shell.expect(PROMPT)
    resize_and_interrupt(shell)
    shell.sendline("exit 9")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 9


def test_control_z_stops_both_sides_and_fg_goes_on(run: Run, remote: Remote) -> None:
    words, env = reached(remote)
    outer = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], env=env, timeout=60, encoding="utf-8")
    outer.expect(PROMPT)
    place = " ".join(f"'{word}'" for word in words)
    stops = "echo ready; sleep 1; kill -STOP $$; echo again"
    outer.sendline(f"{place} nsenter -t {run()} sh -c '{stops}'")
    outer.expect("ready\r\n")
    time.sleep(2)
    outer.send("\x1a")
    outer.expect("Stopped")
    outer.expect(PROMPT)
    outer.sendline("fg")
    outer.expect("again\r\n")
    outer.expect(PROMPT)
    outer.sendline("stty -a | tr ' ' .; echo its'' end")
    outer.expect("its end")
    assert ".icanon." in outer.before  # as it was
    outer.close(force=True)


def test_several_at_once(run: Run, mac: Call) -> None:
    one, other = run(), run()
    done = mac(f"{one},{other}", "hostname")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_a_detached_command_and_tools_of_an_image(run: Run, docker: Call, mac: Call) -> None:
    name = run(image="nsenter-test-static", command=("/busybox", "sleep", "100000"))
    done = mac("-d", name, "/busybox", "sleep", "6423")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert any("6423" in line for line in processes(docker, name))
    done = mac("--tools", "nsenter-test-busybox", name, "head", "-c4", "/busybox")
    assert done.stdout == "\x7fELF", done.stderr


def test_a_dying_container_is_held_from_there(run: Run, mac: Call) -> None:
    name = run(command=("sleep", "15"))
    done = mac("--at-exit", name, "echo", "held")
    assert (done.returncode, done.stdout) == (0, "held\n"), done.stderr


def test_looking_works_by_the_engines_word(run: Run, mac: Call) -> None:
    name = run("--cap-add", "SYS_PTRACE")
    rows = json.loads(mac("--list", "--format", "json").stdout)["containers"]
    assert next(row for row in rows if row["name"] == name)["beyond_default"] == ["SYS_PTRACE"]
    assert "SYS_PTRACE" in mac("--inspect", name).stdout
    shown = json.loads(mac("--dry-run", "--format", "json", name).stdout)
    assert shown["route"]["name"] == "helper"


def test_a_session_is_recorded_where_it_is_typed(run: Run, mac: Call, tmp_path: Path) -> None:
    done = mac("--record", str(tmp_path / "cast"), run(), "echo", "recorded words")
    assert done.returncode == 0, done.stderr
    head, *events = (json.loads(line) for line in (tmp_path / "cast").read_text().splitlines())
    assert head["version"] == 2
    assert "recorded words" in "".join(event[2] for event in events)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--route", "local", "web"), "--route local enters on this machine, which needs Linux: here a helper enters"),
        (
            ("--forward", "0:80", "web"),
            "--forward does not work from this machine yet: its process that listens needs Linux",
        ),
        (("pid:1", "true"), "pid:1 is a process of this machine, which does not run Linux: name a container"),
        (("--inspect", "pid:1"), "pid:1 is a process of this machine, which does not run Linux: name a container"),
    ],
)
def test_what_only_linux_has_is_refused_in_one_sentence(
    run: Run, mac: Call, words: tuple[str, ...], sentence: str
) -> None:
    line = [run() if word == "web" else word for word in words]
    done = mac(*line)
    assert done.returncode == 125
    assert done.stderr.startswith(f"docker nsenter: {sentence}\n")


@pytest.mark.parametrize("found", ["homebrew", "uv", "none"])
def test_on_a_mac_the_installer_finds_a_python_that_is_new_enough_or_says_so(tmp_path: Path, found: str) -> None:
    """The names are a Mac's; xcode's python3 is 3.9 there and must not be started without Xcode."""
    real = {"homebrew": "python3.13", "uv": "a-python-of-uvs"}.get(found)
    scripts = {"uname": "echo Darwin", "python3": "echo a dialog opens >&2; exit 1"}
    if found == "uv":
        scripts["uv"] = f'[ "$1 $2" = "python find" ] && echo {tmp_path}/a-python-of-uvs'
    if real:
        scripts[real] = f'[ "$2" = -c ] && echo {tmp_path}/{real}'
    for name, text in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    words = ["/bin/sh", "-c", f". {TOP}/scripts/lib.sh; find_python"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    if real:
        assert (done.returncode, done.stdout) == (0, f"{tmp_path}/{real}\n"), done.stderr
    else:
        assert done.returncode == 1
        assert done.stderr == (
            "no Python of 3.10 or newer is here: brew install python3, or uv python install, then run this again\n"
        )


def test_tab_completes_there(run: Run, remote: Remote) -> None:
    name = run()
    words, env = reached(remote)
    plugin = f"{remote.engine['DOCKER_CONFIG']}/cli-plugins/docker-nsenter"
    done = subprocess.run(
        [*words[:6], plugin, "__complete", "nsenter", name[:12]], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(name), done.stdout + done.stderr
