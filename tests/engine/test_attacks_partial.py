"""Attack: entries with more than their container has; test_attacks_entries.py tries them all, this one the guard.

The guard is chosen by what is there: each kind of process that could see the command, also the ones that hide.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from docker_nsenter.enter.hardening import guard
from docker_nsenter.enter.linux import capabilities

from ..attack import FREE, Entry, Field, Result
from ..attack import build as build_attacker
from ..conftest import Call, Run, wait_until
from ..patience import PATIENCE
from .conftest import Plugin, build

Engine = dict[str, str]
DEFENCELESS = ("enter/hardening/guard.py", "    if not entry.beyond:\n", "    if True:\n")
# A first thread that gives everything away, or ends, while another keeps what the container has
HIDES = r"""
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
static void *stay(void *_) { for (;;) pause(); }
static void give_away(void) {
    for (int each = 0; prctl(PR_CAPBSET_READ, each) >= 0; each++) prctl(PR_CAPBSET_DROP, each);
    stay(0);
}
int main(int count, char **words) {
    pthread_t other;
    /* Not as the first process: an engine takes one without a first thread for ended, and leaves the rest */
    if (fork()) give_away();
    alarm(30);
    pthread_create(&other, 0, stay, 0);
    if (count > 1) pthread_exit(0);
    give_away();
}
"""


def held(text: str, field: str = "CapPrm") -> list[str]:
    """Read a set out of /proc/PID/status."""
    return capabilities.names(int(text.partition(f"{field}:\t")[2].partition("\n")[0], 16))


@pytest.fixture
def field(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """Attackers in a container, beside it, and one that sees all."""
    directory = tmp_path_factory.mktemp("field")
    for each in (directory, *directory.parents[:2]):
        each.chmod(0o755)
    with Field(engine, directory) as made:
        made.target()
        yield made


@pytest.mark.parametrize(
    "options",
    [
        ("--pid",),
        ("--pid", "-u", "1000"),
        ("--pid", "--cap-drop", "ALL"),
        ("--net-only",),
        ("--no-net",),
        ("--security-opt", "seccomp=unconfined"),
        ("--no-join-cgroup",),
    ],
    ids=" ".join,
)
def test_with_the_guard_nobody_reaches_what_everybody_reaches_without_it(
    field: Field, nsenter: Call, plugin: Plugin, options: tuple[str, ...]
) -> None:
    results = []
    for call in (nsenter, plugin(DEFENCELESS)):
        result = Result(Entry(()), field.mark())
        field.results[result.mark] = result
        done = call(*options, field.target(), *field.script(result.mark, "0.5"))
        assert done.returncode == 0, done.stderr
        results.append(result)
    field.collect()
    assert all(result.tried for result in results)
    assert not results[0].reached
    assert results[1].reached


@pytest.mark.parametrize("user", ["0", "1000"])
def test_the_guard_is_kept_through_execve_and_fork(run: Run, nsenter: Call, user: str) -> None:
    script = "cat /proc/self/status; (exec sh -c 'cat /proc/self/status')"
    shown = nsenter("--pid", "-u", user, run(), "sh", "-c", script).stdout
    for text in shown.split("Name:")[1:]:
        for name in ("CapPrm", "CapEff", "CapBnd", *(["CapAmb", "CapInh"] if user != "0" else [])):
            assert "WAKE_ALARM" in held(text, name), name
    assert shown.count("CapAmb") == 2


@pytest.mark.parametrize("more", [(), ("-u", "1000"), ("--privileged",)], ids=" ".join)
def test_a_full_entry_has_no_guard_and_looks_at_nobody(
    run: Run, nsenter: Call, plugin: Plugin, more: list[str]
) -> None:
    name = run()
    blind = plugin(("enter/hardening/guard.py", "    seen = _look(entry)\n", "    raise EntryError('looked')\n"))
    done = blind(*more, name, "true")
    assert ("looked" in done.stderr) == ("--privileged" in more)
    assert held(nsenter(name, "cat", "/proc/1/status").stdout) == held(nsenter(name, "cat", "/proc/self/status").stdout)


def test_who_sees_the_command_decides_which_guard_it_gets(run: Run, nsenter: Call) -> None:
    name = run()
    for capability in capabilities.HARMLESS:
        assert capability in held(nsenter("--pid", name, "cat", "/proc/self/status").stdout)
        run("--pid", f"container:{name}", "--cap-add", capability)
    done = nsenter("--pid", name, "true")
    assert done.returncode == 125
    assert "containers could take over this command, as no capability is left that they lack" in done.stderr
    assert done.stderr.endswith(f"hint: docker nsenter --tools host {name} true\n")


def test_our_own_commands_do_not_use_the_guards_up(run: Run, nsenter: Call, engine: Engine) -> None:
    name = run()
    words = ["docker", "nsenter", "--pid", name, "sleep", "30"]
    others = [subprocess.Popen(words, env=engine, stdin=subprocess.DEVNULL) for _ in range(5)]
    try:
        wait_until(lambda: nsenter("--pid", name, "ps", "ax").stdout.count("sleep 30") >= 5, "five of ours", 30)
        assert "WAKE_ALARM" in held(nsenter("--pid", name, "cat", "/proc/self/status").stdout)
    finally:
        for each in others:
            each.kill()
            each.wait()


@pytest.mark.parametrize("who", ["itself", "beside it", "agent"])
@pytest.mark.parametrize("how", ["plain", "first thread without", "first thread ended"])
def test_beside_a_process_that_may_trace_nothing_is_run(
    run: Run, nsenter: Call, tmp_path: Path, who: str, how: str
) -> None:
    program = build(tmp_path, "hides", HIDES, "-static", "-pthread")
    bind = ("-v", f"{program}:/hides:ro")
    command = {"plain": ("sleep", "999"), "first thread without": ("/hides",), "first thread ended": ("/hides", "end")}[
        how
    ]
    flags = ("--cap-add", "SYS_PTRACE", *bind)
    if who == "itself":
        name = run(*flags, command=command)
    else:
        name = run()
        run("--pid=host" if who == "agent" else f"--pid=container:{name}", *flags, command=command)
    time.sleep(0.3)
    done = nsenter("--pid", name, "touch", str(tmp_path / "it-ran"))
    assert done.returncode == 125
    assert "could take over this command by its capabilities (SYS_PTRACE)" in done.stderr
    assert done.stderr.endswith(f"hint: docker nsenter --tools host {name} touch {tmp_path}/it-ran\n")
    assert not (tmp_path / "it-ran").exists()
    assert nsenter("--tools", "host", name, "true").returncode == 0  # the safe line is one


def test_who_may_read_every_environment_is_no_bystander(run: Run, nsenter: Call) -> None:
    """CAP_SYS_ADMIN is enough for environ and maps (perfmon_capable, Linux 6.18)."""
    done = nsenter("--pid", run("--cap-add", "SYS_ADMIN"), "true")
    assert done.returncode == 125
    assert "by its capabilities (SYS_ADMIN)" in done.stderr


@pytest.mark.parametrize(
    "flags", [("--cap-add", "SYS_MODULE"), ("--cap-add", "SYS_MODULE", "--pid=host")], ids=" ".join
)
def test_beside_who_is_the_hosts_root_anyway_it_goes_on_and_says_so(
    run: Run, nsenter: Call, flags: tuple[str, ...]
) -> None:
    name = run() if "--pid=host" in flags else run(*flags)
    if "--pid=host" in flags:
        run(*flags)
    done = nsenter("--pid", name, "echo", "went on")
    assert (done.returncode, done.stdout) == (0, "went on\n")
    assert "it is this machine's root anyway" in done.stderr
    assert nsenter(name, "true").stderr == ""


def test_a_container_may_not_hide_by_the_hosts_root(run: Run, nsenter: Call) -> None:
    """One that was given the host's files read-only, and makes them its root directory."""
    name = run()
    run("--pid=host", "--cap-add", "SYS_PTRACE", "-v", "/:/host:ro", command=("chroot", "/host", "sleep", "999"))
    time.sleep(0.3)
    assert nsenter("--net-only", name, "true").returncode == 125


@pytest.mark.parametrize("route", ["local", "helper"])
def test_both_routes_have_the_guard(run: Run, nsenter: Call, route: str) -> None:
    done = nsenter("--route", route, "--net-only", run(), "cat", "/proc/self/status")
    assert "WAKE_ALARM" in held(done.stdout), done.stderr


def test_a_dry_run_names_the_guard_and_what_it_keeps(run: Run, nsenter: Call) -> None:
    name = run()
    found = json.loads(nsenter("--dry-run", "--format", "json", "--net-only", name, "ss").stdout)
    assert found["guard"]["capability"] == "WAKE_ALARM"
    assert "this machine's files" in found["guard"]["keeps"]
    assert all("WAKE_ALARM" in found["restrictions"]["you"][each] for each in ("bounding", "permitted", "effective"))
    shown = nsenter("--dry-run", "--net-only", name, "ss").stdout
    assert "guard" in shown
    assert json.loads(nsenter("--dry-run", "--format", "json", name, "ss").stdout)["guard"] is None


def test_a_guard_that_the_kernel_does_not_confirm_ends_the_entry(run: Run, plugin: Plugin, tmp_path: Path) -> None:
    lost = ("enter/steps.py", "    capset.drop_bounding(entry.bounding)\n", "    capset.drop_bounding(entry.bounding ^ entry.guard)\n")  # fmt: skip  # noqa: E501
    done = plugin(lost)("--pid", run(), "touch", str(tmp_path / "it-ran"))
    assert done.returncode == 125
    assert "the kernel does not confirm the restrictions: CapBnd" in done.stderr
    assert not (tmp_path / "it-ran").exists()


# --- the container's programs outside the container's processes or network -------------------------------------------


@pytest.fixture
def hosts(engine: Engine) -> Iterator[tuple[str, int]]:
    """A process and an abstract socket of the host's."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0nsenter-{os.getpid()}")
    listener.listen()
    sleeper = subprocess.Popen(["sleep", "100"])
    yield f"nsenter-{os.getpid()}", sleeper.pid
    sleeper.kill()
    sleeper.wait()
    listener.close()


@pytest.mark.parametrize(
    "options", [("--no-pid", "--no-net"), ("--mount",), ("--mount", "--cap-add", "SYS_PTRACE")], ids=" ".join
)
def test_the_containers_programs_get_no_process_or_socket_of_the_hosts(
    run: Run, nsenter: Call, plugin: Plugin, tmp_path: Path, hosts: tuple[str, int], options: tuple[str, ...]
) -> None:
    attacker = build_attacker(tmp_path)
    name = run("-v", f"{attacker}:/attacker:ro", *FREE)
    attack = (*options, name, "/attacker", "hostile", hosts[0], str(hosts[1]))
    found = nsenter(*attack)
    assert found.stdout == "RUNS\n", found.stderr
    open_to = plugin(("enter/entry.py", 'self.plan["capabilities"]["base"] != "caller"', "False"))
    reached = open_to(*attack).stdout
    assert f"signal {hosts[1]}" in reached
    assert "socket" in reached


def test_privileged_lifts_that_and_says_so(run: Run, nsenter: Call, tmp_path: Path, hosts: tuple[str, int]) -> None:
    name = run("-v", f"{build_attacker(tmp_path)}:/attacker:ro", *FREE)
    done = nsenter("--privileged", "--mount", name, "/attacker", "hostile", hosts[0], str(hosts[1]))
    assert "REACHED signal" in done.stdout
    assert "REACHED socket" in done.stdout
    for what in ("processes", "network"):
        assert f"docker nsenter: --privileged: the container's programs get this machine's {what}\n" in done.stderr


@pytest.mark.parametrize("options", [("--no-pid",), ("--mount",), ("--no-pid", "-u", "1000")], ids=" ".join)
def test_in_processes_of_its_own_a_command_behaves_as_anywhere(
    run: Run, nsenter: Call, options: tuple[str, ...]
) -> None:
    name = run()
    assert nsenter(*options, name, "sh", "-c", "exit 7").returncode == 7
    assert nsenter(*options, name, "sh", "-c", "kill -TERM $$").returncode == 143
    assert nsenter(*options, name, "sh", "-c", "sleep 0.1 & sleep 0.2; wait; echo ended").stdout == "ended\n"
    with Path("/etc/hostname").open() as file:
        assert nsenter(*options, name, "cat", stdin=file).stdout == Path("/etc/hostname").read_text()
    assert nsenter(*options, name, "nonsense").returncode == 127


def test_in_processes_of_its_own_the_terminals_keys_work(run: Run, engine: Engine) -> None:
    child = pexpect.spawn("docker", ["nsenter", "-t", "--no-pid", run(), "sleep", "100"], env=engine, timeout=20)
    time.sleep(1)
    child.send("\x03")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


@pytest.mark.parametrize("mode", ["-T", "-d", "killed"])
def test_of_processes_of_its_own_nothing_stays_behind(
    run: Run, nsenter: Call, engine: Engine, docker: Call, mode: str
) -> None:
    name = run()
    seconds = f"{os.getpid()}.{len(mode)}"

    def left() -> list[str]:
        found = docker("top", name, "-eo", "pid,args").stdout.splitlines()
        return [line for line in found[1:] if "100000" not in line]

    if mode == "killed":
        words = ["docker", "nsenter", "--no-pid", name, "sleep", seconds]
        client = subprocess.Popen(words, env=engine, stdin=subprocess.DEVNULL, start_new_session=True)
        wait_until(lambda: len(left()) == 2, "the command and its init")
        os.killpg(client.pid, signal.SIGKILL)
        client.wait()
    elif mode == "-d":
        assert nsenter("-d", "--no-pid", name, "sleep", "2").returncode == 0
        assert len(left()) == 2
    else:
        assert nsenter("--no-pid", name, "true").returncode == 0
    wait_until(lambda: not left(), "all of it ended")
    begun = time.monotonic()
    docker("rm", "-f", name)
    assert time.monotonic() - begun < 10 * PATIENCE


def test_a_host_programs_keys_are_not_the_containers(run: Run, nsenter: Call) -> None:
    """Where its files are joined the command has the container's keyring, as by docker exec; elsewhere a new one."""
    number = 250 if os.uname().machine == "x86_64" else 219  # keyctl(KEYCTL_GET_KEYRING_ID, the session's)
    script = f"import ctypes; print(ctypes.CDLL(None).syscall({number}, 0, -3, 0))"
    name = run("--security-opt", "seccomp=unconfined")
    keys = [nsenter("--net-only", name, "python3", "-c", script).stdout for _ in range(2)]
    assert "" not in keys
    assert keys[0] != keys[1]  # a keyring each, where the container's is one


def test_the_table_of_guards_is_known_to_the_kernel() -> None:
    assert all(each in capabilities.NUMBERS for each in capabilities.HARMLESS)
    assert not any(guard.DOCKERS >> capabilities.NUMBERS[each] & 1 for each in capabilities.HARMLESS)
