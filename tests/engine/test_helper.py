"""The helper route: the same entry for who is not root, not on the engine's machine, or not on its kernel.

NSENTER_TEST_FULL=1 runs every kind of container of test_parity.py, a hundred entries to kill, and a hundred megabytes.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from docker_nsenter.engine.endpoints import DEFAULT_HOST, Endpoint
from docker_nsenter.routes.helper import images, reaper

from ..conftest import BUSYBOX, Call, Done, Run, children, wait_until
from ..machine import LOADER
from .conftest import REAL, Plugin, stop_and_continue
from .remote import Remote
from .test_parity import CONTAINERS, FIELDS
from .test_process import processes
from .test_terminal import PROMPT

FULL = bool(os.environ.get("NSENTER_TEST_FULL"))
KINDS = [
    "defaults",
    "cap-add NET_ADMIN",
    "user and group-add",
    "no-new-privileges, user",
    "pid=host",
    "net=host",
    "memory",
    "custom seccomp",
    "workdir of root's, user",
    "environment",
]
LABEL = "com.github.docker-nsenter.helper"
READ_ALL = """for f in status cgroup limits oom_score_adj attr/current; do echo "== $f"; cat /proc/self/$f; done
echo == env; env | sort; pwd; for n in mnt uts ipc net pid cgroup user; do readlink /proc/self/ns/$n; done; exec 2>&1"""

Engine = dict[str, str]


@pytest.fixture
def helper(nsenter: Call) -> Call:
    """Run docker nsenter by the helper route."""

    def call(*words: str, **options: Any) -> Done:
        return nsenter("--route", "helper", *words, **options)

    return call


def told(done: Done) -> list[str]:
    """Keep of all that was read what must agree."""
    assert done.returncode == 0, done.stderr
    status, rest = done.stdout.split("== cgroup", 1)
    return [line for line in status.splitlines() if line.startswith(FIELDS)] + rest.splitlines()


def agree(docker: Call, ours: Call, name: str, *options: str, **settings: Any) -> None:
    """Read everything by docker exec and by a helper, and compare."""
    oracle = docker("exec", *options, name, "sh", "-c", READ_ALL)
    assert told(ours(*options, name, "sh", "-c", READ_ALL, **settings)) == told(oracle)


@pytest.mark.parametrize("title", CONTAINERS if FULL else KINDS)
def test_a_helper_gives_what_docker_exec_gives(
    start: Callable[..., str], docker: Call, helper: Call, title: str
) -> None:
    agree(docker, helper, start(title))


@pytest.mark.parametrize("options", [("--user", "app:audio"), ("-u", "4242:4343", "-w", "/tmp", "-e", "A=b")])
def test_options_mean_the_same_by_a_helper(run: Run, docker: Call, helper: Call, options: tuple[str, ...]) -> None:
    agree(docker, helper, run("--group-add", "1234"), *options)


def test_a_helper_adds_a_capability(run: Run, helper: Call) -> None:
    done = helper("--cap-add", "SYS_PTRACE", "--cap-drop", "CHOWN", run(), "grep", "CapBnd", "/proc/self/status")
    held = int(done.stdout.split()[1], 16)
    assert held >> 19 & 1
    assert not held & 1


def test_a_python_whose_loader_is_a_link_is_the_helper(
    run: Run, plugin: Plugin, sacrifice: Callable[[str], str]
) -> None:
    """Homebrew's is; a Python that does not start there is replaced by the image that is not here."""
    python = Path(sacrifice(REAL))
    with tempfile.TemporaryDirectory(prefix="ld", dir="/run") as place:
        link = f"{place}/ld"
        Path(link).symlink_to(os.path.realpath(LOADER))
        data = python.read_bytes()
        assert data.count(LOADER.encode() + b"\0") == 1
        python.write_bytes(data.replace(LOADER.encode(), link.encode().ljust(len(LOADER), b"\0")))
        done = plugin(python=str(python), by="")("--route", "helper", run(), "echo", "entered")
    assert (done.returncode, done.stdout, done.stderr) == (0, "entered\n", "")


# --- who is not root ------------------------------------------------------------------------------------------------


@pytest.fixture
def unprivileged(engine: Engine, nsenter: Call, tmp_path: Path) -> Iterator[Callable[..., Done]]:
    """Run docker nsenter as a user who is nobody else, in the groups that a test gives him."""
    socket = Path(engine["DOCKER_HOST"].removeprefix("unix://"))
    opened: dict[Path, int] = {}
    for place in (socket, Path(engine["DOCKER_CONFIG"]) / "config.json", tmp_path / "home"):
        for parent in place.parents:
            mode = parent.stat().st_mode
            if parent.stat().st_uid == os.geteuid() and mode & 0o005 != 0o005:
                opened.setdefault(parent, mode)
                parent.chmod(mode & 0o7777 | 0o005)

    def call(*words: str, group: "int | None" = None, **options: Any) -> Done:
        groups = f"--groups={group}" if group is not None else "--clear-groups"
        command = ["setpriv", "--reuid=61234", "--regid=61234", groups, "docker", *words]
        env = {**engine, "HOME": "/", **options.pop("env", {})}
        return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=env, **options)

    yield call
    for parent, mode in opened.items():
        parent.chmod(mode & 0o7777)


def test_who_is_in_the_docker_group_enters_without_root(
    unprivileged: Callable[..., Done], run: Run, engine: Engine
) -> None:
    group = os.stat(engine["DOCKER_HOST"].removeprefix("unix://")).st_gid
    name = run()
    done = unprivileged("-D", "nsenter", "--net-only", name, "cat", "/proc/net/dev", group=group)
    assert "route: helper: only root can enter directly" in done.stderr
    assert "lo:" in done.stdout, done.stderr
    assert "eth" not in done.stdout


@pytest.mark.parametrize("title", CONTAINERS if FULL else KINDS[:2])
def test_without_root_it_is_what_docker_exec_gives(
    unprivileged: Callable[..., Done], start: Callable[..., str], docker: Call, engine: Engine, title: str
) -> None:
    group = os.stat(engine["DOCKER_HOST"].removeprefix("unix://")).st_gid
    name = start(title)
    oracle = docker("exec", name, "sh", "-c", READ_ALL)
    assert told(unprivileged("nsenter", name, "sh", "-c", READ_ALL, group=group)) == told(oracle)


def test_who_may_not_ask_the_engine_is_told_so_in_one_sentence(
    unprivileged: Callable[..., Done], run: Run, engine: Engine
) -> None:
    name = run()
    done = unprivileged("nsenter", name, "true")
    assert done.returncode == 125
    assert done.stderr.startswith("docker nsenter: permission denied on the engine's socket")
    hints = done.stderr.splitlines()[1:]
    host = "" if engine["DOCKER_HOST"] == DEFAULT_HOST else f"-H {engine['DOCKER_HOST']} "
    line = f"sudo docker {host}nsenter {name} true"
    assert all(hint.endswith(line) for hint in hints), hints


# --- who is elsewhere -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def remote(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """The same engine, as it is reached from elsewhere."""
    with Remote(engine, tmp_path_factory.mktemp("remote")) as found:
        yield found


@pytest.mark.parametrize("kind", ["tls", "ssh"])
def test_an_engine_elsewhere_is_entered_by_a_helper_of_an_image(
    run: Run, docker: Call, remote: Remote, kind: str
) -> None:
    name = run("--group-add", "1234", "--user", "app")
    words, env = remote.tls() if kind == "tls" else remote.ssh()
    command = (*words, "nsenter", "--helper-image", remote.image, name)
    oracle = docker("exec", name, "sh", "-c", READ_ALL)
    assert told(docker(*command, "sh", "-c", READ_ALL, env=env)) == told(oracle)
    data = os.urandom(3_000_000)
    done = docker(*command, "sh", "-c", "md5sum; echo errors >&2; exit 9", env=env, input=data, text=False, check=False)
    assert (done.returncode, done.stderr) == (9, b"errors\n")  # type: ignore[comparison-overlap]
    assert done.stdout.split()[0].decode() == hashlib.md5(data).hexdigest()  # type: ignore[attr-defined]


@pytest.mark.parametrize("title", CONTAINERS if FULL else KINDS[1:2])
def test_from_elsewhere_it_is_what_docker_exec_gives(
    start: Callable[..., str], docker: Call, remote: Remote, title: str
) -> None:
    name = start(title)
    words, env = remote.tls()
    oracle = docker("exec", name, "sh", "-c", READ_ALL)
    ours = docker(*words, "nsenter", "--helper-image", remote.image, name, "sh", "-c", READ_ALL, env=env)
    assert told(ours) == told(oracle)


def test_an_image_that_is_not_there_and_cannot_be_pulled_is_named(run: Run, remote: Remote, docker: Call) -> None:
    words, env = remote.tls()
    env = {**env, "DOCKER_NSENTER_HELPER_IMAGE": "localhost:9/no/python:1"}
    done = docker(*words, "nsenter", run(), "true", env=env, check=False)
    assert done.returncode == 125
    assert "the engine has no image localhost:9/no/python:1 for the helper; pulling it (once)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "python", ["", "printf '#!/bin/sh\\necho no such luck >&2; exit 1' >/bin/python3"], ids=["none", "one that fails"]
)
def test_an_image_without_a_python_that_works_is_no_helper(
    run: Run, helper: Call, docker: Call, tmp_path: Path, python: str
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN {python or 'true'}; chmod 755 /bin/*\n")
    docker("build", "--network", "none", "-t", "nsenter-test-luckless", str(tmp_path), timeout=100)
    try:
        done = helper("--helper-image", "nsenter-test-luckless", run(), "true")
        why = "no such luck" if python else 'exec: "python3": executable file not found in $PATH'
        words = "the helper of image nsenter-test-luckless did not start, which takes Python 3.10 or newer"
        assert (done.returncode, done.stderr) == (125, f"docker nsenter: {words}: {why}\n")
        wait_until(lambda: not docker("ps", "-aq", "--filter", f"label={LABEL}").stdout, "nothing of it is left")
    finally:
        docker("rmi", "-f", "nsenter-test-luckless", check=False)


# --- the command's bytes, signals, terminal, end -------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 42, 125, 127, 255])
def test_the_exit_status_comes_back(run: Run, helper: Call, status: int) -> None:
    assert helper(run(), "sh", "-c", f"exit {status}").returncode == status


def test_what_ends_or_stops_a_command_is_told_as_on_the_local_route(run: Run, helper: Call) -> None:
    name = run()
    assert helper(name, "sh", "-c", "kill -SEGV $$").returncode == 128 + signal.SIGSEGV
    missing = helper(name, "sl")
    assert (missing.returncode, missing.stderr) == (
        127,
        "docker nsenter: cannot run sl: no such program on the PATH\n",
    )
    assert helper(name, "/etc/passwd").returncode == 126


def test_bytes_pass_a_helper_untouched(run: Run, engine: Engine) -> None:
    data = os.urandom(100_000_000 if FULL else 5_000_000)
    words = ["docker", "nsenter", "--route", "helper", run(), "cat"]
    done = subprocess.run(words, input=data, capture_output=True, env=engine, timeout=100, check=True)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert done.stderr == b""


def test_a_command_that_reads_nothing_leaves_the_loops_input(run: Run, engine: Engine) -> None:
    line = f"seq 3 | while read -r x; do docker nsenter --route=helper {run()} true; echo $x; done"
    done = subprocess.run(["sh", "-c", line], env=engine, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.split() == ["1", "2", "3"], done.stderr


def test_a_reader_that_goes_ends_the_command(run: Run, engine: Engine) -> None:
    line = f"docker nsenter --route=helper {run()} yes | head -n1; echo ended"
    done = subprocess.run(["sh", "-c", line], env=engine, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "y\nended\n"


def test_a_signal_reaches_the_command(run: Run, docker: Call, engine: Engine) -> None:
    name = run()
    words = ["docker", "nsenter", "--route=helper", name, "sleep", "4321"]
    client = subprocess.Popen(words, env=engine, stdin=subprocess.DEVNULL)
    wait_until(lambda: any("4321" in line for line in processes(docker, name)), "the command runs", 60)
    os.kill(children(client.pid)[0], signal.SIGTERM)
    assert client.wait(30) == 128 + signal.SIGTERM


def test_a_stop_stops_both_sides_and_goes_on(run: Run, docker: Call, engine: Engine) -> None:
    name = run()
    words = ["docker", "nsenter", "--route=helper", name, "sleep", "9753"]
    client = subprocess.Popen(words, env=engine, stdin=subprocess.DEVNULL, preexec_fn=os.setpgrp)  # noqa: PLW1509 - not an orphaned one
    try:
        wait_until(lambda: any("9753" in line for line in processes(docker, name)), "the command runs", 60)

        def stopped() -> bool:
            rows = docker("top", name, "-eo", "pid,stat,args").stdout.splitlines()
            return any("T" in row.split()[1] for row in rows if "9753" in row)

        os.killpg(client.pid, signal.SIGTSTP)
        wait_until(stopped, "the command stops", 30)
        wait_until(lambda: "State:\tT" in Path(f"/proc/{client.pid}/status").read_text(), "docker stops too", 30)
        os.killpg(client.pid, signal.SIGCONT)
        wait_until(lambda: not stopped(), "it goes on", 30)
    finally:
        client.kill()
        client.wait()


@pytest.mark.parametrize("milliseconds", [0, 20])
def test_a_stop_that_is_taken_back_at_once_stops_nobody(run: Run, engine: Engine, milliseconds: float) -> None:
    """^Z and fg while the helper's side is only being stopped: a client that stopped then would stay so."""
    words = ["docker", "nsenter", "--route=helper", run(), "sh", "-c", "echo in; sleep 0.1; exit 3"]
    for _ in range(4):
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        client = subprocess.Popen(words, env=engine, **streams, preexec_fn=os.setpgrp)  # type: ignore[call-overload] # noqa: PLW1509 - not an orphaned one
        assert client.stdout and client.stdout.readline() == b"in\n"
        os.killpg(client.pid, signal.SIGTSTP)
        time.sleep(milliseconds / 1000)
        os.killpg(client.pid, signal.SIGCONT)
        try:
            assert client.wait(20) == 3
        finally:
            client.kill()
            client.communicate()


def test_control_z_stops_an_entered_command_that_has_no_shell(run: Run, engine: Engine) -> None:
    outer = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], env=engine, timeout=60, encoding="utf-8")
    outer.expect(PROMPT)
    outer.sendline(f"docker nsenter --route=helper -t {run()} sh -c 'echo ready; sleep 2; kill -STOP $$; echo again'")
    outer.expect("ready\r\n")
    time.sleep(2.5)
    stop_and_continue(outer, PROMPT)


def test_a_detached_command_outlives_its_helper(run: Run, docker: Call, helper: Call) -> None:
    name = run()
    done = helper("-d", name, "sleep", "7531")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    wait_until(lambda: not left(docker), "the helper is gone", 60)
    assert any("7531" in line for line in processes(docker, name))


def resize_and_interrupt(shell: "pexpect.spawn[str]") -> None:
    """Change the size of a shell's terminal, and end a program in it by ^C."""
    shell.setwinsize(20, 50)
    time.sleep(1)
    shell.sendline("stty size")
    shell.expect("20 50")
    shell.expect(PROMPT)
    shell.sendline("sleep 1000")
    time.sleep(1)
    shell.sendintr()
    shell.expect(PROMPT)


def test_a_terminal_by_a_helper_is_the_containers(run: Run, engine: Engine) -> None:
    words = ["nsenter", "--route", "helper", run()]
    shell = pexpect.spawn("docker", words, env=engine, timeout=60, encoding="utf-8", dimensions=(33, 101))
    shell.expect(PROMPT)
    shell.sendline("tty; stty size; echo TERM=$TERM")
    shell.expect(r"/dev/pts/\d+\r\n33 101\r\nTERM=xterm")
    shell.expect(PROMPT)
    resize_and_interrupt(shell)
    shell.sendline("echo status=$?")
    shell.expect("status=130")
    shell.expect(PROMPT)
    shell.sendline("exit 9")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 9


def test_a_helper_without_the_containers_files_has_the_machines(
    run: Run, helper: Call, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "here").write_text("this machine's\n")
    name = run()
    assert helper("--net-only", name, "cat", "here", cwd=tmp_path).stdout == "this machine's\n"
    assert helper("--pid-only", name, "ls", "/proc/1/exe").returncode == 0
    shown = helper("--net-only", name, "env", env={**engine, "MINE": "yes"}).stdout.splitlines()
    assert "MINE=yes" in shown
    assert not any(line.startswith(("DOCKER_NSENTER", "DOCKER_CLI_PLUGIN")) for line in shown)


# --- the choice, and what is said of it ----------------------------------------------------------------------------


def test_root_on_the_engines_machine_enters_without_a_helper(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    assert "route: local" in docker("-D", "nsenter", name, "true").stderr
    assert "Nothing was run. It would run directly: process" in " ".join(nsenter("--dry-run", name).stdout.split())
    shown = nsenter("--dry-run", "--route", "helper", name).stdout
    assert "Nothing was run. It would run by a helper: as --route says." in " ".join(shown.split())
    assert json.loads(nsenter("--dry-run", "--format=json", "--route=helper", name).stdout)["route"]["name"] == "helper"


def test_a_process_without_an_engine_has_no_helper(nsenter: Call) -> None:
    done = nsenter("--route", "helper", "pid:1", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("docker nsenter: a helper needs an engine, and none answers")


# --- nothing stays -------------------------------------------------------------------------------------------------


def left(docker: Call) -> str:
    """List what is left of helpers on the engine."""
    shown = docker("ps", "-aq", "--filter", f"label={LABEL}").stdout
    return shown + docker("images", "-aq", "--filter", f"label={LABEL}").stdout


def lists(docker: Call) -> list[list[str]]:
    """List the engine's volumes and images."""
    return [sorted(docker(*words, "-q").stdout.split()) for words in (("volume", "ls"), ("images", "-a"))]


def mounts(docker: Call) -> int:
    """Count the file systems that the engine has mounted."""
    place = docker("info", "-f", "{{.DockerRootDir}}").stdout.strip()
    return sum(place in line for line in Path("/proc/self/mountinfo").read_text().splitlines())


@pytest.mark.timeout(900)
def test_helpers_that_are_killed_at_random_leave_nothing(run: Run, docker: Call, engine: Engine) -> None:
    name = run()
    before = lists(docker), mounts(docker)
    chance = random.Random(4)
    for _ in range(25 if FULL else 4):
        clients = [
            subprocess.Popen(
                ["docker", "nsenter", "--route=helper", name, "sleep", "0.3"],
                env=engine,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for _ in range(4)
        ]
        for client in clients[:2]:
            time.sleep(chance.random())
            if chance.random() < 0.5:
                os.killpg(client.pid, signal.SIGKILL)
            else:
                client.kill()  # docker alone: the plugin learns of it
        for client in clients:
            client.wait(100)
    wait_until(lambda: not left(docker), "no container or image of a helper is left", 120)
    wait_until(lambda: mounts(docker) == before[1], "no mount is left", 60)
    assert lists(docker) == before[0]


def test_what_nobody_could_remove_is_removed_by_the_next_entry(
    docker: Call, engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper that was created and never started, and an empty image, when even the watcher was killed."""
    endpoint = Endpoint(engine["DOCKER_HOST"], "default")
    lost = "docker-nsenter-0123456789ab"
    docker("create", "--name", f"{lost}-1", "--label", f"{LABEL}={lost}", "--network", "none", BUSYBOX, "true")
    images.empty(endpoint, lost)
    mine = run()
    monkeypatch.setattr(reaper, "STALE", 3600.0)
    reaper._remove_stale(endpoint)
    assert left(docker), "others may be at work with what is fresh"
    monkeypatch.setattr(reaper, "STALE", -1.0)
    reaper._remove_stale(endpoint)
    assert not left(docker)
    assert docker("inspect", "-f", "{{.State.Running}}", mine).stdout == "true\n"


def test_what_only_carries_our_label_is_nobodys_to_remove(
    docker: Call, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image hands its labels on: whose helper was committed has images, containers and volumes that carry ours."""
    lost, kept = "docker-nsenter-0123456789ab", []
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("precious")
    packed = subprocess.run(["tar", "-C", tmp_path / "tree", "-c", "."], capture_output=True, check=True).stdout
    for label in (lost, "anything"):
        words = ["docker", "import", "-c", f"LABEL {LABEL}={label}", "-c", "VOLUME /data", "-"]
        image = subprocess.run(words, input=packed, env=engine, capture_output=True, check=True).stdout.decode().strip()
        name = f"stranger-{label}"
        docker("create", "--name", name, "--network", "none", image, "nothing")
        kept += [image, name]
    monkeypatch.setattr(reaper, "STALE", -1.0)
    endpoint = Endpoint(engine["DOCKER_HOST"], "default")
    try:
        reaper._remove_stale(endpoint)
        monkeypatch.setattr(reaper, "PATIENCE", 1.0)
        reaper._remove(endpoint, lost, b"cid")
        for each in kept:
            docker("inspect", each)
    finally:
        docker("rm", "-v", *kept[1::2], check=False)
        docker("rmi", *kept[::2], check=False)


@pytest.mark.parametrize("victim", ["docker", "plugin"])
def test_a_killed_client_takes_the_command_along(run: Run, docker: Call, engine: Engine, victim: str) -> None:
    name = run()
    words = ["docker", "nsenter", "--route=helper", name, "sleep", "8642"]
    client = subprocess.Popen(words, env=engine, stdin=subprocess.DEVNULL)
    wait_until(lambda: any("8642" in line for line in processes(docker, name)), "the command runs", 60)
    os.kill(client.pid if victim == "docker" else children(client.pid)[0], signal.SIGKILL)
    client.wait(30)
    wait_until(lambda: not any("8642" in line for line in processes(docker, name)), "the command ends", 60)
    wait_until(lambda: not left(docker), "the helper ends", 60)


@pytest.mark.parametrize("route", ["auto", "local"])
def test_from_inside_a_container_that_has_the_engines_socket_and_the_hosts_files(
    run: Run, docker: Call, engine: Engine, route: str
) -> None:
    """Its /proc counts the host's processes, and it is none of them: the numbers there are not ours to enter by."""
    name = run()
    words = ["-v", "/:/host", "-e", f"DOCKER_HOST={engine['DOCKER_HOST']}", "-e", f"PATH={os.environ['PATH']}"]
    plugin = str(Path(__file__).resolve().parents[2] / "plugin/docker-nsenter")
    line = ["chroot", "/host", plugin, "nsenter", "--route", route, name, "sh", "-c", "hostname; exit 7"]
    words = ["docker", "run", "--rm", "--network", "none", *words, BUSYBOX, *line]
    done = subprocess.run(words, env=engine, capture_output=True, text=True, check=False, timeout=120)
    if route == "auto":
        inside = docker("exec", name, "hostname").stdout
        assert (done.returncode, done.stdout, done.stderr) == (7, inside, "")
    else:
        assert done.returncode == 125
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("docker nsenter: ")
