"""Ports and sockets of a container reached from here: real clients, both routes, and a container that is hostile."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..attack import FREE
from ..conftest import Call, Run, children, wait_until
from ..private import Private
from .conftest import Plugin
from .remote import Remote

Forward = Callable[..., "Forwarding"]
PAGE = "<html><body><p>a page of a container</p></body></html>"
HTTPD = ("sh", "-c", f"mkdir -p /w; echo '{PAGE}' >/w/index.html; httpd -f -p 127.0.0.1:80 -h /w")
# A server of many kinds in the container's network; the first byte says which
SERVER = """
import asyncio, os, socket, struct, sys
async def serve(r, w):
    kind = await r.read(1)
    if kind == b"E":  # an echo, until the end
        while data := await r.read(65536):
            w.write(data); await w.drain()
    elif kind == b"C":  # counts all, and answers after the end
        n = 0
        while data := await r.read(65536): n += len(data)
        w.write(b"%d" % n); await w.drain()
    elif kind == b"H":  # says something, ends its half, and goes on to read
        w.write(b"first"); w.write_eof()
        data = await r.read(); open(sys.argv[2], "wb").write(data)
    elif kind == b"R":  # resets
        w.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); w.close()
        return
    elif kind == b"F":  # floods without end
        while True:
            w.write(bytes(1 << 20)); await w.drain()
    elif kind == b"N":  # never closes
        w.write(b"n"); await w.drain(); await asyncio.sleep(1000)
    w.close()
async def main():
    place = sys.argv[1]
    make = asyncio.start_unix_server(serve, place) if "/" in place else asyncio.start_server(
        serve, os.environ.get("ADDRESS", "127.0.0.1"), int(place), backlog=500)
    async with await make as server:
        print("ready", flush=True); await server.serve_forever()
asyncio.run(main())
"""
READY = re.compile(r"^(?:127\.0\.0\.1|\[::1\]):(\d+) leads to (.*) in (\S+)$")


class Forwarding:
    """Hold a running docker nsenter --forward, its first lines and its port."""

    def __init__(self, words: list[str], env: dict[str, str], count: int) -> None:
        """Start it and wait until it carries."""
        self.process = subprocess.Popen(
            words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout
        self.lines = [self.process.stdout.readline().strip() for _ in range(count)]
        if not self.lines[0]:
            raise AssertionError(self.process.communicate()[1])
        found = READY.match(self.lines[0])
        self.port = int(found[1]) if found else 0

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Signal all of the terminal's job, as its ^C does, and return the status and what was said."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said

    def connect(self, kind: bytes = b"") -> socket.socket:
        """Connect to it."""
        client = socket.create_connection(("127.0.0.1", self.port), 20)
        client.sendall(kind)
        return client

    def processes(self) -> dict[str, int]:
        """Find ours: the one that listens, and those of the entry below it."""
        found = {}
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            role = re.search(r"\((\w+)\)", words)
            if role:
                found[role[1]] = pid
            waiting += children(pid)
        return found


@pytest.fixture
def forward(engine: dict[str, str]) -> Iterator[Forward]:
    """Start docker nsenter --forward, which ends with the test."""
    begun: list[Forwarding] = []

    def start(*words: str, docker: "list[str] | None" = None, env: "dict[str, str] | None" = None) -> Forwarding:
        whole = ["docker", *(docker or []), "nsenter", *words]
        begun.append(Forwarding(whole, env or engine, words.count("--forward")))
        return begun[-1]

    yield start
    for each in begun:
        each.end(signal.SIGKILL)


@pytest.fixture
def serve(pid_of: Callable[[str], int]) -> Iterator[Callable[..., int]]:
    """Start a program of the host's in a container's network; it says that it is ready."""
    begun: list[subprocess.Popen[str]] = []

    def start(name: str, *words: str, address: str = "127.0.0.1") -> int:
        program = words if words[0] != "SERVER" else (sys.executable, "-c", SERVER, *words[1:])
        enter = ["nsenter", "-t", str(pid_of(name)), "-n", "--", *program]
        begun.append(subprocess.Popen(enter, stdout=subprocess.PIPE, text=True, env={**os.environ, "ADDRESS": address}))
        assert begun[-1].stdout
        if words[0] == "SERVER":
            assert begun[-1].stdout.readline() == "ready\n"
        return begun[-1].pid

    yield start
    for each in begun:
        each.kill()
        each.communicate()


def receive(client: socket.socket, most: int = 1 << 30) -> bytes:
    """Read until the end, or so many bytes."""
    data = b""
    while len(data) < most and (chunk := client.recv(min(65536, most - len(data)))):
        data += chunk
    return data


def fetch(port: int) -> str:
    """Fetch the page by a real client."""
    words = ["curl", "-sS", "-m", "20", f"http://127.0.0.1:{port}/"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


# --- what it does -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["local", "helper"])
def test_a_server_at_the_container_s_127_0_0_1_is_reached_until_ctrl_c(route: str, run: Run, forward: Forward) -> None:
    name = run(command=HTTPD)
    each = forward("--route", route, "--forward", "0:80", name)
    assert each.lines == [f"127.0.0.1:{each.port} leads to localhost:80 in {name}"]
    assert [fetch(each.port) for _ in range(3)] == [PAGE] * 3
    assert each.end() == (130, "")
    with pytest.raises(ConnectionRefusedError):
        each.connect()


def test_it_is_reached_over_ssh(run: Run, forward: Forward, engine: dict[str, str], tmp_path: Path) -> None:
    name = run(command=HTTPD)
    with Remote(engine, tmp_path) as remote:
        words, env = remote.ssh()
        each = forward("--helper-image", remote.image, "--forward", "0:80", name, docker=words, env=env)
        assert fetch(each.port) == PAGE
        assert each.end()[0] == 130


def test_a_browser_shows_its_page(run: Run, forward: Forward, browser: str, tmp_path: Path) -> None:
    each = forward("--forward", "0:80", run(command=HTTPD))
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    done = subprocess.run(
        [*words, f"http://127.0.0.1:{each.port}/"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "a page of a container" in done.stdout, done.stderr


def test_redis_answers_its_own_client(run: Run, forward: Forward, serve: Callable[..., int]) -> None:
    name = run()
    serve(name, "redis-server", "--port", "6379", "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp")
    each = forward("--forward", "0:6379", name)
    client = ["redis-cli", "-p", str(each.port)]
    wait_until(
        lambda: "PONG" in subprocess.run([*client, "ping"], capture_output=True, text=True, check=False).stdout,
        "it answers",
    )
    subprocess.run([*client, "-x", "set", "x"], input=b"y" * (4 << 20), check=True, stdout=subprocess.DEVNULL)
    assert subprocess.run([*client, "get", "x"], capture_output=True, check=True).stdout.strip() == b"y" * (4 << 20)


def test_it_lasts_as_long_as_the_command(run: Run, engine: dict[str, str]) -> None:
    name = run(command=HTTPD)
    words = ["docker", "nsenter", "--forward", "0:80", "-i", name, "sh", "-c", "read x; exit 7"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, env=engine, text=True, **pipes)  # type: ignore[call-overload]
    line = process.stderr.readline().strip()
    found = READY.match(line.removeprefix("docker nsenter: "))
    assert found, line
    assert fetch(int(found[1])) == PAGE
    output, said = process.communicate("\n", timeout=20)
    assert (process.returncode, output, said) == (7, "", "")
    wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", int(found[1]))), "nobody listens")


def test_unix_sockets_and_ipv6_on_either_side(
    run: Run, forward: Forward, serve: Callable[..., int], tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    name = run("-v", f"{shared}:/shared", "--sysctl", "net.ipv6.conf.lo.disable_ipv6=0")
    serve(name, "SERVER", str(shared / "s"))
    serve(name, "SERVER", "700", address="::1")
    place = tmp_path / "here"
    words = [f"{place}:700", "[::1]:0:[::1]:700", "0:/shared/s"]
    each = forward(*(word for text in words for word in ("--forward", text)), name)
    assert each.lines[0] == f"{place} leads to localhost:700 in {name}"
    assert place.stat().st_mode & 0o777 == 0o600
    ports = [int(found[1]) for line in each.lines[1:] if (found := READY.match(line))]
    clients = [socket.socket(socket.AF_UNIX), socket.create_connection(("::1", ports[0]))]
    clients[0].connect(str(place))
    clients.append(socket.create_connection(("127.0.0.1", ports[1])))
    for client in clients:
        client.sendall(b"Ehello")
        client.shutdown(socket.SHUT_WR)
        assert receive(client) == b"hello"
    each.end(signal.SIGKILL)
    wait_until(lambda: not place.exists(), "the socket's name is gone")


def test_names_are_the_container_s(run: Run, forward: Forward, serve: Callable[..., int]) -> None:
    name = run("--add-host", "db:127.0.0.1", "--dns", "127.0.0.1", "--dns-search", "example")
    serve(name, "SERVER", "700")
    answer = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 53)); print("up", flush=True)
while True:
    q, a = s.recvfrom(512)
    known = q[12:].startswith(b"\\x05cache\\x07example\\0\\0\\x01")
    s.sendto(b"xx" + q[2:], a)  # a forged one comes first
    more = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\1\\0\\4\\x7f\\0\\0\\1" if known else b""
    s.sendto(q[:2] + b"\\x81\\x80\\0\\1" + bytes([0, len(more) > 0]) + bytes(4) + q[12:] + more, a)
"""
    serve(name, sys.executable, "-c", answer)
    time.sleep(0.3)
    each = forward("--forward", "0:db:700", "--forward", "0:cache:700", "--forward", "0:nobody:700", name)
    for line in each.lines[:2]:
        each.port = int(line.split()[0].rpartition(":")[2])
        with each.connect(b"Ex") as client:
            client.shutdown(socket.SHUT_WR)
            assert receive(client) == b"x"
    each.port = int(each.lines[2].split()[0].rpartition(":")[2])
    with pytest.raises(ConnectionResetError), each.connect() as client:
        client.recv(1)
    assert each.end() == (130, "docker nsenter: cannot reach nobody:700: no such name in the container\n")


# --- how connections end ----------------------------------------------------------------------------------------------


def test_a_thousand_connections_fifty_at_once(run: Run, forward: Forward, serve: Callable[..., int]) -> None:
    name = run()
    serve(name, "SERVER", "700")
    each = forward("--forward", "0:700", name)

    async def one(turns: asyncio.Semaphore, number: int) -> bool:
        async with turns:
            reader, writer = await asyncio.open_connection("127.0.0.1", each.port)
            text = b"%d" % number * 100
            writer.write(b"E" + text)
            writer.write_eof()
            found = await reader.read()
            writer.close()
            return found == text

    async def all_of_them() -> list[bool]:
        turns = asyncio.Semaphore(50)
        return await asyncio.gather(*(one(turns, number) for number in range(1000)))

    assert asyncio.run(all_of_them()) == [True] * 1000
    found = each.processes()
    wait_until(lambda: len(os.listdir(f"/proc/{found['connector']}/fd")) == 5, "every connection is closed")


def test_ends_and_resets_pass(run: Run, forward: Forward, serve: Callable[..., int], tmp_path: Path) -> None:
    name = run()
    serve(name, "SERVER", "700", str(tmp_path / "read"))
    each = forward("--forward", "0:700", "--forward", "0:9", name)
    with each.connect(b"C" + bytes(3 << 20)) as client:
        client.shutdown(socket.SHUT_WR)
        assert receive(client) == b"%d" % (3 << 20)
    with each.connect(b"H") as client:
        assert receive(client) == b"first"
        client.sendall(b"later")
    wait_until(lambda: (tmp_path / "read").exists() and (tmp_path / "read").read_bytes() == b"later", "it has read on")
    with pytest.raises(ConnectionResetError), each.connect(b"R") as client:
        receive(client)
    each.port = int(each.lines[1].split()[0].rpartition(":")[2])
    for _ in range(2):
        with pytest.raises(ConnectionResetError), each.connect() as client:  # which may hear of it in connect(2)
            receive(client)
    assert each.end() == (130, "docker nsenter: cannot reach localhost:9: connection refused\n")


def test_floods_and_slow_readers_fill_no_memory_and_hold_nobody_up(
    run: Run, forward: Forward, serve: Callable[..., int]
) -> None:
    name = run()
    serve(name, "SERVER", "700")
    each = forward("--forward", "0:700", name)
    floods = [each.connect(b"F") for _ in range(20)]  # whose client reads nothing
    slow = [each.connect(b"N") for _ in range(20)]  # whose server reads nothing
    for client in slow:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                client.send(bytes(1 << 20))
    with each.connect(b"C" + bytes(1 << 20)) as client:
        client.shutdown(socket.SHUT_WR)
        assert receive(client) == b"%d" % (1 << 20)
    for role in ("listener", "connector"):
        status = Path(f"/proc/{each.processes()[role]}/status").read_text()
        resident = int(re.findall(r"VmRSS:\s+(\d+)", status)[0])
        assert resident < 100_000, role  # KiB: 40 windows of half a MiB, twice, and Python
    assert len(receive(floods[0], 8 << 20)) == 8 << 20
    for client in (*floods, *slow):
        client.close()


def weak(plugin: Plugin, engine: dict[str, str], place: Path, *changes: tuple[str, str, str]) -> dict[str, str]:
    """Install a copy of the plugin with changes in session/; return docker's environment for it."""
    plugin(*((f"enter/session/{name}.py", before, after) for name, before, after in changes))
    return {**engine, "DOCKER_CONFIG": str(next(path for path in place.iterdir() if path.name.startswith("config-")))}


def test_what_its_server_never_closes_makes_room(
    run: Run, serve: Callable[..., int], forward: Forward, plugin: Plugin, engine: dict[str, str], tmp_path: Path
) -> None:
    name = run()
    serve(name, "SERVER", "700")
    changes = ("listener", "HALF = 30.0", "HALF = 0.2"), ("tunnel", "MOST = 256", "MOST = 9")
    each = forward("--forward", "0:700", name, env=weak(plugin, engine, tmp_path, *changes))
    for _ in range(9):
        with each.connect(b"N") as client:
            assert client.recv(1) == b"n"
    time.sleep(0.4)
    with each.connect(b"Ex") as client:
        client.shutdown(socket.SHUT_WR)
        assert receive(client) == b"x"


# --- what it holds, and how it ends -----------------------------------------------------------------------------------


def test_neither_end_holds_anything(run: Run, forward: Forward, pid_of: Callable[[str], int]) -> None:
    name = run(command=HTTPD)
    each = forward("--forward", "0:80", name)
    found = each.processes()
    assert {"listener", "connector", "supervisor"} == set(found)
    status = {role: Path(f"/proc/{pid}/status").read_text() for role, pid in found.items()}
    held = {role: re.findall(r"^Cap(?:Prm|Eff|Bnd):\t(\w+)$", text, re.M) for role, text in status.items()}
    assert held["listener"] == ["0" * 16] * 3
    assert len(set(held["connector"])) == 1
    assert int(held["connector"][0], 16).bit_count() == 1  # the guard
    for role in ("listener", "connector"):
        assert "NoNewPrivs:\t1" in status[role]
        assert "Seccomp:\t2" in status[role]
    pid = found["connector"]
    assert os.listdir(f"/proc/{pid}/root/") == []
    assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/{pid_of(name)}/ns/net")
    # in a mount namespace of its own it would be a stranger to the next one, which would take another guard
    assert os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    kinds = [os.readlink(f"/proc/{pid}/fd/{fd}").partition(":")[0] for fd in os.listdir(f"/proc/{pid}/fd")]
    assert sorted(kinds) == ["anon_inode", "pipe", "pipe", "pipe", "pipe"]
    kinds = [os.readlink(f"/proc/{found['listener']}/fd/{fd}") for fd in os.listdir(f"/proc/{found['listener']}/fd")]
    assert not [kind for kind in kinds if not kind.startswith(("pipe:", "socket:", "/dev/null"))]


LOOK = "for f in root/etc/shadow environ mem fd/3; do cat /proc/$0/$f >/dev/null 2>&1 && echo $f; done; true"


def test_a_container_that_sees_all_processes_reaches_neither(
    run: Run, forward: Forward, docker: Call, plugin: Plugin, engine: dict[str, str], tmp_path: Path
) -> None:
    agent, name = run("--pid", "host", *FREE), run(command=HTTPD)

    def reached(each: Forwarding, role: str) -> list[str]:
        return docker("exec", agent, "sh", "-c", LOOK, str(each.processes()[role])).stdout.split()

    each = forward("--forward", "0:80", name)
    assert (reached(each, "listener"), reached(each, "connector")) == ([], [])
    open_to_all = weak(plugin, engine, tmp_path, ("tunnel", "    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)\n", ""))
    each = forward("--forward", "0:80", name, env=open_to_all)
    assert "root/etc/shadow" in reached(each, "listener")


def test_the_container_s_end_ends_it(run: Run, forward: Forward, docker: Call) -> None:
    name = run(command=HTTPD)
    each = forward("--forward", "0:80", name)
    docker("kill", name)
    _, said = each.process.communicate(timeout=20)
    assert (each.process.returncode, said) == (137, "docker nsenter: the container has stopped\n")


@pytest.fixture(scope="module")
def private(engine: dict[str, str]) -> Iterator[Private]:
    """An engine that may go away, whose containers outlive it; one serves a page."""
    directory = Path(tempfile.mkdtemp(prefix="nsenter-away.", dir="/var/tmp"))
    started = Private(directory, {**engine, "DOCKER_NSENTER_TIMEOUT": "1"}, "--live-restore")
    started.run("web", command=HTTPD)
    yield started
    started.end()
    shutil.rmtree(directory)


def test_an_engine_that_goes_away_ends_only_what_goes_by_its_helper(private: Private, forward: Forward) -> None:
    local, helper = (
        forward("--route", route, "--forward", "0:80", "web", env=private.environment) for route in ("local", "helper")
    )
    assert fetch(local.port) == fetch(helper.port) == PAGE
    private.process.kill()
    private.process.wait()
    _, said = helper.process.communicate(timeout=20)
    assert said == f"docker nsenter: lost the docker engine at {private.host}, and the helper with it\n"
    assert helper.process.returncode == 125
    assert fetch(local.port) == PAGE
    private.start()
    assert fetch(local.port) == PAGE
    wait_until(lambda: private.docker("ps", "-aq").stdout.count("\n") == 1, "the helper is removed", 30)
    assert local.end() == (130, "")


def test_an_engine_that_hangs_holds_only_the_first_ctrl_c_up(private: Private, forward: Forward) -> None:
    local, helper = (
        forward("--route", route, "--forward", "0:80", "web", env=private.environment) for route in ("local", "helper")
    )
    os.kill(private.pid(), signal.SIGSTOP)
    try:
        assert fetch(local.port) == PAGE
        assert local.end() == (130, "")
        os.killpg(helper.process.pid, signal.SIGINT)
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", helper.port)), "nobody listens any more")
        os.killpg(helper.process.pid, signal.SIGINT)
        assert helper.process.wait(4) in (130, -signal.SIGINT)  # docker may die of the second, as a shell's 130
    finally:
        os.kill(private.pid(), signal.SIGCONT)
    wait_until(lambda: private.docker("ps", "-aq").stdout.count("\n") == 1, "the helper is removed", 30)


def test_whichever_of_ours_is_killed_the_others_end(run: Run, forward: Forward) -> None:
    name = run(command=HTTPD)
    for role, status in (("connector", 125), ("supervisor", 125), ("listener", 255)):
        each = forward("--forward", "0:80", name)
        found = each.processes()
        os.kill(found[role], signal.SIGKILL)
        _, said = each.process.communicate(timeout=20)
        assert each.process.returncode == status, role  # docker says 255 of a plugin that was killed
        if role != "listener":
            assert said == "docker nsenter: the process that connects in the container has ended\n"
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in found.values()), "all have ended")


def test_what_cannot_be_is_said_before_anything_listens(run: Run, nsenter: Call) -> None:
    name = run()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = nsenter("--forward", f"{port}:80", name)
        assert (done.returncode, done.stderr) == (
            125, f"docker nsenter: cannot listen at 127.0.0.1:{port}: address already in use\n"
        )  # fmt: skip
    done = nsenter("--forward", "0:80", "nobody-there")
    assert (done.returncode, done.stdout) == (125, "")
    assert "nobody-there" in done.stderr
