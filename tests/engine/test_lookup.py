"""The right container or a clear sentence: every way in which the look-up can fail."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ..conftest import Call, Done, Run, children, wait_until
from .conftest import Plugin, answering

Engine = dict[str, str]
Serve = Callable[[bytes], str]
POLL = {"x86_64": ("7", "271"), "aarch64": ("73",)}[os.uname().machine]  # poll and ppoll


def refused(done: Done, *words: str) -> None:
    """Expect 125, one sentence, at most one hint, and these words in it."""
    assert done.returncode == 125
    lines = done.stderr.splitlines()
    assert 1 <= len(lines) <= 2, done.stderr
    assert lines[0].startswith("docker nsenter: ")
    assert len(lines) == 1 or lines[1].startswith("hint: ")
    for word in words:
        assert word in done.stderr, done.stderr


def test_a_container_is_found_by_name_and_id_prefix(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    identity = docker("inspect", "-f", "{{.Id}}", name).stdout.strip()
    for word in (name, identity, identity[:12], identity[:6]):
        assert nsenter(word, "echo", "in").stdout == "in\n"


def test_an_unknown_name_suggests_the_nearest(run: Run, nsenter: Call) -> None:
    name = run()
    refused(nsenter(name[:-1] + "x", "true"), "no such container", f"did you mean {name}?")
    refused(nsenter("completely-different", "true"), "no such container", "docker ps")


def test_a_name_is_never_a_path_of_the_api(run: Run, nsenter: Call) -> None:
    name = run()
    for word in (f"{name}/json?x=", f"../containers/{name}", "a b", "%2e%2e", "ä", "x\r\nHost: y"):
        assert nsenter(word, "true").returncode == 125


def test_one_that_has_ended_says_how(run: Run, docker: Call, nsenter: Call) -> None:
    name = run(command=("sh", "-c", "exit 3"))
    docker("wait", name)
    refused(nsenter(name, "true"), "is not running", "exited", "3", f"docker start {name}")


def test_one_that_was_never_started_says_so(run: Run, docker: Call, nsenter: Call) -> None:
    name = f"{run()}-created"
    docker("create", "--name", name, "--network", "none", "nsenter-test-busybox", "true")
    try:
        refused(nsenter(name, "true"), "is not running", "created")
    finally:
        docker("rm", "-f", name)


def test_a_restarting_one_says_so(run: Run, docker: Call, nsenter: Call) -> None:
    name = run("--restart", "always", command=("sh", "-c", "exit 3"))
    wait_until(lambda: docker("inspect", "-f", "{{.State.Restarting}}", name).stdout.strip() == "true", "it restarts")
    done = nsenter(name, "true")
    assert done.returncode == 125
    said = ("restarting", "not running", "no longer exists", "stopped before the command could start")
    assert any(each in done.stderr for each in said), done.stderr


def test_one_that_ends_while_it_is_looked_at_says_so(run: Run, plugin: Plugin) -> None:
    at_once = (
        "enter/steps.py",
        "    entry.joined = namespaces.differing(",
        "    import os, time; os.kill(entry.target.pid, 9); time.sleep(0.5)\n    entry.joined = namespaces.differing(",
    )
    refused(plugin(at_once)("--no-pid", run(), "true"), "the container stopped before the command could start")


def test_one_that_is_a_zombie_when_the_command_is_checked_says_so(plugin: Plugin) -> None:
    """It still takes signals, but has left its namespaces, with which the command's are compared."""
    work = "        self.namespaces = _namespaces(entry)"
    kill = "        import os, time; os.kill(entry.target.pid, 9); time.sleep(0.5)\n"
    with subprocess.Popen(["unshare", "--mount", "--uts", "sleep", "1000"]) as process:  # nobody reaps it meanwhile
        try:
            wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", "it runs")
            done = plugin(("enter/verify.py", work, kill + work))(f"pid:{process.pid}", "true")
        finally:
            process.kill()
    refused(done, "the container stopped before the command could start")


def test_one_whose_program_its_namespaces_may_not_read_is_entered(nsenter: Call, public: Path) -> None:
    """The kernel hides its /proc from who has joined them (would_dump of fs/exec.c), which is no end of it."""
    program = public / "sleep"
    shutil.copy2(shutil.which("sleep") or "", program)
    program.chmod(0o711)
    every = "0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x40000000"  # but pid: CLONE_NEW*
    start = f"import ctypes, os; ctypes.CDLL(None).unshare({every}); print(flush=True); input(); "
    start += f"os.setgid(0); os.setuid(0); os.execv('{program}', ['sleep', '1000'])"
    apart = [sys.executable, "-c", start]
    with subprocess.Popen(apart, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{process.pid}/{name}").write_text("0 100000 65536")
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.close()
            wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", "it runs")
            done = nsenter(f"pid:{process.pid}", "id", "-u")
        finally:
            process.kill()
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_a_paused_one_says_so_and_nothing_hangs(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    docker("pause", name)
    try:
        refused(nsenter(name, "true"), "paused", f"docker unpause {name}")
        pid = docker("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
        refused(nsenter(f"pid:{pid}", "true"), "paused")
    finally:
        docker("unpause", name)
    assert nsenter(name, "true").returncode == 0


@pytest.mark.parametrize("options", [("--no-join-cgroup",), ("--net-only",), ("--uts", "--ipc")])
def test_a_paused_one_can_be_looked_into_and_is_paused_on(
    run: Run, docker: Call, nsenter: Call, options: tuple[str, ...]
) -> None:
    """Where nothing of ours joins its cgroup nothing freezes; its filter can't be copied from a frozen v1 process."""
    name = run("--security-opt", "seccomp=unconfined")
    filtered = run("--hostname", "frozen")
    docker("pause", name, filtered)
    try:
        assert nsenter(*options, name, "sh", "-c", "exit 7").returncode == 7
        done = nsenter(*options, filtered, "hostname")
        if done.returncode:
            refused(done, "filter can only be copied while it runs", "--security-opt seccomp=unconfined")
        done = nsenter(*options, "--security-opt", "seccomp=unconfined", filtered, "cat", "/proc/self/status")
        assert "Seccomp:\t0" in done.stdout, done.stderr
        shown = docker("inspect", "-f", "{{.State.Status}}", name, filtered).stdout
        assert shown.split() == ["paused", "paused"]
    finally:
        docker("unpause", name, filtered)
    assert docker("exec", filtered, "hostname").stdout == "frozen\n"


def test_an_ambiguous_prefix_is_the_engines_own_words(run: Run, docker: Call, nsenter: Call) -> None:
    identities = [docker("inspect", "-f", "{{.Id}}", run()).stdout.strip() for _ in range(2)]
    for _ in range(40):
        shared = [first for first in identities if [each[0] for each in identities].count(first[0]) > 1]
        if shared:
            break
        identities.append(docker("inspect", "-f", "{{.Id}}", run()).stdout.strip())
    done = nsenter(shared[0][0], "true")
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) <= 2


def test_an_engine_that_is_not_running(nsenter: Call, engine: Engine) -> None:
    env = {**engine, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    refused(nsenter("web", "true", env=env), "cannot connect", "is it running?", "pid:N")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Listen on a unix socket and answer each request with these bytes, or never when there are none."""
    listening: list[socket.socket] = []
    kept: list[socket.socket] = []

    def start(reply: bytes) -> str:
        def answer(client: socket.socket) -> None:
            if reply:
                client.recv(65536)
                client.sendall(reply)
                client.close()
            else:
                kept.append(client)

        listening.append(answering(tmp_path / "engine.sock", answer))
        return f"unix://{tmp_path}/engine.sock"

    yield start
    for each in listening + kept:
        each.close()


def test_an_engine_that_hangs_is_given_up(serve: Serve, nsenter: Call, engine: Engine) -> None:
    env = {**engine, "DOCKER_HOST": serve(b""), "DOCKER_NSENTER_TIMEOUT": "0.5"}
    refused(nsenter("web", "true", env=env, timeout=20), "does not answer within 0.5 seconds")


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nnot json",
        b"HTTP/1.0 200 OK\r\n\r\n[]",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b'HTTP/1.0 200 OK\r\n\r\n{"Id": "x", "State": {"Pid": 1}}',
        b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * (17 << 20),
        b"HTTP/1.0 500 Internal\r\n\r\n" + b'{"message": "the disk is full\\u001b[2J"}',
        b"\xff\xfe",
    ],
)
def test_a_reply_that_is_not_what_it_should_be(serve: Serve, nsenter: Call, engine: Engine, reply: bytes) -> None:
    done = nsenter("web", "true", env={**engine, "DOCKER_HOST": serve(reply)})
    refused(done)
    assert "\x1b" not in done.stderr


def test_a_pid_that_is_not_the_containers_is_never_entered(
    serve: Serve, run: Run, docker: Call, nsenter: Call, engine: Engine
) -> None:
    """An engine in another pid namespace, or on another machine, names numbers that mean somebody else here."""
    name = run()
    inspected = docker("inspect", name).stdout
    innocent = subprocess.Popen(["sleep", "1000"])
    try:
        pid = docker("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
        lie = inspected.strip()[1:-1].replace(f'"Pid": {pid}', f'"Pid": {innocent.pid}')
        host = serve(b"HTTP/1.0 200 OK\r\n\r\n" + lie.encode())
        done = nsenter("--route", "local", name, "true", env={**engine, "DOCKER_HOST": host})
        refused(done, "does not belong to the container")
        shown = nsenter("--dry-run", "--format=json", name, env={**engine, "DOCKER_HOST": host}).stdout
        assert json.loads(shown)["route"] == {
            "name": "helper",
            "why": f"process {innocent.pid} of this machine is not the container's",
            "ready": True,
        }
    finally:
        innocent.kill()
        innocent.wait()


def test_another_containers_process_is_never_entered(
    serve: Serve, run: Run, docker: Call, nsenter: Call, engine: Engine
) -> None:
    name, other = run(), run()
    pids = [docker("inspect", "-f", "{{.State.Pid}}", each).stdout.strip() for each in (name, other)]
    lie = docker("inspect", name).stdout.strip()[1:-1].replace(f'"Pid": {pids[0]}', f'"Pid": {pids[1]}')
    host = serve(b"HTTP/1.0 200 OK\r\n\r\n" + lie.encode())
    done = nsenter("--route", "local", name, "true", env={**engine, "DOCKER_HOST": host})
    refused(done, "does not belong to the container")


def test_the_socket_of_somebody_else_says_who_may_use_it(serve: Serve, engine: Engine, tmp_path: Path) -> None:
    host = serve(b"HTTP/1.0 200 OK\r\n\r\n{}")
    os.chmod(host.removeprefix("unix://"), 0o660)
    for directory in [tmp_path, *tmp_path.parents][:-1]:
        directory.chmod(0o755 if directory != Path("/tmp") else 0o1777)
    subprocess.run(["chmod", "-R", "a+rX", engine["DOCKER_CONFIG"]], check=True)
    words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "docker", "nsenter", "web"]
    done = subprocess.run(words, capture_output=True, text=True, env={**engine, "DOCKER_HOST": host}, check=False)
    refused(done, "permission denied", "group root", f"sudo docker -H {host} nsenter web")


def test_a_remote_engine_is_asked_through_the_sdk_and_its_pid_checked(nsenter: Call, engine: Engine) -> None:
    env = {**engine, "DOCKER_HOST": "tcp://127.0.0.1:1"}
    done = nsenter("web", "true", env=env, timeout=60)
    refused(done, "tcp://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer as a docker engine does"),
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "closed the connection in the middle of an answer"),
    ],
)
def test_what_is_no_engine_far_away_is_named_in_a_sentence(
    nsenter: Call, engine: Engine, answer: bytes, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.settimeout(5)
                        connection.recv(65536)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        host = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        done = nsenter("web", "true", env={**engine, "DOCKER_HOST": host}, timeout=60)
    # Docker 20.10's client logs what it makes of that itself
    done.stderr = "".join(line for line in done.stderr.splitlines(True) if "Unsolicited response" not in line)
    refused(done, said)
    assert not {"(", "Error", "HTTPConnection"} & set(done.stderr)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_client_is_killed_during_the_look_up_nothing_runs_and_nothing_is_left(
    run: Run, docker: Call, engine: Engine, tmp_path: Path, number: int
) -> None:
    """An engine that answers late, or a pull of minutes: the command must not start when nobody waits for it."""
    name, asked, answer = run(), threading.Event(), threading.Event()
    late = socket.socket(socket.AF_UNIX)
    late.bind(f"{tmp_path}/late")
    late.listen()

    def relay() -> None:
        connection, _ = late.accept()
        words = connection.recv(65536)
        asked.set()
        answer.wait(60)
        with suppress(BrokenPipeError), connection, socket.socket(socket.AF_UNIX) as behind:
            behind.connect(engine["DOCKER_HOST"].removeprefix("unix://"))
            behind.sendall(words)
            while chunk := behind.recv(65536):
                connection.sendall(chunk)

    threading.Thread(target=relay, daemon=True).start()
    env = {**engine, "DOCKER_HOST": f"unix://{tmp_path}/late", "DOCKER_NSENTER_TIMEOUT": "60"}
    client = subprocess.Popen(["docker", "nsenter", name, "touch", "/ran"], env=env, stderr=subprocess.DEVNULL)
    assert asked.wait(30)
    plugin = children(client.pid)
    ours = [*plugin, *(pid for each in plugin for pid in children(each))]
    assert len(ours) == 2  # the one that enters, and the one that plans
    if number == signal.SIGTERM:  # docker tells it by a socket, to which the plugin has to be connected
        wait_until(lambda: Path(f"/proc/{plugin[0]}/syscall").read_text().split()[0] in POLL, "it waits for the plan")
    client.send_signal(number)
    client.wait()
    try:
        wait_until(
            lambda: not [pid for pid in ours if Path(f"/proc/{pid}").exists()], "they end before the engine answers"
        )
    finally:
        answer.set()
    assert docker("exec", name, "ls", "/ran", check=False).returncode == 1
