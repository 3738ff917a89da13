"""On a machine with AppArmor or SELinux: `docker exec` and `docker nsenter` read the same label and everything else.

Not part of scripts/test, whose machine may have neither: scripts/test-lsm runs it, and fails where there is no label.
One reading a container, for these machines are often emulated and slow.
"""

from pathlib import Path

import pytest

from ..conftest import Call, Run
from .conftest import ENFORCE

READ = """
cat /proc/self/attr/current 2>&1; echo
grep -E '^(Cap|NoNewPrivs|Seccomp|Uid|Gid|Groups|Umask|SigBlk|SigIgn)' /proc/self/status
cat /proc/self/cgroup /proc/self/limits /proc/self/oom_score_adj; env | sort; pwd
"""
CONTAINERS: dict[str, tuple[str, ...]] = {
    "defaults": (),
    "no-new-privileges": ("--security-opt", "no-new-privileges"),
    "apparmor=unconfined": ("--security-opt", "apparmor=unconfined"),
    "label=disable": ("--security-opt", "label=disable"),
    "label=level": ("--security-opt", "label=level:s0:c1,c2"),
    "privileged": ("--privileged",),
    "user": ("--user", "1000:1000"),
    "user, no-new-privileges": ("--user", "1000:1000", "--security-opt", "no-new-privileges"),
    "pids-limit": ("--pids-limit", "20", "--oom-score-adj", "-100"),
    "ulimit, cap-drop": ("--ulimit", "nofile=512:2048", "--cap-drop", "ALL"),
    "cgroupns=host": ("--cgroupns", "host"),
    "tracer": ("--cap-add", "SYS_PTRACE", "--cap-add", "SYS_ADMIN"),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("title", CONTAINERS)
def test_docker_exec_reads_the_same(run: Run, docker: Call, nsenter: Call, title: str) -> None:
    name = run(*CONTAINERS[title])
    oracle = docker("exec", name, "sh", "-c", READ, timeout=120)
    ours = nsenter(name, "sh", "-c", READ, timeout=120)
    assert ours.stderr == ""
    assert ours.stdout == oracle.stdout


@pytest.mark.timeout(300)
def test_the_containers_label_is_a_confining_one(run: Run, nsenter: Call, module: str) -> None:
    label = nsenter(run(), "cat", "/proc/self/attr/current", timeout=120).stdout.strip("\n\0")
    expected = {"apparmor": "docker-default (enforce)", "selinux": "container_t"}[module]
    assert expected in label


@pytest.mark.timeout(300)
def test_the_user_may_ask_for_another_label(run: Run, nsenter: Call, module: str) -> None:
    """--security-opt apparmor=… and label=disable lift the label and nothing else."""
    name = run()
    option = {"apparmor": "apparmor=unconfined", "selinux": "label=disable"}[module]
    done = nsenter("--security-opt", option, name, "cat", "/proc/self/attr/current", timeout=120)
    own = Path("/proc/self/attr/current").read_text().strip("\n\0")
    assert done.stdout.strip("\n\0") == ("unconfined" if module == "apparmor" else own), done.stderr


@pytest.mark.timeout(300)
def test_a_profile_that_is_not_loaded_is_refused(run: Run, nsenter: Call, module: str) -> None:
    option = {"apparmor": "apparmor=no-such-profile", "selinux": "label=type:no_such_t"}[module]
    done = nsenter("--security-opt", option, run(), "echo", "ran", timeout=120)
    assert done.returncode == 125
    assert "ran" not in done.stdout
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.timeout(300)
def test_looking_at_the_network_alone_keeps_the_callers_label(run: Run, nsenter: Call) -> None:
    done = nsenter("--net-only", run(), "cat", "/proc/self/attr/current", timeout=120)
    assert done.stdout == Path("/proc/self/attr/current").read_text()


@pytest.mark.timeout(300)
def test_what_the_label_denies_stays_denied(run: Run, nsenter: Call, docker: Call, module: str) -> None:
    """docker-default and an enforcing SELinux deny mounting, whatever the capabilities; a permissive one nothing."""
    name = run("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined")
    mount = ("mount", "-t", "tmpfs", "none", "/tmp")
    denied = docker("exec", name, *mount, check=False).returncode != 0
    assert denied == (module == "apparmor" or ENFORCE.read_text() == "1")
    assert (nsenter(name, *mount, timeout=120).returncode != 0) == denied


@pytest.mark.timeout(300)
def test_a_memory_limit_stops_an_entered_hog(run: Run, nsenter: Call) -> None:
    name = run("--memory", "32m")
    hog = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo survived"
    done = nsenter(name, "sh", "-c", hog, timeout=200)
    assert done.returncode == 137
    assert "survived" not in done.stdout
