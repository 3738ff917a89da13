"""An engine with userns-remap: the container's root is nobody on the host, and so is who enters."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..conftest import Call, Run
from ..private import Private, with_etc
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
    """The host's root has no id there: as nobody you could do nothing."""
    name = run()
    status = nsenter(option, name, "cat", "/proc/self/status").stdout
    oracle = docker("exec", name, "cat", "/proc/self/status").stdout
    assert ids(status) == (["0"], ["0"], ids(oracle)[2])
    assert nsenter(option, name, "cat", "/etc/shadow").returncode != 0


def test_its_files_without_its_user_namespace_are_refused(run: Run, nsenter: Call) -> None:
    name = run()
    for option in ("--no-userns", "--mount"):
        refused(nsenter(option, name, "true"), "its own user namespace", "--userns")


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
