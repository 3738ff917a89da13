"""Attack: be another process, or none any more, between the look-up and the entry. And partial joins, faked."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..conftest import Call, Run, hosts_mounts, wait_until
from .conftest import run_words

Engine = dict[str, str]
Between = Callable[[str, Callable[[], object]], Engine]


@pytest.fixture
def between(docker: Call, engine: Engine, tmp_path: Path) -> Iterator[Between]:
    """An engine that does something to a container after it has looked, and before it answers."""
    servers: list[socket.socket] = []

    def serve(name: str, act: Callable[[], object]) -> Engine:
        reply = json.dumps(json.loads(docker("inspect", name).stdout)[0]).encode()
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / "engine.sock"))
        server.listen()
        servers.append(server)

        def answer() -> None:
            client, _ = server.accept()
            client.recv(65536)
            act()
            client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + reply)
            client.close()

        threading.Thread(target=answer, daemon=True).start()
        return {**engine, "DOCKER_HOST": f"unix://{tmp_path}/engine.sock", "DOCKER_NSENTER_TIMEOUT": "20"}

    yield serve
    for server in servers:
        server.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("deed", ["kill", "restart", "rm", "pause"])
def test_a_container_that_changes_behind_the_look_up_is_not_mistaken(
    run: Run, docker: Call, nsenter: Call, between: Between, deed: str
) -> None:
    name = run("--hostname", "the-one", "--stop-signal", "KILL")
    words = {"kill": ["kill"], "restart": ["restart", "-t", "0"], "rm": ["rm", "-f"], "pause": ["pause"]}[deed]
    done = nsenter("--route", "local", name, "hostname", env=between(name, lambda: docker(*words, name)), timeout=40)
    assert done.returncode == 125, done
    assert len(done.stderr.splitlines()) <= 2
    assert (
        "paused" if deed == "pause" else "no longer exists"
    ) in done.stderr or "does not belong to the container" in done.stderr
    if deed == "pause":
        docker("unpause", name)
    if deed in ("restart", "pause"):
        assert nsenter(name, "hostname").stdout == "the-one\n"


def test_a_process_id_that_was_used_again_is_not_entered(
    run: Run, docker: Call, nsenter: Call, between: Between, pid_of: Callable[[str], int]
) -> None:
    """The container ends, and a process of the host's gets its very number (ns_last_pid) before we look."""
    name = run()
    pid = pid_of(name)
    innocent: list[subprocess.Popen[bytes]] = []

    def reuse() -> None:
        docker("kill", name)
        for _ in range(300):
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
            innocent.append(subprocess.Popen(["sleep", "100"]))
            if innocent[-1].pid == pid:
                return
            innocent.pop().kill()
            time.sleep(0.01)

    try:
        done = nsenter("--route", "local", name, "true", env=between(name, reuse), timeout=40)
        assert [each.pid for each in innocent] == [pid], "the number could not be used again"
        assert done.returncode == 125
        assert "does not belong to the container" in done.stderr
        assert innocent[0].poll() is None
    finally:
        for each in innocent:
            each.kill()
            each.wait()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("call", ["openat2", "setns", "setresuid", "keyctl", "setsid"])
def test_a_container_that_ends_in_the_middle_of_an_entry_ends_it(
    run: Run, docker: Call, engine: Engine, call: str, tmp_path: Path
) -> None:
    """Each call is delayed, the container is killed meanwhile: a sentence or the signal, and no process is left."""
    name = run()
    trace = tmp_path / "trace"
    delay = ("strace", "-f", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={call}:delay_enter=1500000:when=1")
    process = subprocess.Popen(
        [*delay, "docker", "nsenter", "-u", "app", name, "sleep", "4711"],
        env=engine,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: trace.exists() and f"{call}(" in trace.read_text(), "the call is made", 30)
    docker("kill", name)
    _, said = process.communicate(timeout=40)
    assert process.returncode in (125, 137), said
    lines = [line for line in said.splitlines() if not line.startswith("strace: ")]
    assert len(lines) == (1 if process.returncode == 125 else 0), said
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"sleep\x004711" in contents(path)]


def contents(path: Path) -> bytes:
    """Read a file of a process that may be gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_many_entries_into_containers_that_come_and_go_never_mistake_one(run: Run, docker: Call, nsenter: Call) -> None:
    """The container restarts all the time; each entry says its name or that it could not."""
    name = run("--hostname", "the-one", "--restart", "always", command=("timeout", "0.4", "sleep", "9"))
    other = run("--hostname", "another")
    answers = [nsenter(name, "hostname", timeout=30) for _ in range(25)]
    assert {done.stdout for done in answers if done.returncode == 0} <= {"the-one\n"}
    for done in answers:
        assert done.returncode in (0, 125, 137), done
        assert len(done.stderr.splitlines()) <= 2
    assert docker("inspect", "-f", "{{.State.Running}}", other).stdout == "true\n"


@pytest.mark.timeout(60)
def test_a_paused_container_hangs_nobody(run: Run, docker: Call, engine: Engine) -> None:
    """Paused while a command runs: killing the client gives the prompt back, and the command dies at the thaw."""
    name = run()
    client = subprocess.Popen(["docker", "nsenter", name, "sleep", "5175"], env=engine, stdin=subprocess.DEVNULL)
    wait_until(lambda: "5175" in docker("top", name, "-eo", "pid,args").stdout, "the command runs")
    docker("pause", name)
    try:
        client.kill()
        client.wait(10)
        done = run_words("docker", "nsenter", name, "true", env=engine, seconds=10, stdin=subprocess.DEVNULL)
        assert done.returncode == 125
    finally:
        docker("unpause", name)
    wait_until(lambda: "5175" not in docker("top", name, "-eo", "pid,args").stdout, "it has ended", 20)


def test_partial_joins_leave_the_hosts_mounts_alone(run: Run, nsenter: Call, raw_parts: Callable[..., str]) -> None:
    """What raw nsenter shows wrong: the host's processes for the container's, the host's interfaces for its own."""
    name = run()
    mounts = hosts_mounts()
    count = ("sh", "-c", "ls -d /proc/[0-9]* | wc -l; ls /sys/class/net; cat /proc/1/comm")
    lies = raw_parts(name, *count).split()
    ours = nsenter("--pid", "--net", name, *count).stdout.split()
    assert int(ours[0]) < int(lies[0])
    assert ours[1:] == ["lo", "sleep"]
    assert lies[-1] == Path("/proc/1/comm").read_text().strip()
    assert hosts_mounts() == mounts


@pytest.fixture
def raw_parts(pid_of: Callable[[str], int]) -> Callable[..., str]:
    """Join only the pid and the network namespace by util-linux's nsenter."""

    def call(name: str, *words: str) -> str:
        return run_words("nsenter", "-t", str(pid_of(name)), "-p", "-n", *words).stdout

    return call


def test_a_stopped_init_does_not_hang_us(run: Run, nsenter: Call, pid_of: Callable[[str], int]) -> None:
    """A process of the container's that stops itself, and ignores what it can."""
    name = run()
    os.kill(pid_of(name), 19)
    try:
        done = nsenter(name, "echo", "in", timeout=20)
        assert done.stdout == "in\n", done.stderr
        state = Path(f"/proc/{pid_of(name)}/status").read_text()
        assert "State:\tT" in state
        assert "TracerPid:\t0" in state
    finally:
        os.kill(pid_of(name), 18)
