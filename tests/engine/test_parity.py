"""`docker exec` is the oracle: both read the same /proc and must agree, over every kind of container."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import Call, Done, Run

FIELDS = ("Cap", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups", "Umask", "SigBlk", "SigIgn", "SigCgt")
READINGS = {
    "status": ("cat", "/proc/self/status"),
    "cgroup": ("cat", "/proc/self/cgroup"),
    "limits": ("cat", "/proc/self/limits"),
    "oom_score_adj": ("cat", "/proc/self/oom_score_adj"),
    "environment": ("env",),
    "directory": ("pwd",),
    "label": ("cat", "/proc/self/attr/current"),
    "namespaces": ("sh", "-c", "for n in mnt uts ipc net pid cgroup user; do readlink /proc/self/ns/$n; done"),
}
# runc 1.1 sets the limits of docker exec's process while Go's start in there raises that of open files: about one time
# in eight the soft limit is the hard one
ORACLE_TRIES = 8
# A profile of the user's own: everything but mkdir, and without restart_syscall's permission.
PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat", "restart_syscall"], "action": "SCMP_ACT_ERRNO"}],
}
# Those that other tests take, too
USUAL = (
    "defaults",
    "cap-drop ALL, cap-add CHOWN",
    "cap-add NET_ADMIN",
    "user 1000",
    "user and group-add",
    "no-new-privileges, user",
    "pid=host",
)
CONTAINERS: dict[str, tuple[str, ...]] = {
    "defaults": (),
    "cap-drop ALL": ("--cap-drop", "ALL"),
    "cap-add NET_ADMIN": ("--cap-add", "NET_ADMIN"),
    "cap-drop ALL, cap-add CHOWN": ("--cap-drop", "ALL", "--cap-add", "CHOWN"),
    "user 1000:1000": ("--user", "1000:1000"),
    "user 1000": ("--user", "1000"),
    "named user with groups": ("--user", "app"),
    "group-add": ("--group-add", "1234", "--group-add", "audio"),
    "user and group-add": ("--user", "app:extra", "--group-add", "1234"),
    "unknown user": ("--user", "4242"),
    "no-new-privileges": ("--security-opt", "no-new-privileges"),
    "no-new-privileges, user": ("--security-opt", "no-new-privileges", "--user", "app"),
    "read-only": ("--read-only",),
    "pid=host": ("--pid=host",),
    "net=host": ("--net=host",),
    "uts=host": ("--uts=host",),
    "ipc=host": ("--ipc=host",),
    "pids-limit": ("--pids-limit", "50"),
    "memory": ("--memory", "64m"),
    "ulimit": ("--ulimit", "nofile=512:1024", "--ulimit", "nproc=200:300", "--ulimit", "core=0:0"),
    "oom-score-adj": ("--oom-score-adj", "300"),
    "init": ("--init",),
    "seccomp=unconfined": ("--security-opt", "seccomp=unconfined"),
    "custom seccomp": ("--security-opt", "seccomp=PROFILE"),
    "custom seccomp, no-new-privileges": ("--security-opt", "seccomp=PROFILE", "--security-opt", "no-new-privileges"),
    "workdir": ("-w", "/tmp"),  # noqa: S108
    "workdir that is made": ("-w", "/made/for/it"),
    "workdir of root's, user": ("-w", "/root", "--user", "app"),
    "environment": ("-e", "A=1", "-e", "EMPTY=", "-e", "PATH=/bin:/sbin", "-e", "HOME=/elsewhere"),
    "hostname": ("--hostname", "other.example"),
    "tty": ("-t",),
}


def told(done: Done, reading: str) -> str:
    """Reduce what was read to what must agree."""
    if reading == "status":
        return "\n".join(line for line in done.stdout.splitlines() if line.startswith(FIELDS))
    if reading == "environment":
        return "\n".join(sorted(done.stdout.splitlines()))
    if reading == "label":
        return done.stdout + str(done.returncode)
    return done.stdout


def agree(docker: Call, nsenter: Call, name: str, *options: str) -> None:
    """Read everything both ways and compare."""
    for reading, words in READINGS.items():
        oracle = docker("exec", *options, name, *words, check=reading != "label")
        ours = nsenter(*options, name, *words)
        assert ours.returncode == oracle.returncode, (reading, ours.stderr)
        for _ in range(ORACLE_TRIES if reading == "limits" else 0):
            if told(ours, reading) == told(oracle, reading):
                break
            oracle = docker("exec", *options, name, *words)
        assert told(ours, reading) == told(oracle, reading), reading


@pytest.mark.parametrize("title", CONTAINERS)
def test_the_kernel_says_the_same_as_of_docker_exec(
    start: Callable[..., str], docker: Call, nsenter: Call, title: str
) -> None:
    agree(docker, nsenter, start(title))


@pytest.mark.parametrize(
    "options",
    [
        ("--user", "app"),
        ("--user", "1000"),
        ("--user", "app:audio"),
        ("--user", ":29"),
        ("--user", "0:0"),
        ("--user", "4242:4343"),
        ("--workdir", "/home/app"),
        ("-e", "A=b", "-e", "PATH=/bin"),
        ("-u", "app", "-w", "/root"),
    ],
)
def test_options_mean_what_they_mean_to_docker_exec(
    run: Run, docker: Call, nsenter: Call, options: tuple[str, ...]
) -> None:
    agree(docker, nsenter, run("--group-add", "1234", "-e", "A=first"), *options)


def test_a_shared_ipc_namespace_is_shared(run: Run, docker: Call, nsenter: Call) -> None:
    first = run("--ipc", "shareable")
    agree(docker, nsenter, run(f"--ipc=container:{first}", f"--pid=container:{first}"))


def test_a_container_in_the_network_of_another_is_entered(run: Run, docker: Call, nsenter: Call) -> None:
    """Its /etc/hosts and the like are the other's, so that its mounts don't name it."""
    agree(docker, nsenter, run(f"--network=container:{run()}"))


def test_a_container_with_a_cgroup_of_its_own_view_is_entered(run: Run, docker: Call, nsenter: Call) -> None:
    agree(docker, nsenter, run("--cgroupns", "private"))
    agree(docker, nsenter, run("--cgroupns", "host"))


def capabilities(done: Done) -> dict[str, int]:
    """Read the capability sets out of a status."""
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("Cap")]
    return {name.rstrip(":"): int(value, 16) for name, value in lines}


def test_privileged_keeps_what_the_caller_has(run: Run, nsenter: Call) -> None:
    sets = capabilities(nsenter("--privileged", run(), "cat", "/proc/self/status"))
    own = int(
        next(line for line in Path("/proc/self/status").read_text().splitlines() if "CapBnd" in line).split()[1], 16
    )
    assert sets["CapBnd"] == sets["CapPrm"] == sets["CapEff"] == own


def test_privileged_keeps_the_filter_and_the_groups(run: Run, nsenter: Call) -> None:
    done = nsenter("--privileged", run(), "cat", "/proc/self/status")
    assert "Seccomp:\t2" in done.stdout


@pytest.mark.parametrize(
    ("options", "added", "dropped"),
    [
        (("--cap-add", "SYS_PTRACE"), 1 << 19, 0),
        (("--cap-add", "cap_sys_ptrace,NET_ADMIN"), 1 << 19 | 1 << 12, 0),
        (("--cap-drop", "CHOWN"), 0, 1 << 0),
        (("--cap-drop", "ALL"), 0, (1 << 41) - 1),
        (("--cap-add", "SYS_PTRACE", "--cap-drop", "KILL"), 1 << 19, 1 << 5),
    ],
)
def test_single_capabilities_are_added_and_dropped(
    run: Run, nsenter: Call, options: tuple[str, ...], added: int, dropped: int
) -> None:
    name = run()
    before = capabilities(nsenter(name, "cat", "/proc/self/status"))
    after = capabilities(nsenter(*options, name, "cat", "/proc/self/status"))
    for field in ("CapBnd", "CapPrm", "CapEff"):
        assert after[field] == (before[field] | added) & ~dropped
    assert after["CapInh"] == after["CapAmb"] == 0


def test_an_added_capability_works_for_an_ordinary_user(run: Run, nsenter: Call) -> None:
    sets = capabilities(nsenter("--cap-add", "NET_ADMIN", "-u", "app", run(), "cat", "/proc/self/status"))
    assert sets["CapEff"] == sets["CapAmb"] == 1 << 12


def test_seccomp_unconfined_enters_without_the_filter(run: Run, nsenter: Call) -> None:
    done = nsenter("--security-opt", "seccomp=unconfined", run(), "cat", "/proc/self/status")
    assert "Seccomp:\t0" in done.stdout


def test_no_new_privileges_can_be_asked_for(run: Run, nsenter: Call) -> None:
    done = nsenter("--security-opt", "no-new-privileges", run(), "cat", "/proc/self/status")
    assert "NoNewPrivs:\t1" in done.stdout
    assert "Seccomp:\t2" in done.stdout


def test_the_custom_filter_really_filters(start: Callable[..., str], nsenter: Call) -> None:
    name = start("custom seccomp")
    assert nsenter(name, "mkdir", "/tmp/x").returncode != 0
    assert nsenter("--security-opt", "seccomp=unconfined", name, "mkdir", "/tmp/x").returncode == 0


def test_what_raw_nsenter_may_do_and_we_may_not(run: Run, docker: Call, nsenter: Call) -> None:
    """The article's warning: a process that raw nsenter starts has all of the host's power."""
    name = run()
    pid = docker("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
    for words in (
        ("mount", "-t", "tmpfs", "none", "/var"),
        ("mknod", "/dev/disk", "b", "7", "0"),
        ("date", "-s", "@1"),
        ("hostname", "taken-over"),
    ):
        if words[0] == "date":
            continue  # it would change this machine's clock, which is the point
        raw = subprocess.run(["nsenter", "-t", pid, "-a", *words], capture_output=True, text=True, check=False)
        ours = nsenter(name, *words)
        oracle = docker("exec", name, *words, check=False)
        assert (ours.returncode == 0) == (oracle.returncode == 0)
        if words[0] != "mknod":
            assert raw.returncode == 0, raw.stderr
            assert ours.returncode != 0
    raw_status = subprocess.check_output(["nsenter", "-t", pid, "-a", "cat", "/proc/self/status"], text=True)
    assert "Seccomp:\t0" in raw_status
    assert os.readlink(f"/proc/{pid}/ns/mnt") == nsenter(name, "readlink", "/proc/self/ns/mnt").stdout.strip()


def test_without_the_cgroup_the_callers_stays(run: Run, nsenter: Call) -> None:
    name = run("--cgroupns", "host")
    done = nsenter("--no-join-cgroup", name, "cat", "/proc/self/cgroup")
    assert done.stdout == Path("/proc/self/cgroup").read_text()
    assert done.stdout != nsenter(name, "cat", "/proc/self/cgroup").stdout


def test_the_memory_limit_stops_an_entered_command(run: Run, nsenter: Call) -> None:
    name = run("--memory", "32m")
    done = nsenter(name, "sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo survived")
    assert "survived" not in done.stdout
    assert done.returncode != 0


def test_a_full_pids_limit_is_no_obstacle_where_it_is_none_for_docker_exec(
    run: Run, docker: Call, nsenter: Call
) -> None:
    """The runc of Docker 26 needs a process more than it enters with, and fails."""
    name = run("--pids-limit", "4", command=("sh", "-c", "sleep 1000 & sleep 1000 & sleep 1000 & wait"))
    oracle = docker("exec", name, "true", check=False)
    ours = nsenter(name, "true")
    assert ours.returncode == 0 or oracle.returncode != 0, (ours.stderr, oracle.stderr)


def test_privileged_containers_agree(run: Run, docker: Call, nsenter: Call) -> None:
    own = int(
        next(line for line in Path("/proc/self/status").read_text().splitlines() if "CapBnd" in line).split()[1], 16
    )
    name = run("--cap-add", "ALL") if own == (1 << 41) - 1 else run("--security-opt", "seccomp=unconfined")
    agree(docker, nsenter, name)
