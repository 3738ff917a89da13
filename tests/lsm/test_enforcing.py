"""What an administrator types under an enforcing module: all that docker exec carries is carried here, too.

Where AppArmor is the module the same lines run, so that a mend for one is no harm to the other.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import TOP, Call, Run, wait_until
from .conftest import Admin

LIBRARY = TOP / "plugin"
CONTAINERS = "system_u:system_r:container_t:s0:c1,c2"

LINES = {
    "a pipe out": "docker {} %s echo carried | cat",
    "a pipe in": "echo carried | docker {} -i %s cat",
    "a file in, opened anew": "docker {} -i %s cat /dev/stdin </etc/hostname",
    "standard error opened anew": "docker {} %s sh -c 'echo out; echo err >/dev/stderr' 2>&1 | sort",
    "nothing in": "docker {} %s cat",
    "the input's end, opened anew": "docker {} -i %s sh -c 'cat /dev/stdin; cat /dev/stdin' </etc/hostname",
    "another user": "docker {} -u 1000 %s sh -c 'id; echo carried >/dev/stdout'",
    "what the kernel says of them": "docker {} %s sh -c 'test -p /dev/fd/1 && test -p /dev/fd/2; echo $?' 2>&1 | cat",
}


@pytest.mark.timeout(900)
def test_what_docker_exec_carries_is_carried(run: Run, admin: Admin) -> None:
    name = run()
    for title, line in LINES.items():
        theirs, ours = (admin(line.format(verb) % name) for verb in ("exec", "nsenter"))
        assert (title, ours.stdout, ours.stderr) == (title, theirs.stdout, theirs.stderr)


@pytest.mark.timeout(300)
def test_a_file_of_the_callers_is_written_through_a_pipe(run: Run, admin: Admin, tmp_path: Path) -> None:
    """The file itself stays out of the command's hands, and its label is no matter."""
    script = "cat /proc/self/attr/current; echo; echo err >&2"
    done = admin(f"docker nsenter {run()} sh -c '{script}' >{tmp_path}/both 2>&1")
    assert done.returncode == 0
    shown = (tmp_path / "both").read_text().replace("\0", "\n")  # how either module ends a label
    label, error = [line for line in shown.splitlines() if line]
    assert error == "err"
    assert "container_t" in label or "docker-default" in label


@pytest.mark.timeout(300)
def test_a_detached_command_runs(run: Run, admin: Admin, docker: Call) -> None:
    name = run()
    done = admin(f"docker nsenter -d {name} sh -c 'cat >/tmp/read && echo x >/dev/null && echo ran >/tmp/ran'")
    assert (done.returncode, done.stderr) == (0, "")
    wait_until(lambda: docker("exec", name, "cat", "/tmp/ran", check=False).stdout == "ran\n", "it ran", 60)


@pytest.mark.timeout(600)
def test_tools_start(run: Run, admin: Admin) -> None:
    """They are shown with the label of the container's files: the policy lets its programs execute nothing else."""
    name = run()
    host = admin(f"docker nsenter --tools host {name} findmnt -n -o TARGET /")
    assert (host.stdout, host.stderr) == ("/\n", "")
    label = admin(f"docker nsenter --tools /bin/busybox {name} busybox cat /proc/self/attr/current").stdout
    assert "container_t" in label or "docker-default" in label


@pytest.mark.timeout(600)
def test_looking_needs_no_terminal(run: Run, admin: Admin) -> None:
    name = run()
    plan = admin(f"docker nsenter --dry-run --format json {name} id | cat")
    assert (plan.returncode, plan.stderr) == (0, "")
    assert "container_t" in plan.stdout or "docker-default" in plan.stdout
    why = admin(f"docker nsenter --why {name} mount -t tmpfs none /mnt")
    assert "mount" in why.stderr
    assert "SYS_ADMIN" in why.stderr


@pytest.mark.timeout(600)
def test_why_blames_the_list_of_devices_for_a_device_and_a_module_only_if_it_denies(
    run: Run, admin: Admin, module: str
) -> None:
    """EPERM is the cgroup's: neither module answers an open with it."""
    options = "--security-opt label=disable" if module == "selinux" else ""  # else no device can be made, see below
    why = admin(f"docker nsenter --why {options} {run()} sh -c 'mknod /tmp/v b 254 0; head -c 4 /tmp/v'")
    line = next(line for line in why.stderr.splitlines() if "/tmp/v" in line and "docker nsenter: open" in line)
    assert "the container's cgroup, which lists the devices" in line
    assert "AppArmor" not in why.stderr
    assert "SELinux" not in why.stderr


@pytest.mark.timeout(600)
def test_why_blames_selinux_for_a_capability_that_the_policy_takes_back(run: Run, admin: Admin, module: str) -> None:
    """container_t may not make devices: that is EPERM, as what a cgroup's list forbids."""
    if module != "selinux":
        return
    name = run()
    why = admin(f"docker nsenter --why {name} mknod /tmp/v b 254 0").stderr
    assert "mknodat(" in why
    assert "SELinux (system_u:system_r:container_t" in why
    assert "cgroup" not in why
    assert f"hint: docker nsenter --security-opt label=disable {name} mknod /tmp/v b 254 0" in why
    assert admin(f"docker nsenter --security-opt label=disable {name} mknod /tmp/v b 254 0").returncode == 0


@pytest.mark.timeout(300)
def test_a_terminal_is_the_containers(run: Run, admin: Admin) -> None:
    shown = admin(f"script -qec 'docker nsenter {run()} cat /proc/self/attr/current' /dev/null")
    assert "container_t" in shown.stdout or "docker-default" in shown.stdout, shown


@pytest.mark.timeout(300)
def test_an_entry_asks_selinux_for_nothing_that_it_denies(run: Run, admin: Admin, module: str) -> None:
    """No line in the audit log for an entry that works: not execmem for moving code, not pipes that are closed."""
    if module != "selinux":
        return
    name = run()
    before = denials()
    assert admin(f"echo x | docker nsenter -i {name} cat").stdout == "x\n"
    assert [line for line in denials()[len(before) :] if "execmem" in line or "container_t" in line] == []


def denials() -> list[str]:
    """List what was denied: in the file of auditd, or where none runs in the kernel's log."""
    file = Path("/var/log/audit/audit.log")
    log = file.read_text() if file.exists() else subprocess.check_output(["dmesg"], text=True)
    return [line for line in log.splitlines() if "avc:  denied" in line]


@pytest.mark.timeout(300)
def test_a_domain_that_may_not_start_the_container_s_is_refused(admin: Admin, module: str) -> None:
    """It is not found out at execve, by 126 or a command without its output."""
    if module != "selinux":
        return
    ask = "from docker_nsenter.enter.linux import lsm; lsm.permitted(*sys.argv[1:])"
    script = f"import sys; sys.path.insert(0, {str(LIBRARY)!r}); {ask}"
    for label, words in (("system_u:system_r:kernel_t:s0", "SELinux does not let"), (CONTAINERS, "")):
        done = admin(f"{sys.executable} -c '{script.replace(chr(39), chr(34))}' {label}")
        assert words in done.stderr
        assert bool(done.returncode) == bool(words)


@pytest.mark.timeout(600)
def test_a_helper_has_the_containers_label_or_is_refused(run: Run, admin: Admin) -> None:
    """Debian's policy lets neither the engine mount /usr nor a helper's domain start the container's."""
    done = admin(f"docker nsenter --route helper {run()} cat /proc/self/attr/current")
    if done.returncode:
        assert (done.returncode, done.stdout) == (125, "")
        assert len(done.stderr.splitlines()) <= 2
    else:
        assert "container_t" in done.stdout or "docker-default" in done.stdout, done
