"""Each flag joins what it says, and partial joins tell the truth."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import Call, Run, children, wait_until

KINDS = {"mount": "mnt", "uts": "uts", "ipc": "ipc", "net": "net", "pid": "pid", "cgroup": "cgroup"}
ALIASES = {"--network": "net", "--cgroupns": "cgroup", "--network-only": "net"}
PidOf = Callable[[str], int]


def command_of(pid: int) -> str:
    """Name the program of a process; '' when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
    except OSError:
        return ""


def sleeping(client: int) -> int:
    """Find the entered command, a grandchild of docker's; 0 while there is none."""
    try:
        return next(
            (each for plugin in children(client) for each in children(plugin) if command_of(each) == "sleep"), 0
        )
    except OSError:
        return 0


@pytest.fixture
def joined(run: Run, engine: dict[str, str], pid_of: PidOf) -> Callable[..., set[str]]:
    """Tell which namespaces a command has joined, read from outside: not every entry sees itself in /proc."""
    name = run("--cgroupns", "private")
    pid = pid_of(name)

    def look(*options: str) -> set[str]:
        client = subprocess.Popen(
            ["docker", "nsenter", *options, name, "sleep", "1000"], env=engine, stdin=subprocess.DEVNULL
        )
        try:
            # docker's first child only answers the handshake
            entered = wait_until(lambda: sleeping(client.pid), "it executes")
            shown = {kind: os.readlink(f"/proc/{entered}/ns/{kind}") for kind in KINDS.values()}
            inside = {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in KINDS.values()}
            return {kind for kind in KINDS.values() if shown[kind] == inside[kind]}
        finally:
            client.kill()  # the plugin sees that and ends what it entered
            client.wait(10)

    return look


@pytest.mark.parametrize("word", KINDS)
def test_a_flag_joins_only_what_it_names(joined: Callable[..., set[str]], word: str) -> None:
    assert joined(f"--{word}") == {KINDS[word]}
    assert joined(f"--{word}-only") == {KINDS[word]}


@pytest.mark.parametrize("word", KINDS)
def test_a_no_flag_joins_all_but_that_one(joined: Callable[..., set[str]], word: str) -> None:
    assert joined(f"--no-{word}") == set(KINDS.values()) - {KINDS[word]}


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_same(joined: Callable[..., set[str]], alias: str) -> None:
    assert joined(alias) == {ALIASES[alias]}


def test_flags_add_up(joined: Callable[..., set[str]]) -> None:
    assert joined("--net", "--uts", "--ipc") == {"net", "uts", "ipc"}
    assert joined() == joined("--all") == set(KINDS.values())
    assert joined("--no-net", "--no-uts") == set(KINDS.values()) - {"net", "uts"}


@pytest.mark.parametrize(
    "options", [("--net-only", "--pid"), ("--net-only", "--uts-only"), ("--net", "--no-pid"), ("--all", "--net")]
)
def test_contradictions_are_usage_errors(nsenter: Call, options: tuple[str, ...]) -> None:
    done = nsenter(*options, "web")
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) <= 2


def test_pid_without_mount_shows_the_containers_processes(run: Run, nsenter: Call) -> None:
    done = nsenter("--pid", run(), "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '; ls -d /proc/[0-9]* | wc -l")
    assert done.stdout.startswith("sleep 100000"), done
    assert int(done.stdout.split()[-1]) < 10


def test_net_without_mount_shows_the_containers_interfaces(run: Run, nsenter: Call) -> None:
    assert nsenter("--net-only", run(), "ls", "/sys/class/net").stdout.split() == ["lo"]


def test_the_hosts_tools_work_in_the_containers_network(run: Run, nsenter: Call) -> None:
    shown = nsenter("--net-only", run(), "python3", "-c", "print(open('/proc/net/dev').read())").stdout
    assert [line.split(":")[0].strip() for line in shown.splitlines() if ":" in line] == ["lo"]


def test_private_mounts_are_seen_by_nobody_else(run: Run, nsenter: Call) -> None:
    name = run()
    before = Path("/proc/self/mountinfo").read_text()
    shown = nsenter("--pid", "--net", name, "cat", "/proc/self/mountinfo").stdout
    assert Path("/proc/self/mountinfo").read_text() == before
    assert len(shown.splitlines()) == len(before.splitlines()) + 2


def test_the_caller_stays_the_caller_without_mount(
    run: Run, nsenter: Call, engine: dict[str, str], tmp_path: Path
) -> None:
    done = nsenter(
        "--net-only",
        run("--user", "app"),
        "sh",
        "-c",
        "id -u; pwd; echo $MINE",
        cwd=tmp_path,
        env={**engine, "MINE": "yes"},
    )
    assert done.stdout.split() == ["0", str(tmp_path), "yes"]


def test_capabilities_are_the_containers_and_a_guard_with_net_alone(run: Run, nsenter: Call) -> None:
    name = run("--cap-drop", "ALL", "--cap-add", "NET_RAW")
    assert "CapEff:\t0000000800002000" in nsenter("--net-only", name, "cat", "/proc/self/status").stdout
    assert "Seccomp:\t2" in nsenter("--net-only", name, "cat", "/proc/self/status").stdout


def test_pid_n_enters_without_the_engine(run: Run, nsenter: Call, pid_of: PidOf, engine: dict[str, str]) -> None:
    name = run("--user", "app", "--cap-drop", "ALL")
    env = {**engine, "DOCKER_HOST": "unix:///nowhere.sock"}
    done = nsenter(f"pid:{pid_of(name)}", "sh", "-c", "id -u; cat /proc/1/cmdline", env=env)
    assert done.stdout.startswith("1000\nsleep"), done.stderr
