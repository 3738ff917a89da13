"""Looking without entering: what --list shows is what the kernel says."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from docker_nsenter.enter.linux import capabilities

from ..conftest import Call, Run, wait_until
from .conftest import build, run_words

KINDS = ("mnt", "uts", "ipc", "net", "pid", "cgroup", "user")


def field(pid: int, name: str) -> str:
    """Read a field of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(name + ":"))


def test_list_shows_what_the_kernel_says(run: Run, nsenter: Call, pid_of: Any) -> None:
    web = run("--cap-add", "NET_ADMIN", "--cap-drop", "CHOWN")
    proxy = run(f"--network=container:{web}", "--pid=host", "--user", "1000", "--security-opt", "no-new-privileges")
    found = json.loads(nsenter("--list", "--format", "json", check=True).stdout)
    assert found["schema"] == "docker-nsenter.list/1"
    rows = {row["name"]: row for row in found["containers"]}
    for name in (web, proxy):
        pid = pid_of(name)
        for kind in KINDS:
            link = os.readlink(f"/proc/{pid}/ns/{kind}")
            space = rows[name]["namespaces"][kind]
            assert link == f"{kind}:[{space['inode']}]"
            assert (space["of"] == "host") == (link == os.readlink(f"/proc/self/ns/{kind}"))
        assert rows[name]["bounding"] == capabilities.names(int(field(pid, "CapBnd"), 16))
        assert rows[name]["no_new_privs"] == (field(pid, "NoNewPrivs") == "1")
        assert rows[name]["seccomp_filters"] == int(field(pid, "Seccomp_filters"))
    assert rows[web]["beyond_default"] == ["NET_ADMIN"]
    assert rows[web]["below_default"] == ["CHOWN"]
    assert rows[web]["namespaces"]["net"]["with"] == [proxy]
    assert rows[proxy]["namespaces"]["net"]["joined"] == web


def test_the_card_shows_everything_of_one_container(
    run: Run, nsenter: Call, pid_of: Any, engine: dict[str, str]
) -> None:
    name = run("--memory", "64m", "--ulimit", "nofile=512:1024", "--oom-score-adj", "300", "--user", "app")
    card = json.loads(nsenter("--list", "--format", "json", name, check=True).stdout)
    assert card["schema"] == "docker-nsenter.card/1"
    for set_name, title in (("CapEff", "effective"), ("CapPrm", "permitted"), ("CapAmb", "ambient")):
        assert card[title] == capabilities.names(int(field(pid_of(name), set_name), 16))
    assert str(64 << 20) in (
        card["cgroup_limits"].get("memory.limit_in_bytes"),
        card["cgroup_limits"].get("memory.max"),
    )
    assert card["limits"]["open files"] == [512, 1024]
    assert (card["oom_score_adj"], card["uid"]) == (300, 1000)
    assert card["namespaces"]["net"]["owner"]["uid"] == 0
    shown = nsenter("--list", name, env={**engine, "COLUMNS": "80"}, check=True).stdout
    assert "512, at most 1024" in shown and "64 MiB" in shown and "unlimited" in shown
    assert shown == nsenter("--inspect", name, env={**engine, "COLUMNS": "80"}, check=True).stdout
    assert max(map(len, shown.splitlines())) <= 80


def test_without_root_the_list_says_what_cannot_be_read(run: Run, engine: dict[str, str]) -> None:
    name = run()
    socket = engine["DOCKER_HOST"].removeprefix("unix://")
    subprocess.run(["chmod", "-R", "a+rX", engine["DOCKER_CONFIG"]], check=True)
    group = str(os.stat(socket).st_gid)
    words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--groups", group]
    parent = Path(socket).parent
    mode = os.stat(parent).st_mode
    command = [*words, "docker", "nsenter", "--list"]
    os.chmod(parent, mode | 0o001)
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=engine, check=False)
    finally:
        os.chmod(parent, mode)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    assert "only root can ask the kernel" in done.stdout.replace("\n", " ")


def test_the_card_of_a_process_needs_no_engine(run: Run, nsenter: Call, pid_of: Any) -> None:
    pid = pid_of(run("--network=host"))
    card = json.loads(nsenter("--list", "--format", "json", f"pid:{pid}", check=True).stdout)
    assert (card["namespaces"]["net"]["of"], card["namespaces"]["mnt"]["of"]) == ("host", "own")
    assert card["bounding"] == capabilities.names(int(field(pid, "CapBnd"), 16))


ZOMBIE = """
#include <pthread.h>
#include <unistd.h>
#include <sys/syscall.h>
static void *rest(void *none) { for (;;) sleep(1000); }
int main(void) { pthread_t thread; pthread_create(&thread, 0, rest, 0); syscall(SYS_exit, 0); }
"""


def test_a_first_process_that_is_a_zombie_costs_its_own_row_alone(
    run: Run, nsenter: Call, docker: Call, engine: dict[str, str], tmp_path: Path
) -> None:
    """Its leader has ended and its threads live on: docker says Up, and most of /proc says nothing."""
    program = build(tmp_path, "zombie", ZOMBIE, "-static", "-pthread")
    tmp_path.chmod(0o755)
    other, dead = run(), run("-v", f"{program}:/zombie:ro", command=("/zombie",))
    state = Path(f"/proc/{docker('inspect', '-f', '{{.State.Pid}}', dead).stdout.strip()}/status")
    wait_until(lambda: "State:\tZ" in state.read_text(), "its leader is a zombie")
    socket = Path(engine["DOCKER_HOST"].removeprefix("unix://"))
    for path in (engine["DOCKER_CONFIG"], socket.parent):
        subprocess.run(["chmod", "a+rX", "-R", path] if path != socket.parent else ["chmod", "a+X", path], check=True)
    group = str(socket.stat().st_gid)
    member = ("setpriv", "--reuid", "65534", "--regid", "65534", "--groups", group, "docker", "nsenter")
    for words in (("docker", "nsenter"), member):
        found = run_words(*words, "--list", "--format", "json", env=engine, cwd="/")
        assert found.returncode == 0, found.stderr
        rows = {row["name"]: row for row in json.loads(found.stdout)["containers"]}
        assert rows[other]["notes"] == [] or words == member
        assert any("has ended" in note for note in rows[dead]["notes"])
        for line in (("--list",), ("--list", other), ("--list", dead), ("--list", "--format", "json", dead)):
            done = run_words(*words, *line, env=engine, cwd="/")
            assert done.returncode == 0, (line, done.stderr)
            assert "cannot start" not in done.stderr
            assert "unexpected" not in done.stderr
