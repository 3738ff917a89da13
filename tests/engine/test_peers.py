"""Situations of the exec tests of runc, crun, Podman and Docker that no other file has; docs/design/peers.md lists all.

Written anew: the oracle is `docker exec` of the engine at hand, not what those tests expect.
"""

import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from ..conftest import Call, Done, Run, wait_until

Engine = dict[str, str]
USERS = ("", "root", "root:root", "0:0", "app", "app:app", "root:app", "4242", "4242:audio")


def both(docker: Call, nsenter: Call, *words: str, **options: object) -> tuple[Done, Done]:
    """Run a line by docker exec and by us."""
    return docker("exec", *words, check=False, **options), nsenter(*words, **options)


@pytest.mark.parametrize(
    "flags", [(), ("--group-add", "audio", "--group-add", "7"), ("-u", "root:root", "--group-add", "7")]
)
def test_every_way_to_name_a_user_has_the_groups_that_docker_exec_gives(
    run: Run, docker: Call, nsenter: Call, flags: tuple[str, ...]
) -> None:
    name = run(*flags)
    for user in USERS:
        theirs, ours = both(docker, nsenter, *(["--user", user] if user else []), name, "sh", "-c", "id; echo $HOME")
        assert (ours.stdout, ours.returncode) == (theirs.stdout, 0), user


def test_a_user_who_was_added_since_has_his_name_and_home(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    docker("exec", name, "sh", "-c", "echo 'late:x:2000:2000::/home/late:/bin/sh' >>/etc/passwd")
    for user in ("late", "2000"):
        theirs, ours = both(docker, nsenter, "-u", user, name, "sh", "-c", "id -un; echo $HOME")
        assert ours.stdout == theirs.stdout == "late\n/home/late\n"


def test_an_environment_of_doubles_and_overrides_is_docker_execs(run: Run, docker: Call, nsenter: Call) -> None:
    name = run("-e", "TWICE=1", "-e", "TWICE=2", "-e", "HOME=/first", "-e", "EMPTY=", "-w", "/tmp")
    for more in ((), ("-e", "HOME=/second", "-e", "TWICE=3"), ("-e", "HOME="), ("-w", "/bin", "-e", "PWD=/nowhere")):
        theirs, ours = both(docker, nsenter, *more, name, "env")
        assert sorted(ours.stdout.split()) == sorted(theirs.stdout.split()), more


@pytest.mark.parametrize("runs", [(), ("-t",)])
@pytest.mark.parametrize("sets", [(), ("-e", "TERM=of-run")])
def test_term_is_docker_execs_in_every_combination(
    run: Run, docker: Call, nsenter: Call, engine: Engine, runs: tuple[str, ...], sets: tuple[str, ...]
) -> None:
    name = run(*runs, *sets)
    for options in ([], ["-t"], ["-e", "TERM=of-exec"], ["-t", "-e", "TERM=of-exec"]):
        line = (*options, name, "sh", "-c", "echo [$TERM]")
        theirs, ours = both(docker, nsenter, *line, env={**engine, "TERM": "xterm"})
        assert ours.stdout == theirs.stdout, line


def test_what_cannot_be_run_has_one_status_and_one_line_attached_detached_and_on_a_terminal(
    run: Run, docker: Call, nsenter: Call
) -> None:
    """docker exec's statuses of a detached command and of a missing interpreter differ from engine to engine."""
    name = run()
    docker("exec", name, "sh", "-c", "printf '#!/mmnnttbb foo\\n' >/bad; chmod +x /bad; echo >/plain")
    for command, status in {"/etc": 126, "/no/such": 127, "no-such": 127, "/bad": 126, "/plain": 126}.items():
        for options in ((), ("-d",), ("-t",)):
            done = nsenter(*options, name, command)
            assert (done.returncode, done.stdout) == (status, ""), options
            assert done.stderr.startswith(f"docker nsenter: cannot run {command}: ")
            assert done.stderr.count("\n") == 1


def test_a_large_input_arrives_in_whole_blocks(run: Run, docker: Call, engine: Engine, tmp_path: Path) -> None:
    data = os.urandom(1500 * 1024)
    (tmp_path / "big").write_bytes(data)
    name = run()
    with (tmp_path / "big").open("rb") as file:
        words = ["docker", "nsenter", "-i", name, "dd", "of=/tmp/big", "bs=512"]
        done = subprocess.run(words, stdin=file, env=engine, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.splitlines()[:2] == ["3000+0 records in", "3000+0 records out"]
    assert docker("exec", name, "sha256sum", "/tmp/big").stdout.split()[0] == hashlib.sha256(data).hexdigest()


def test_a_conversation_over_pipes_ends_with_its_input(run: Run, docker: Call, engine: Engine) -> None:
    """In a container that has a terminal, too; nothing of it stays."""
    for flags in ((), ("-i", "-t")):
        name = run(*flags)
        docker("exec", name, "sh", "-c", "echo of the file >/tmp/file")
        words = ["docker", "nsenter", "-i", name, "sh"]
        child = subprocess.Popen(words, stdin=-1, stdout=-1, env=engine, text=True)
        assert child.stdin and child.stdout
        child.stdin.write("cat /tmp/file\n")
        child.stdin.flush()
        assert child.stdout.readline() == "of the file\n"
        child.stdin.close()
        assert child.wait(5) == 0
        child.stdout.close()
        assert len(docker("top", name).stdout.splitlines()) == 2


def test_on_a_terminal_without_t_it_ends_by_itself(run: Run, engine: Engine) -> None:
    child = pexpect.spawn("docker", ["nsenter", "-i", run(), "echo", "hello"], env=engine, timeout=30)
    child.expect("hello")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_terminal_belongs_to_its_user(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    for user in ("app", "4242:29", "root"):
        line = ("-t", "-u", user, name, "sh", "-c", "stat -Lc '%u %a' /proc/self/fd/0; echo written >/proc/self/fd/1")
        theirs, ours = both(docker, nsenter, *line)
        assert ours.stdout == theirs.stdout, user
        assert "written" in ours.stdout


def test_the_hosts_null_device_keeps_its_owner(run: Run, nsenter: Call) -> None:
    before = os.stat("/dev/null")
    for options in ((), ("-d",), ("-t",)):
        nulls = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        assert nsenter(*options, "-u", "1000:1000", run(), "id", capture_output=False, **nulls).returncode == 0
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


def test_no_session_of_ours_is_on_the_engines_list(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    for words in (("true",), ("no-such",), ("sh", "-c", "kill -9 $$")):
        nsenter(name, *words)
        nsenter("-d", name, *words)
    assert docker("inspect", "-f", "{{json .ExecIDs}}", name).stdout.strip() in ("null", "[]")


def test_after_a_restart_and_by_a_new_name_it_is_entered(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    docker("restart", "-t", "0", name)
    assert nsenter(name, "echo", "hello").stdout == "hello\n"
    docker("rename", name, f"{name}-new")
    assert nsenter(f"{name}-new", "echo", "hello").stdout == "hello\n"
    assert nsenter(name, "true").returncode == 125
    docker("rename", f"{name}-new", name)


def test_a_running_command_keeps_no_stop_waiting(run: Run, docker: Call, engine: Engine) -> None:
    name = run()
    child = subprocess.Popen(["docker", "nsenter", name, "sleep", "6543"], env=engine, stderr=subprocess.PIPE)
    wait_until(lambda: "6543" in docker("top", name).stdout, "the command runs")
    begin = time.monotonic()
    docker("stop", "-t", "1", name)
    assert time.monotonic() - begin < 10
    assert child.wait(10) == 137
    child.communicate()


def test_a_command_can_end_its_own_container(run: Run, docker: Call, nsenter: Call) -> None:
    name = run(command=("sh", "-c", "touch /on; while [ -f /on ]; do sleep 0.1; done"))
    wait_until(lambda: docker("exec", name, "ls", "/on", check=False).returncode == 0, "it runs")
    assert nsenter("-d", name, "rm", "-f", "/on").returncode == 0
    assert docker("wait", name).stdout == "0\n"


def test_what_one_command_was_given_neither_the_next_nor_the_container_has(
    run: Run, nsenter: Call, docker: Call, pid_of: Callable[[str], int]
) -> None:
    name = run("--cap-drop", "ALL")
    make = "mknod /tmp/$0 c 1 3 && echo made"
    before = Path(f"/proc/{pid_of(name)}/status").read_text()
    assert "made" not in nsenter(name, "sh", "-c", make, "first").stdout
    assert nsenter("--cap-add", "MKNOD", name, "sh", "-c", make, "second").stdout == "made\n"
    assert "made" not in nsenter(name, "sh", "-c", make, "third").stdout
    assert "made" not in docker("exec", name, "sh", "-c", make, "fourth", check=False).stdout
    kept = ("Cap", "Seccomp", "NoNewPrivs")
    lines = [[line for line in text.splitlines() if line.startswith(kept)] for text in
             (before, Path(f"/proc/{pid_of(name)}/status").read_text())]  # fmt: skip
    assert lines[0] == lines[1]


def test_files_that_the_engine_changes_are_read_as_they_are_now(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    for file in ("hosts", "resolv.conf"):
        path = docker(
            "inspect", "-f", "{{.HostsPath}}" if file == "hosts" else "{{.ResolvConfPath}}", name
        ).stdout.strip()
        Path(path).write_text(f"changed in {file}\n")
        assert nsenter(name, "cat", f"/etc/{file}").stdout == f"changed in {file}\n"


def test_a_first_process_below_its_own_cgroup_takes_the_command_along(
    run: Run, nsenter: Call, pid_of: Callable[[str], int]
) -> None:
    """An init that sorts its services; where docker exec goes differs, and a limit below would not hold."""
    name = run("--cgroupns", "host")
    pid = pid_of(name)
    rows = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    kind, path = next((kind, path) for _, kind, path in rows if kind in ("pids", ""))
    below = Path(f"/sys/fs/cgroup/{kind}{path}/below")
    below.mkdir()
    try:
        (below / "cgroup.procs").write_text(str(pid))
        done = nsenter(name, "sh", "-c", "cat /proc/self/cgroup")
        assert f":{kind}:{path}/below\n" in done.stdout, done.stderr
        assert nsenter(name, "sh", "-c", "kill -0 1 && echo near").stdout == "near\n"
    finally:
        (below.parent / "cgroup.procs").write_text(str(pid))
        wait_until(lambda: not (below / "cgroup.procs").read_text(), "it is empty")
        below.rmdir()
