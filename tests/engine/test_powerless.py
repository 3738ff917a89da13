"""While the command runs, what stays of us on the host holds no power but to signal it."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest

from ..conftest import Call, Run, children, wait_until

Engine = dict[str, str]
KILL, FOLLOW = "0000000000000020", "0000000000080004"  # SYS_PTRACE and DAC_READ_SEARCH, of the watcher of --why
NOTHING = "0000000000000000"
# the caller's descriptors, pipes, terminals, docker's socket: no directory, no cgroup, no namespace
CARRIED = re.compile(r"pipe:|socket:|/dev/(null|pts/|ptmx)|anon_inode:\[pidfd\]|/tmp/")


def family(pid: int) -> list[int]:
    """List a process's descendants in this pid namespace."""
    here = os.readlink("/proc/self/ns/pid")
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):  # the planner and the installer end meanwhile
        for child in children(pid):
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            # --net-only's command is in this pid namespace, too, and not ours
            inside = b"4711" in Path(f"/proc/{child}/cmdline").read_bytes()
            found += [child] if os.readlink(f"/proc/{child}/ns/pid") == here and not inside else []
            found += family(child)
    return found


def status(pid: int) -> dict[str, str]:
    """Read what /proc tells of a process."""
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def assert_powerless(pid: int, held: str = KILL) -> None:
    """See that a process holds this capability alone, can get no other, and is filtered."""
    found = status(pid)
    assert [found[name] for name in ("CapPrm", "CapEff")] == [held, held], Path(f"/proc/{pid}/cmdline").read_bytes()
    assert [found[name] for name in ("CapBnd", "CapInh", "CapAmb")] == [NOTHING] * 3
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    files = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    assert not [file for file in files if not CARRIED.match(file)]


@pytest.mark.parametrize("mode", ["-t", "-T -i", "-T", "-t --tools host", "-T --net-only", "-t -u 1000"])
def test_the_supervisor_holds_nothing_but_kill(run: Run, engine: Engine, mode: str) -> None:
    words = ["nsenter", *mode.split(), run(), "sleep", "4711"]
    client = pexpect.spawn("docker", words, env=engine, timeout=20)
    ours = wait_until(lambda: settled(client.pid), "only the supervisor is left, and its guardian")
    for pid in ours:
        assert_powerless(pid)
    client.close(force=True)


def settled(docker: int) -> list[int]:
    """List our processes once they are those that stay, each with its filter; first the supervisor.

    Where the command's label changes, AppArmor's or SELinux's, a guardian is one of them.
    """
    found = family(docker)
    with suppress(FileNotFoundError, ProcessLookupError):
        words = [Path(f"/proc/{pid}/cmdline").read_text() for pid in found]
        if not any("(installer)" in each for each in words) and all(status(pid)["Seccomp"] == "2" for pid in found):
            return found
    return []


def watching(docker: int) -> list[int]:
    """List the supervisor and the watcher, once that one is there."""
    found = settled(docker)
    with suppress(FileNotFoundError, ProcessLookupError):
        watchers = [pid for pid in found if status(pid)["CapEff"] == FOLLOW]
        return [found[0], *watchers] if watchers else []
    return []


def test_the_watcher_of_why_can_only_follow_and_read(run: Run, engine: Engine) -> None:
    client = pexpect.spawn("docker", ["nsenter", "--why", run(), "sleep", "4711"], env=engine, timeout=20)
    supervisor, watcher = wait_until(lambda: watching(client.pid), "the watcher runs")
    assert_powerless(supervisor)
    assert_powerless(watcher, FOLLOW)
    client.close(force=True)


@pytest.mark.parametrize("mode", ["-t", "-T -i"])
def test_a_helpers_processes_hold_nothing_but_kill(run: Run, docker: Call, engine: Engine, mode: str) -> None:
    words = ["nsenter", "--route=helper", *mode.split(), run(), "sh", "-c", "echo ready; sleep 4711"]
    client = pexpect.spawn("docker", words, env=engine, timeout=60)
    client.expect("ready")
    helper = docker("ps", "-q", "--filter", "label=com.github.docker-nsenter.helper").stdout.split()
    relay = int(docker("inspect", "-f", "{{.State.Pid}}", helper[0]).stdout)
    stage2 = wait_until(lambda: family(relay), "stage 2 runs")[0]
    for pid in (relay, stage2):
        wait_until(lambda pid=pid: status(pid)["Seccomp"] == "2", "it is filtered")
        assert_powerless(pid)
    client.close(force=True)


def test_nothing_of_ours_stays_beside_a_detached_command(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    assert nsenter("-d", name, "sleep", "4712").returncode == 0
    rows = [row for row in docker("top", name, "-eo", "pid,ppid,args").stdout.splitlines() if "4712" in row]
    parent = int(rows[0].split()[1])
    assert parent == 1 or "nsenter" not in Path(f"/proc/{parent}/comm").read_text()


def outcome(act: Callable[[], object]) -> "int | str":
    """Do something as a carrier in a child; return the signal that ended it, its errno's name, or ''."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        from docker_nsenter.enter.hardening import powerless

        try:
            powerless.carrier(os.getpid(), (writer,))
            act()
            os.write(writer, b"done")
        except OSError as problem:
            os.write(writer, os.strerror(problem.errno or 0).encode())
        os._exit(0)
    os.close(writer)
    said = os.read(reader, 100).decode()
    os.close(reader)
    _, ended = os.waitpid(pid, 0)
    return os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else said


def as_if(code: str) -> Callable[[], object]:
    """Compile what the child does."""
    names: dict[str, object] = {}
    exec("import fcntl, os, signal, socket, time, select\nfrom docker_nsenter.enter.linux import syscalls", names)  # noqa: S102
    return lambda: exec(code, names)  # noqa: S102


SIGSYS = 31
REFUSED = "Operation not permitted"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("os.open('/etc/shadow', os.O_RDONLY)", REFUSED),
        ("os.kill(1, 0)", REFUSED),
        ("os.kill(os.getppid(), 0)", REFUSED),
        ("os.kill(-1, 0)", REFUSED),
        ("fcntl.ioctl(0, 0x5412, b'x')", REFUSED),  # TIOCSTI
        ("fcntl.fcntl(1, 1026, 0)", REFUSED),  # F_NOTIFY
        ("syscalls.mmap(0, 4096, 7, 0x22, -1)", REFUSED),
        ("socket.socket(socket.AF_UNIX)", REFUSED),
        ("os.setuid(0)", REFUSED),
        ("syscalls.prctl(4, 1)", REFUSED),
        ("os.unlink('/nowhere')", REFUSED),
        ("os.execv('/bin/true', ['true'])", SIGSYS),
        ("os.fork()", SIGSYS),
        ("syscalls.ptrace(0x4206, 1, 0, 0)", SIGSYS),
        ("syscalls.unshare(0)", SIGSYS),
        ("os.kill(os.getpid(), 0); os.killpg(0, 0)", "done"),
        ("os.isatty(0); os.isatty(1); time.sleep(0.01); time.monotonic(); select.select([], [], [], 0.01)", "done"),
        ("x = [bytes(1 << n) for n in range(24)]; del x; y = bytearray(9); [y.extend(y) for _ in range(20)]", "done"),
        ("r, w = 1, 1; os.fstat(1); os.set_blocking(1, True); os.get_blocking(1)", "done"),
        ("signal.signal(signal.SIGTSTP, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, [22])", "done"),
    ],
)
def test_the_filter_lets_a_carrier_work_and_nobody_else(code: str, expected: "int | str") -> None:
    assert outcome(as_if(code)) == expected


def test_a_flood_and_a_kill_pass_through_the_filter(run: Run, nsenter: Call) -> None:

    name = run()
    done = nsenter(name, "sh", "-c", "seq 1 200000; kill -9 $$")
    assert done.returncode == 137
    assert done.stdout.splitlines()[-1] == "200000"
    assert done.stderr == ""
