"""An engine with userns-remap: the container's root is nobody on the host, and so is who enters."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from docker_nsenter.enter.linux import capabilities

from ..attack import Field, Result
from ..conftest import Call, Run
from ..private import Private, with_etc
from .conftest import Plugin, fight
from .test_attacks_partial import DEFENCELESS
from .test_lookup import refused
from .test_parity import CONTAINERS, agree

FIRST = 700_000  # the host's id for the containers' 0
TITLES = ["defaults", "user and group-add", "no-new-privileges, user", "ulimit", "workdir of root's, user"]
PidOf = Callable[[str], int]


@pytest.fixture(scope="module")
def engine(engine: dict[str, str]) -> Iterator[dict[str, str]]:
    """A second engine, with ids of its own for containers; the machine's /etc is not touched."""
    directory = Path(tempfile.mkdtemp(prefix="nsenter-userns.", dir="/var/tmp"))
    before = with_etc(directory, f"daemon:{FIRST}:65536")
    started = Private(directory, engine, "--userns-remap=daemon", before=before)
    yield started.environment
    started.end()
    shutil.rmtree(directory)


@pytest.mark.parametrize("title", TITLES)
def test_the_kernel_says_the_same_as_of_docker_exec(run: Run, docker: Call, nsenter: Call, title: str) -> None:
    agree(docker, nsenter, run(*CONTAINERS[title]))


@pytest.mark.parametrize("options", [("--user", "app:audio"), ("--user", "4242:4343")])
def test_options_mean_what_they_mean_to_docker_exec(
    run: Run, docker: Call, nsenter: Call, options: tuple[str, ...]
) -> None:
    agree(docker, nsenter, run("--group-add", "1234"), *options)


def test_a_container_in_the_hosts_own_namespace_agrees_too(run: Run, docker: Call, nsenter: Call) -> None:
    agree(docker, nsenter, run("--userns=host", "--pid=host", "--user", "app"))


def ids(status: str) -> tuple[list[str], list[str], str]:
    """Read uid, groups and effective capabilities out of a status."""
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in status.splitlines())}
    return fields["Uid"][:1], fields["Groups"], fields["CapEff"][0]


@pytest.mark.parametrize("option", ["--userns", "--userns-only", "--no-mount"])
def test_without_its_files_you_are_root_of_its_user_namespace(
    run: Run, docker: Call, nsenter: Call, option: str
) -> None:
    """The host's root has no id there: as nobody you could do nothing. The guard is a capability of that namespace."""
    name = run()
    status = nsenter(option, name, "cat", "/proc/self/status").stdout
    oracle = docker("exec", name, "cat", "/proc/self/status").stdout
    uid, groups, effective = ids(status)
    assert (uid, groups) == (["0"], ["0"])
    assert int(effective, 16) == int(ids(oracle)[2], 16) | 1 << capabilities.NUMBERS["WAKE_ALARM"]
    assert nsenter(option, name, "cat", "/etc/shadow").returncode != 0


def test_its_files_without_its_user_namespace_are_refused(run: Run, nsenter: Call) -> None:
    name = run()
    for option, hint in (("--no-userns", f"docker nsenter {name} true"), ("--mount", "--userns")):
        refused(nsenter(option, name, "true"), "its own user namespace", hint)


def test_the_privileges_that_are_kept_are_none_on_the_host(run: Run, nsenter: Call, tmp_path: Path) -> None:
    name = run()
    assert nsenter("--privileged", name, "mount", "-t", "tmpfs", "none", "/tmp").returncode != 0
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o600)
    assert nsenter("--userns", "--privileged", name, "cat", str(tmp_path / "secret")).returncode != 0


def test_pid_n_is_its_user(run: Run, nsenter: Call, pid_of: PidOf) -> None:
    name = run("--user", "app:extra")
    assert nsenter(f"pid:{pid_of(name)}", "id").stdout.startswith("uid=1000(app) gid=2000(extra)")


def test_what_it_creates_belongs_to_the_mapped_id(run: Run, nsenter: Call, pid_of: PidOf) -> None:
    name = run()
    assert nsenter("-u", "app", name, "touch", "/tmp/made").returncode == 0
    assert os.stat(f"/proc/{pid_of(name)}/root/tmp/made").st_uid == FIRST + 1000


# --- the guard: the container's root is root of the namespace that it is entered in ----------------------------------

IN_IT = [("--no-net",), ("--no-mount",), ("--security-opt", "seccomp=unconfined"), ("--no-net", "-u", "1000")]
# The command stays in the host's user namespace, where the container's root has no power, whatever its ids
OUTSIDE = [("--pid",), ("--net-only",), ("--pid", "-u", str(FIRST))]


def by(result: Result) -> set[str]:
    """Name who reached it."""
    return {who for who, _, _ in result.reached}


def test_the_containers_root_reaches_no_command_that_has_more_than_it(
    field: Field, nsenter: Call, plugin: Plugin
) -> None:
    entries = [*IN_IT, *OUTSIDE, ("--no-net", "--route", "helper"), ("--pid", "--route", "helper")]
    guarded = {options: fight(field, nsenter, options, field.target()) for options in entries}
    defenceless = plugin(DEFENCELESS)
    open_to = {options: fight(field, defenceless, options, field.target()) for options in (*IN_IT, *OUTSIDE)}
    field.collect()
    for options, result in guarded.items():
        assert result.status == 0, (options, result.said)
        assert result.tried or "--net-only" in options, options
        assert not result.reached, options
    for options in IN_IT:
        assert by(open_to[options]) == {"inside", "beside-inside"}, (options, open_to[options])
    for options in OUTSIDE:
        assert not open_to[options].reached, options


def test_who_sees_the_hosts_processes_owns_the_containers_namespace(
    field: Field, nsenter: Call, plugin: Plugin
) -> None:
    """Root of the namespace above has every capability in the containers', so that no guard keeps it out of there."""
    field.watcher("agent", "--pid=host", "--userns=host", "--security-opt", "seccomp=unconfined")
    defenceless = plugin(DEFENCELESS)
    guarded = {options: fight(field, nsenter, options, field.target()) for options in (*IN_IT, *OUTSIDE[:2])}
    open_to = {options: fight(field, defenceless, options, field.target()) for options in (*IN_IT, *OUTSIDE[:2])}
    field.collect()
    for options in IN_IT:
        assert guarded[options].status == 125
        assert "it owns the user namespace" in guarded[options].said
        assert "agent" in by(open_to[options]), options
    for options in OUTSIDE[:2]:
        assert guarded[options].status == 0, guarded[options].said
        assert "agent" in guarded[options].tried
        assert not guarded[options].reached
        assert by(open_to[options]) == {"agent"}


@pytest.mark.parametrize("capability", ["WAKE_ALARM", "SYS_PTRACE"])
def test_a_capability_of_the_containers_namespace_counts_only_there(run: Run, nsenter: Call, capability: str) -> None:
    name = run("--cap-add", capability)
    outside = nsenter("--pid", name, "cat", "/proc/self/status")
    assert int(ids(outside.stdout)[2], 16) & 1 << capabilities.NUMBERS["WAKE_ALARM"]
    inside = nsenter("--no-net", name, "cat", "/proc/self/status")
    if capability == "SYS_PTRACE":
        refused(inside, "by its capabilities (SYS_PTRACE)", f"docker nsenter {name} cat /proc/self/status")
    else:
        assert int(ids(inside.stdout)[2], 16) & 1 << capabilities.NUMBERS["BLOCK_SUSPEND"]


def test_its_ports_are_reached_and_its_end_is_held(run: Run, docker: Call, nsenter: Call) -> None:
    script = "echo page >/tmp/index.html; httpd -p 127.0.0.1:80 -h /tmp; sleep 6; exit 3"
    name = run(command=("sh", "-c", script))
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [each.getsockname()[1] for each in (free, other)]
    with ThreadPoolExecutor() as threads:
        words = ["--forward", f"{ports[0]}:80", "--forward", f"{ports[1]}:80", name, "sleep", "3"]
        forwarded = threads.submit(nsenter, *words)
        for port in ports:
            fetch = ["curl", "-s", "--retry", "30", "--retry-delay", "1", "--retry-connrefused"]
            done = subprocess.run([*fetch, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=False)
            assert done.stdout == "page\n"
        assert (forwarded.result().returncode, forwarded.result().stderr) == (0, "")
    held = nsenter("--at-exit", name, "echo", "inside")
    assert (held.returncode, held.stdout) == (0, "inside\n"), held.stderr
    assert docker("wait", name).stdout == "3\n"
