"""Stage 2 whole, on an unshared process, with a Plan written by hand."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker_nsenter.enter.linux import capabilities
from docker_nsenter.enter.linux.namespaces import NAMES

from ..weaken import weakened
from .conftest import map_ids, plan_for, run_plan

Unshared = Callable[..., int]


def status_of(text: str) -> dict[str, str]:
    """Split /proc/PID/status."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def test_the_command_is_in_all_namespaces_of_the_target(unshared: Unshared) -> None:
    pid = unshared()
    done = run_plan(plan_for(pid, "ls", "-l", "/proc/self/ns"))
    assert done.returncode == 0, done.stderr
    for name in ("mnt", "uts", "ipc", "net", "pid", "cgroup"):
        assert os.readlink(f"/proc/{pid}/ns/{name}") in done.stdout
        assert os.readlink(f"/proc/self/ns/{name}") not in done.stdout


@pytest.mark.parametrize("name", ["uts", "ipc", "net", "cgroup"])
def test_only_the_wanted_namespace_is_joined(unshared: Unshared, name: str) -> None:
    pid = unshared()
    done = run_plan(plan_for(pid, "ls", "-l", "/proc/self/ns", namespaces=[name], cgroups=False, user=None))
    assert done.returncode == 0, done.stderr
    for each in NAMES:
        if Path(f"/proc/self/ns/{each}").exists():
            owner = str(pid) if each == name else "self"
            assert os.readlink(f"/proc/{owner}/ns/{each}") in done.stdout


def test_a_user_namespace_is_joined_and_its_ids_mapped(unshared: Unshared) -> None:
    pid = unshared("--user", "--uts")
    map_ids(pid)
    done = run_plan(plan_for(pid, "cat", "/proc/self/status", "/proc/self/uid_map", user="7:8"))
    assert done.returncode == 0, done.stderr
    status = status_of(done.stdout)
    assert (status["Uid"].split()[0], status["Gid"].split()[0], status["Groups"]) == ("7", "8", "8")
    assert done.stdout.splitlines()[-1].split() == ["0", "100000", "65536"]


def test_an_unmapped_user_is_refused(unshared: Unshared) -> None:
    pid = unshared("--user", "--uts")
    map_ids(pid)
    done = run_plan(plan_for(pid, "true", user="70000"))
    assert done.returncode == 125
    assert "not mapped" in done.stderr


def test_files_of_a_user_namespace_are_not_entered_without_it(unshared: Unshared) -> None:
    pid = unshared("--user", "--mount")
    map_ids(pid)
    done = run_plan(plan_for(pid, "true", namespaces=["mnt"]))
    assert done.returncode == 125
    assert "user namespace" in done.stderr


def test_capabilities_are_dropped_to_the_targets(unshared: Unshared) -> None:
    pid = unshared(command=("setpriv", "--bounding-set=-all,+chown,+kill", "sleep", "1000"))
    for _ in range(200):
        if "setpriv" not in os.readlink(f"/proc/{pid}/exe"):
            break
    done = run_plan(plan_for(pid, "cat", "/proc/self/status"))
    assert done.returncode == 0, done.stderr
    wanted = 1 << capabilities.NUMBERS["CHOWN"] | 1 << capabilities.NUMBERS["KILL"]
    for field in ("CapBnd", "CapPrm", "CapEff"):
        assert int(status_of(done.stdout)[field], 16) == wanted


def test_no_new_privs_is_taken_from_the_target(unshared: Unshared) -> None:
    pid = unshared(command=("setpriv", "--no-new-privs", "sleep", "1000"))
    done = run_plan(plan_for(pid, "cat", "/proc/self/status"))
    assert status_of(done.stdout)["NoNewPrivs"] == "1", done.stderr


def test_an_added_capability_of_a_user_is_ambient(unshared: Unshared) -> None:
    mask = 1 << capabilities.NUMBERS["NET_ADMIN"]
    plan = plan_for(unshared(), "cat", "/proc/self/status", user="4242:4242")
    plan["capabilities"] = {"base": "container", "add": mask, "drop": 0}
    status = status_of(run_plan(plan).stdout)
    assert [int(status[field], 16) for field in ("CapPrm", "CapEff", "CapInh", "CapAmb")] == [mask] * 4


def test_limits_and_oom_score_are_the_targets(unshared: Unshared) -> None:
    pid = unshared()
    subprocess.run(["prlimit", f"--pid={pid}", "--nofile=77:99", "--cpu=1000:2000"], check=True)
    Path(f"/proc/{pid}/oom_score_adj").write_text("321")
    done = run_plan(plan_for(pid, "cat", "/proc/self/limits", "/proc/self/oom_score_adj"))
    assert done.stdout == Path(f"/proc/{pid}/limits").read_text() + "321\n"


def test_nothing_is_left_open_but_the_standard_three(unshared: Unshared) -> None:
    with open("/etc/hostname") as file:
        os.set_inheritable(file.fileno(), True)
        done = run_plan(plan_for(unshared(), "ls", "/proc/self/fd"), close_fds=False)
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


def test_the_session_keyring_is_not_the_callers(unshared: Unshared) -> None:
    done = run_plan(plan_for(unshared(), "cat", "/proc/keys"))
    assert done.returncode == 0
    assert "_ses" in done.stdout


@pytest.mark.parametrize("status", [0, 1, 7, 125, 255])
def test_the_exit_status_is_the_commands(unshared: Unshared, status: int) -> None:
    assert run_plan(plan_for(unshared(), "sh", "-c", f"exit {status}")).returncode == status


@pytest.mark.parametrize(("words", "status"), [(["/nowhere"], 127), (["/etc/passwd"], 126), (["nowhere"], 127)])
def test_a_command_that_cannot_run_has_dockers_status(unshared: Unshared, words: list[str], status: int) -> None:
    done = run_plan(plan_for(unshared(), *words))
    assert done.returncode == status
    assert done.stderr.startswith("docker nsenter: ")
    assert len(done.stderr.splitlines()) <= 2


def test_a_missing_interpreter_is_not_called_a_missing_command(unshared: Unshared, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    done = run_plan(plan_for(unshared(), str(script)))
    assert done.returncode == 126
    assert "interpreter" in done.stderr


def broken_plans() -> list[tuple[str, Any]]:
    """Each field unfit in one way."""
    good = plan_for(2, "true")
    changes: list[tuple[str, Any]] = [
        ("version", 2),
        ("target", {"pid": -1, "container": "", "owner": 0, "name": ""}),
        ("target", {"pid": 2, "container": "../x", "owner": 0, "name": ""}),
        ("target", {"pid": 2, "container": "", "owner": -1, "name": ""}),
        ("target", {"pid": True, "container": "", "owner": 0, "name": ""}),
        ("namespaces", ["everything"]),
        ("capabilities", {"base": "all", "add": 0, "drop": 0}),
        ("capabilities", {"base": "container", "add": -1, "drop": 0}),
        ("capabilities", {"base": "container", "add": 1 << 64, "drop": 0}),
        ("seccomp", "maybe"),
        ("apparmor", "two\nlines"),
        ("no_new_privs", "yes"),
        ("cgroups", 1),
        ("user", 0),
        ("user", "a\0b"),
        ("groups", "audio"),
        ("environment", {"base": "given", "set": [1]}),
        ("directory", "relative"),
        ("command", "true"),
        ("command", ["a\0b"]),
        ("tty", None),
        ("mounts", ["/etc"]),
        ("extra", 1),
    ]
    plans: list[tuple[str, Any]] = [(name, {**good, name: value}) for name, value in changes]
    missing = [(name, {key: value for key, value in good.items() if key != name}) for name in good]
    return plans + missing + [("object", []), ("object", None)]


@pytest.mark.parametrize(("field", "plan"), broken_plans())
def test_an_unfit_plan_is_refused_by_field(field: str, plan: Any) -> None:
    done = run_plan(plan)
    assert done.returncode == 125
    assert field in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cleared_importer_can_import_nothing_after_joining(unshared: Unshared) -> None:
    """The first thing after setns that needs an import would run the container's code: prove that none does."""
    trace = ("strace", "-f", "-e", "trace=openat,open,setns", "-o", "/dev/stderr")
    done = run_plan(plan_for(unshared(), "/bin/true"), before=trace)
    assert done.returncode == 0
    before, joined = done.stderr.split("setns(", 1)
    installer = before.splitlines()[-1].split()[0]
    supervisor = done.stderr.split()[0]  # stays on the host, and imports there what it watches with
    assert installer != supervisor
    lines = [line for line in joined.split("/bin/true")[0].splitlines() if not line.startswith(supervisor)]
    assert not [line for line in lines if ".py" in line]


def test_a_kernel_whose_setns_takes_no_pidfd_is_entered_one_by_one(unshared: Unshared) -> None:
    """Before Linux 5.8 setns(pidfd) is EINVAL: then each namespace is joined by its file."""
    pid = unshared()
    inject = ("strace", "-f", "-o", "/dev/null", "-e", "trace=setns", "-e", "inject=setns:error=EINVAL:when=1")
    names = ("mnt", "uts", "ipc", "net", "pid", "cgroup")
    done = run_plan(plan_for(pid, "readlink", *(f"/proc/self/ns/{name}" for name in names)), before=inject)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [os.readlink(f"/proc/{pid}/ns/{name}") for name in names]


def test_a_user_namespace_is_joined_first_where_setns_takes_no_pidfd(unshared: Unshared) -> None:
    pid = unshared("--user", "--uts")
    map_ids(pid)
    inject = ("strace", "-f", "-o", "/dev/null", "-e", "trace=setns", "-e", "inject=setns:error=EINVAL:when=1")
    done = run_plan(plan_for(pid, "readlink", "/proc/self/ns/user", "/proc/self/ns/uts"), before=inject)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [os.readlink(f"/proc/{pid}/ns/{name}") for name in ("user", "uts")]


def test_who_ended_before_the_supervisor_listened_is_reaped(unshared: Unshared, tmp_path: Path) -> None:
    """Its SIGCHLD was not heard: the installer of a busy machine stayed a zombie as long as the command ran."""
    late = "        self.session = Supervisor(\n"
    library = weakened(tmp_path, ("enter/launch.py", late, f"        sleep(0.5)\n{late}"))
    states = "sleep 0.3; for child in $(cat /proc/$PPID/task/*/children); do grep State /proc/$child/status; done"
    done = run_plan(plan_for(unshared("--net"), "sh", "-c", states, namespaces=["net"]), library=library)
    assert done.stdout.count("State") == 1, done.stdout + done.stderr
    assert "zombie" not in done.stdout


def test_control_c_in_a_clean_up_that_nobody_called_is_130(unshared: Unshared, tmp_path: Path) -> None:
    """A generator that is left half-way cleans up when it is forgotten, and Python prints what is raised there."""
    last = "            yield rest\n    finally:\n"
    library = weakened(tmp_path, ("enter/linux/procfs.py", last, f"{last}        posix.kill(posix.getpid(), 2)\n"))
    done = run_plan(plan_for(unshared("--net"), "true", namespaces=["net"]), library=library)
    assert (done.returncode, done.stderr) == (130, "")
