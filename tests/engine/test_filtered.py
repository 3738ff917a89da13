"""An engine that filters all that it runs, privileged containers too: the kernel lets no helper copy a filter there."""

import ctypes
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import TOP, Call, Run
from ..images import PYTHON, import_images, import_python

PR_SET_SECCOMP, SECCOMP_MODE_FILTER, SECCOMP_RET_ALLOW, BPF_RET = 22, 2, 0x7FFF0000, 0x06
FIELDS = "Seccomp|CapBnd|CapEff|NoNewPrivs"


def filtered() -> None:
    """Allow everything by a filter, which all that is started from here inherits."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RET, 0, 0, SECCOMP_RET_ALLOW))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(program)))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@pytest.fixture(scope="module")
def engine(engine: dict[str, str]) -> Iterator[dict[str, str]]:
    """An engine under a filter, in the place of the tests' own."""
    place = tempfile.mkdtemp(prefix="nsenter-filtered.", dir="/var/tmp")
    words = [TOP / "scripts/engine", "start", place]
    host = subprocess.check_output(words, text=True, preexec_fn=filtered).strip()  # noqa: PLW1509
    environment = {**engine, "DOCKER_HOST": host}
    import_images(environment)
    import_python(environment)
    yield environment
    subprocess.run([TOP / "scripts/engine", "stop", place], check=True)
    os.rmdir(place)


@pytest.mark.parametrize("image", [(), ("--helper-image", PYTHON)], ids=["bound", "sent"])
@pytest.mark.parametrize("flags", [(), ("--cap-add", "SYS_PTRACE"), ("--security-opt", "seccomp=unconfined")])
def test_a_helper_that_is_filtered_itself_makes_the_containers_filter(
    run: Run, docker: Call, nsenter: Call, flags: tuple[str, ...], image: tuple[str, ...]
) -> None:
    name = run(*flags)
    words = ("grep", "-E", FIELDS, "/proc/self/status")
    oracle = docker("exec", name, *words).stdout
    assert "Seccomp:\t2" in oracle
    done = nsenter("--route", "helper", *image, name, *words)
    assert (done.stdout, done.stderr) == (oracle, "")


def test_that_filter_filters(run: Run, docker: Call, nsenter: Call, tmp_path: Path) -> None:
    words = ("unshare", "-U", "true")
    name, free = run(), run("--security-opt", "seccomp=unconfined")
    assert nsenter("--route", "helper", name, *words).returncode == docker("exec", name, *words, check=False).returncode
    assert nsenter("--route", "helper", name, *words).returncode != 0
    assert nsenter("--route", "helper", free, *words).returncode == 0


def test_several_get_a_filter_each(run: Run, nsenter: Call) -> None:
    one, other = run(), run("--security-opt", "seccomp=unconfined")
    done = nsenter("--route", "helper", f"{one},{other}", "grep", "Seccomp_filters", "/proc/self/status")
    assert sorted(line.split()[-1] for line in done.stdout.splitlines()) == ["1", "2"], done.stderr


def test_without_the_library_it_says_so_and_runs_nothing(run: Run, docker: Call, nsenter: Call, tmp_path: Path) -> None:
    library = next(Path("/usr/lib").glob("*/libseccomp.so.2"))
    (tmp_path / "Dockerfile").write_text(f"FROM {PYTHON}\nCOPY none {library}\n")
    (tmp_path / "none").write_text("")
    docker("build", "-t", "nsenter-test-without", str(tmp_path), timeout=100)
    done = nsenter("--route", "helper", "--helper-image", "nsenter-test-without", run(), "echo", "ran")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith("docker nsenter: the engine filters its helpers, so that they can't copy a filter; ")
