"""Each column of --dry-run says what the kernel then says: of docker exec, of an entry, of raw nsenter."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker_nsenter.commands import restrictions
from docker_nsenter.enter import jsonlite, jsonwrite
from docker_nsenter.enter.linux import limits
from docker_nsenter.enter.target import parse_status
from docker_nsenter.enter.validate import validate

from ..conftest import Call, Run, wait_until
from .test_parity import USUAL

READ = (
    "cat /proc/self/status; echo ==; cat /proc/self/limits; echo ==; cat /proc/self/oom_score_adj; echo ==; "
    "cat /proc/self/cgroup; echo ==; pwd; echo ==; cat /proc/self/attr/current 2>/dev/null; true"
)
FLAVOURS = (
    *USUAL,
    "ulimit",
    "oom-score-adj",
    "seccomp=unconfined",
    "custom seccomp",
    "workdir",
)
OPTIONS: dict[str, tuple[str, ...]] = {
    "one capability more": ("--cap-add", "SYS_PTRACE"),
    "another user": ("-u", "app", "-w", "/tmp"),
    "privileged": ("--privileged",),
    "restricted": ("--profile", "restricted"),
    "sysadmin": ("--profile", "sysadmin", "-u", "1000", "--cap-add", "NET_ADMIN"),
    "no filter": ("--security-opt", "seccomp=unconfined"),
    "no cgroup": ("--no-join-cgroup",),
}


def reality(text: str) -> dict[str, Any]:
    """Read what a command inside printed of itself."""
    status, shown, oom_score_adj, cgroup, directory, label = text.split("==\n")
    found = restrictions.of_status(parse_status(status.encode()))
    found["limits"] = restrictions.named(limits.parse(shown.encode()))
    found["oom_score_adj"] = int(oom_score_adj)
    rows = [line.split(":", 2) for line in cgroup.splitlines()]
    found["cgroups"] = {controllers or "v2": path for _, controllers, path in rows}
    found["directory"] = directory.strip()
    found["label"] = label.strip("\0\n").partition(" (")[0]
    return found


def dry_run(nsenter: Call, *words: str) -> dict[str, Any]:
    """Explain a line."""
    found: dict[str, Any] = json.loads(nsenter("--dry-run", "--format", "json", *words, check=True).stdout)
    return found


@pytest.mark.parametrize("title", FLAVOURS)
def test_every_column_is_what_the_kernel_says(
    start: Callable[..., str], docker: Call, nsenter: Call, pid_of: Any, title: str
) -> None:
    name = start(title, "--cgroupns=host")  # the host's view of cgroups lets us compare their paths
    columns = dry_run(nsenter, name)["restrictions"]
    assert columns["docker_exec"] == reality(docker("exec", name, "sh", "-c", READ).stdout)
    assert columns["you"] == reality(nsenter(name, "sh", "-c", READ, check=True).stdout)
    raw = ["nsenter", "-a", "-t", str(pid_of(name)), "sh", "-c", READ]
    assert columns["nsenter"] == reality(subprocess.check_output(raw, text=True))


@pytest.mark.parametrize("title", OPTIONS)
def test_what_you_would_get_is_what_the_options_give(run: Run, nsenter: Call, title: str) -> None:
    name = run("--cgroupns=host")
    found = dry_run(nsenter, *OPTIONS[title], name)
    assert found["restrictions"]["you"] == reality(nsenter(*OPTIONS[title], name, "sh", "-c", READ, check=True).stdout)


def test_docker_execs_own_options_count_in_its_column(run: Run, docker: Call, nsenter: Call) -> None:
    name = run("--cgroupns=host")
    options = ("-u", "app", "-w", "/var")
    found = dry_run(nsenter, *options, "--cap-add", "KILL", name)
    assert found["restrictions"]["docker_exec"] == reality(docker("exec", *options, name, "sh", "-c", READ).stdout)


def test_the_plan_in_it_is_what_stage_2_obeys(run: Run, nsenter: Call) -> None:
    name = run()
    found = dry_run(nsenter, "--profile", "netadmin", "--net-only", name, "ip", "link")
    assert found["schema"] == "docker-nsenter.dry-run/1"
    assert validate(jsonlite.loads(jsonwrite.dumps(found["plan"]))) == found["plan"]
    assert [name for name, space in found["namespaces"].items() if space["joined"]] == ["net"]
    assert found["profile"] == ["--cap-add", "NET_ADMIN,NET_RAW"]
    options = {row["option"]: row["changes"] for row in found["options"]}
    assert list(options["--profile netadmin"]) == ["capabilities"]
    assert options["--net-only"]["mounts"] == [[], ["sys"]]


def test_the_nsenter_line_joins_the_same_namespaces(run: Run, nsenter: Call) -> None:
    name = run("-w", "/tmp")
    words = ("sh", "-c", "readlink /proc/self/ns/net /proc/self/ns/uts /proc/self/ns/mnt; id -u")
    for options in (("-u", "1000"), ("--net", "--mount", "--pid")):
        line = dry_run(nsenter, *options, name, *words)["nsenter"]
        raw = subprocess.check_output([word for word in line if not word.startswith("--wdns")], text=True)
        assert raw == nsenter(*options, name, *words, check=True).stdout


def test_a_process_without_an_engine_has_no_column_of_docker_exec(run: Run, nsenter: Call, pid_of: Any) -> None:
    columns = dry_run(nsenter, f"pid:{pid_of(run())}")["restrictions"]
    assert columns["docker_exec"] is None
    assert columns["you"]["seccomp_filters"] == 1


def test_a_user_namespace_gives_raw_nsenter_every_capability_in_it(nsenter: Call, engine: dict[str, str]) -> None:
    process = subprocess.Popen(["unshare", "-U", "-u", "sleep", "1000"])
    try:
        link = f"/proc/{process.pid}/ns/user"
        wait_until(lambda: os.readlink(link) != os.readlink("/proc/self/ns/user"), "a namespace of its own")
        wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", "sleep")
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{name}").write_text("0 0 65536")
        found = dry_run(nsenter, f"pid:{process.pid}")
        words = ["sh", "-c", READ]
        raw = reality(subprocess.check_output(["nsenter", "-a", "-t", str(process.pid), *words], text=True))
        ours = reality(nsenter(f"pid:{process.pid}", *words, check=True).stdout)
    finally:
        process.kill()
        process.wait()
    assert sorted(name for name, space in found["namespaces"].items() if space["joined"]) == ["user", "uts"]
    for column, real in (("nsenter", raw), ("you", ours)):
        for name in ("effective", "permitted", "bounding", "inheritable", "ambient", "uid", "groups"):
            assert found["restrictions"][column][name] == real[name], (column, name)


def test_the_table_fits_80_columns_and_marks_what_goes_beyond(run: Run, nsenter: Call, engine: dict[str, str]) -> None:
    name = run()
    done = nsenter("--dry-run", "--cap-add", "SYS_PTRACE", name, env={**engine, "COLUMNS": "80"}, check=True)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout.startswith(f"In {name}: as docker exec, plus SYS_PTRACE.\n")
    assert "default +SYS_PTRACE" in " ".join(done.stdout.split())
    assert "Nothing was run." in done.stdout and "seccomp" not in done.stdout
    everything = nsenter("--dry-run", "--verbose", "--cap-add", "SYS_PTRACE", name, check=True).stdout
    assert "raw nsenter" in everything and "seccomp" in everything
    by_helper = nsenter("--dry-run", "--route", "helper", "--cap-add", "SYS_PTRACE", name, check=True).stdout
    assert by_helper.startswith(done.stdout.splitlines()[0])
    assert "docker exec" in by_helper and "plus SYS_PTRACE" in by_helper.split("Nothing was run")[1]


def test_an_umask_of_ones_own_is_kept_without_the_containers_files(run: Run, engine: dict[str, str]) -> None:
    words = ["sh", "-c", 'umask 077; docker nsenter --net-only "$0" sh -c umask', run()]
    done = subprocess.run(words, capture_output=True, text=True, env=engine, check=False)
    assert (done.stdout, done.stderr) == ("0077\n", "")


def test_a_forward_and_a_wait_are_shown_and_not_done(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    found = dry_run(nsenter, "--forward", "0:80", "--forward", "*:8080:/run/s", name, "sleep", "5")
    assert found["forward"] == [
        {"option": "--forward 0:80", "listens": "127.0.0.1:0", "leads_to": "localhost:80"},
        {"option": "--forward *:8080:/run/s", "listens": "*:8080", "leads_to": "/run/s"},
    ]
    assert (found["plan"]["command"], found["plan"]["connect"], found["options"]) == (["sleep", "5"], [], [])
    found = dry_run(nsenter, "--forward", "0:80", name)
    assert (found["plan"]["connect"], found["options"]) == (["localhost 80"], [])
    assert found["restrictions"]["you"]["permitted"] == found["guard"]["capability"].split()
    assert found["nsenter"][-4:] == ["--", "nc", "localhost", "80"]
    text = nsenter("--dry-run", "--forward", "0:80", name, check=True).stdout
    assert "\ncommand           none: a process that connects, and executes nothing\n" in text
    assert "\n--forward 0:80    127.0.0.1, at any free port, leads to localhost:80\n" in text
    for word, said in (("exit", "is about to end, and holds it until you leave"), ("start", "runs")):
        found = dry_run(nsenter, f"--at-{word}", name, "true")
        assert (found["waits_for"], found["plan"]["hold"], found["options"]) == (word, word == "exit", [])
        text = nsenter("--dry-run", f"--at-{word}", name, "true", check=True).stdout
        assert f"\n{f'--at-{word}':18}waits until the container {said}\n" in text
    docker("kill", name)
    done = nsenter("--dry-run", "--at-start", name, "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert "is not running" in done.stderr or "isn't running" in done.stderr
