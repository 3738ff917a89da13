"""A rootless engine: its own user enters without root and without a helper, as restricted as docker exec does it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from docker_nsenter.commands.install import write
from docker_nsenter.enter.linux import seccomp, syscalls
from docker_nsenter.enter.target import Target
from docker_nsenter.routes import seccomp_profile

from ..attack import Field
from ..conftest import Call, Done, Run
from ..private import Private, with_etc
from ..weaken import weakened
from .conftest import fight
from .test_attacks_partial import DEFENCELESS
from .test_lookup import refused
from .test_parity import CONTAINERS, PROFILE, agree

REAL = os.path.realpath(sys.executable)
UID, OTHER = 41_000, 41_001  # users that only the engine's own /etc knows
FIRST = 800_000
ROOTLESS = ("--rootless", "--ip-forward=false", "--ip-masq=false")
# Docker 20.10's ALL lacks what Docker 23 knows; the kernel and runc know them
NEWER_ALL = """#!/bin/sh
[ ! -f config.json ] || sed -i 's/"CAP_SYS_PTRACE"/&,"CAP_PERFMON","CAP_BPF","CAP_CHECKPOINT_RESTORE"/g' config.json
exec runc "$@"
"""
ENGINES_RUN = 'rm -f /run/docker /run/containerd /run/xtables.lock; exec "$@"'
TITLES = ["defaults", "no-new-privileges, user", "custom seccomp"]
PidOf = Callable[[str], int]


@pytest.fixture(scope="module")
def engine(engine: dict[str, str]) -> Iterator[dict[str, str]]:
    """A dockerd of an unprivileged user's, in rootlesskit's namespaces; the machine's /etc is not touched."""
    directory = Path(tempfile.mkdtemp(prefix="nsenter-rootless.", dir="/var/tmp"))
    before = with_etc(directory, f"rootless:{FIRST}:65536", f"rootless:x:{UID}:{UID}::{directory}:/bin/sh")
    runtime = directory / "xdg"
    runtime.mkdir()
    newer = directory / "newer"
    newer.write_text(NEWER_ALL)
    newer.chmod(0o755)
    for path in (directory, runtime):
        os.chown(path, UID, UID)
    subprocess.run(["chmod", "-R", "a+rX", engine["DOCKER_CONFIG"]], check=True)
    environment = {**engine, "HOME": str(directory), "XDG_RUNTIME_DIR": str(runtime)}
    kit = ("rootlesskit", "--state-dir", f"{runtime}/kit", "--net=host", "--copy-up=/etc", "--copy-up=/run",
           "--propagation=rslave", "sh", "-c", ENGINES_RUN, "sh")  # fmt: skip
    started = Private(
        directory, environment, *ROOTLESS, f"--add-runtime=newer={newer}", before=(*before, *becoming(UID), *kit)
    )
    yield started.environment
    started.end()
    shutil.rmtree(directory)


def becoming(uid: int) -> tuple[str, ...]:
    """Write words that run a command as a user without any power."""
    return "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"


@pytest.fixture
def nsenter(engine: dict[str, str]) -> Call:
    """Run docker nsenter as the engine's user."""

    def call(*words: str, uid: int = UID, **options: Any) -> Done:
        settings = {"capture_output": True, "text": True, "timeout": 60, "env": engine, "cwd": "/"}
        if "input" not in options:
            settings["stdin"] = subprocess.DEVNULL
        return subprocess.run(
            [*becoming(uid), "--bounding-set=-all", "docker", "nsenter", *words], check=False, **{**settings, **options}
        )

    return call


@pytest.fixture
def custom(tmp_path: Path) -> str:
    """Write a profile of the user's own."""
    path = tmp_path / "seccomp_profile.json"
    path.write_text(json.dumps(PROFILE))
    return str(path)


@pytest.mark.parametrize("title", TITLES)
def test_the_kernel_says_the_same_as_of_docker_exec(
    run: Run, docker: Call, nsenter: Call, custom: str, title: str
) -> None:
    agree(docker, nsenter, run(*(flag.replace("PROFILE", custom) for flag in CONTAINERS[title])))


def test_options_mean_what_they_mean_to_docker_exec(run: Run, docker: Call, nsenter: Call) -> None:
    agree(docker, nsenter, run("--group-add", "1234"), "--user", "app:audio", "-w", "/home/app", "-e", "A=b")


def test_the_custom_filter_really_filters(run: Run, nsenter: Call, custom: str) -> None:
    name = run("--security-opt", f"seccomp={custom}")
    assert nsenter(name, "mkdir", "/tmp/x").returncode != 0
    assert nsenter("--security-opt", "seccomp=unconfined", name, "mkdir", "/tmp/x").returncode == 0
    assert nsenter(run("--security-opt", "seccomp=unconfined"), "mkdir", "/tmp/x").returncode == 0


def test_over_the_host_you_stay_who_you_are(run: Run, nsenter: Call) -> None:
    name = run()
    assert nsenter("--net-only", "--privileged", name, "cat", "/etc/shadow").returncode != 0
    assert nsenter("--net-only", name, "ls", "/sys/class/net").stdout.split() == ["lo"]
    assert nsenter("--pid", name, "cat", "/proc/1/cmdline").stdout.startswith("sleep")


def test_signals_exits_streams_and_terminals_work(run: Run, nsenter: Call) -> None:
    name = run()
    assert nsenter("-i", name, "sh", "-c", "cat; exit 7", input="through").stdout == "through"
    assert nsenter("-i", name, "sh", "-c", "exit 7").returncode == 7
    assert nsenter(name, "sh", "-c", "kill -9 $$").returncode == 137
    assert nsenter("-t", name, "tty").stdout.strip().startswith("/dev/pts/")
    assert nsenter("-d", name, "sh", "-c", "echo lost > /tmp/done").returncode == 0


def test_no_helper_is_needed_and_dry_run_says_why(run: Run, nsenter: Call, docker: Call) -> None:
    name = run()
    before = docker("ps", "-aq").stdout
    done = nsenter("--dry-run", "--format", "json", name)
    assert "you own the user namespace" in done.stdout, done.stderr
    assert nsenter("--route", "local", name, "id", "-u").stdout == "0\n"
    assert docker("ps", "-aq").stdout == before


def test_why_works_for_the_owner(run: Run, nsenter: Call) -> None:
    """The kernel shows him no filter that runs; the one that he brought is asked instead."""
    name = run("--cap-drop", "KILL")
    done = nsenter("--why", name, "mount", "-t", "tmpfs", "none", "/tmp")
    assert (
        'mount("none", "/tmp", "tmpfs", MS_SILENT): Operation not permitted: the container\'s seccomp filter'
        in done.stderr
    )
    assert "SYS_ADMIN (risk: more of the kernel is open to the command)" in done.stderr
    assert nsenter("--security-opt=seccomp=unconfined", "--cap-add=SYS_ADMIN", name, *done.args[-5:]).returncode == 0
    done = nsenter("--why", "-u", "app", name, "touch", "/x")
    assert f"hint: docker nsenter --user 0 {name} touch /x" in done.stderr
    assert "lifted by --cap-add KILL (harmless)" in nsenter("--why", "-u", "app", name, "kill", "-0", "1").stderr
    assert nsenter("--why", name, "true").stderr == "docker nsenter: nothing was refused\n"


def test_pid_n_needs_no_engine(run: Run, nsenter: Call, pid_of: PidOf, engine: dict[str, str]) -> None:
    pid = pid_of(run("--user", "app"))
    done = nsenter(f"pid:{pid}", "id", "-u", env={**engine, "DOCKER_HOST": "unix:///nowhere.sock"})
    assert done.stdout == "1000\n", done.stderr


def test_another_user_may_not(run: Run, nsenter: Call, pid_of: PidOf) -> None:
    done = nsenter(f"pid:{pid_of(run())}", "true", uid=OTHER)
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) <= 2


def test_an_unreadable_profile_is_refused_not_left_out(run: Run, nsenter: Call, pid_of: PidOf) -> None:
    """Without the runtime's files nobody can tell which filter it was, nor whose process it is."""
    name = run()
    parent = Path(f"/proc/{pid_of(name)}/status").read_text().partition("PPid:")[2].split()[0]
    config = Path(f"/proc/{parent}/cwd/config.json")
    told = config.read_text()
    config.write_text("{}")  # its owner stays the engine's
    try:
        refused(nsenter(name, "true"), "cannot build the container's seccomp filter anew", "seccomp=unconfined")
        config.rename(f"{config}.away")
        refused(nsenter("--route", "local", name, "true"), "its runtime's config.json can't be found")
    finally:
        Path(f"{config}.away").rename(config)
        config.write_text(told)


ARCHITECTURES = (0xC000003E, 0x40000003, 0xC00000B7, 0x40000028)  # x86-64, i386, arm64, arm
NUMBERS = [*range(600), *range(0x40000000, 0x40000258), 0x7FFFFFFF, 0xFFFFFFFF]
ARGUMENTS = [bytes(48), *(word.to_bytes(8, "little") * 6 for word in (1, 8, 0x20008, 0xFFFFFFFF, 0x7E020000, 40))]


@pytest.mark.parametrize("flags", [(), ("--security-opt", "seccomp=PROFILE")])
def test_the_filter_decides_as_the_one_that_the_kernel_holds(
    run: Run, docker: Call, pid_of: PidOf, custom: str, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    """Root may have both: what the runtime installed, and what is made anew from its profile."""
    name = run(*(flag.replace("PROFILE", custom) for flag in flags))
    pid, identity = pid_of(name), docker("inspect", "-f", "{{.Id}}", name).stdout.strip()
    theirs = seccomp.copy(Target(pid), 1)[0].program
    ours = seccomp_profile.of_process(pid, identity, "runc")
    for architecture in ARCHITECTURES:
        monkeypatch.setattr(syscalls, "AUDIT_ARCH", architecture)
        for number in NUMBERS:
            assert seccomp.decide(ours, number) == seccomp.decide(theirs, number), (architecture, number)
    monkeypatch.setattr(syscalls, "AUDIT_ARCH", ARCHITECTURES[syscalls.MACHINE == "aarch64"])
    for number in range(460):
        for arguments in ARGUMENTS:
            found = [seccomp.decide(program, number, arguments) for program in (ours, theirs)]
            assert found[0] == found[1], (number, arguments)


# --- the guard: command and container's root are in one user namespace, the engine's ---------------------------------

BEYOND = [
    ("--pid",),
    ("--pid", "-u", "1000"),
    ("--pid", "--cap-drop", "ALL"),
    ("--no-net",),
    ("--no-mount",),
    ("--security-opt", "seccomp=unconfined"),
]


@pytest.fixture
def defenceless(engine: dict[str, str], public: Path) -> dict[str, str]:
    """An environment whose plugin gives no guard."""
    place = public / "defenceless"
    write(str(place / "cli-plugins/docker-nsenter"), python=REAL, library=str(weakened(place, DEFENCELESS)))
    subprocess.run(["chmod", "-R", "a+rX", place], check=True)
    return {**engine, "DOCKER_CONFIG": str(place)}


def test_the_containers_root_reaches_no_command_that_has_more_than_it(
    field: Field, nsenter: Call, defenceless: dict[str, str]
) -> None:
    guarded = {options: fight(field, nsenter, options, field.target()) for options in BEYOND}
    open_to = {options: fight(field, nsenter, options, field.target(), env=defenceless) for options in BEYOND}
    field.collect()
    for options, result in guarded.items():
        assert result.status == 0, (options, result.said)
        assert {"inside", "beside-inside"} <= result.tried, options
        assert not result.reached, options
        assert {who for who, _, _ in open_to[options].reached} == {"inside", "beside-inside"}, (
            options,
            open_to[options],
        )


@pytest.mark.parametrize(
    "flags", [("--cap-add", "SYS_PTRACE"), ("--privileged",), ("--privileged", "--runtime=newer")], ids=" ".join
)
def test_all_capabilities_in_the_engines_namespace_do_not_make_it_its_user(
    field: Field, nsenter: Call, defenceless: dict[str, str], flags: tuple[str, ...]
) -> None:
    """A privileged container of a rootless engine does not have its user's files: by our command it would."""
    name = field.watcher("strong", *flags)
    result = fight(field, nsenter, ("--pid",), name)
    open_to = fight(field, nsenter, ("--pid",), name, env=defenceless)
    field.collect()
    assert any(what.startswith("marker") for _, what, _ in open_to.reached), (open_to.tried, open_to.said)
    assert result.status == 125, result.reached
    assert "could take over this command by its capabilities" in result.said


def test_its_ports_are_reached_and_its_end_is_held(run: Run, docker: Call, nsenter: Call) -> None:
    script = "echo page >/tmp/index.html; httpd -p 127.0.0.1:80 -h /tmp; sleep 6; exit 3"
    name = run(command=("sh", "-c", script))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ThreadPoolExecutor() as threads:
        forwarded = threads.submit(nsenter, "--forward", f"{port}:80", name, "sleep", "3")
        fetch = [
            "curl",
            "-s",
            "--retry",
            "30",
            "--retry-delay",
            "1",
            "--retry-connrefused",
            f"http://127.0.0.1:{port}/",
        ]
        assert subprocess.run(fetch, capture_output=True, text=True, check=False).stdout == "page\n"
        assert (forwarded.result().returncode, forwarded.result().stderr) == (0, "")
    held = nsenter("--at-exit", name, "echo", "inside")
    assert (held.returncode, held.stdout) == (0, "inside\n"), held.stderr
    assert "exit status 3" in held.stderr
    assert docker("wait", name).stdout == "3\n"
