"""As root, no code is run that others can change."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from docker_nsenter.commands.install import loader

from ..starting import BEGIN, PLAIN
from ..weaken import weakened
from .conftest import plan_for, run_plan

Unshared = Callable[..., int]


def by_loader(python: Path) -> list[str]:
    """Start an interpreter as scripts/install has the launcher do it."""
    return [word for word in [loader(str(python)), str(python)] if word]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A copy of the package that only root can change."""
    return weakened(tmp_path)


def somebodys(library: Path) -> Path:
    """The user's own copy, as in ~/.docker."""
    for path in [library, *library.rglob("*")]:
        os.chown(path, 1000, 1000)
    return library


def one_file(library: Path) -> Path:
    """What `cp -a` by root leaves."""
    os.chown(library / "docker_nsenter/enter/steps.py", 1000, 1000)
    return library / "docker_nsenter/enter/steps.py"


def compiled(library: Path) -> Path:
    """A compiled file, which is what is really run."""
    place = library / "docker_nsenter/enter/__pycache__"
    place.mkdir()
    (place / "steps.pyc").write_text("")
    os.chown(place / "steps.pyc", 1000, 1000)
    return place / "steps.pyc"


def directory_above(library: Path) -> Path:
    """Who can rename the directory can put another in its place."""
    os.chown(library.parent, 1000, 1000)
    return library.parent


def everybodys(library: Path) -> Path:
    """A directory without the sticky bit of /tmp."""
    (library / "docker_nsenter").chmod(0o777)
    return library / "docker_nsenter"


def a_groups(library: Path) -> Path:
    """A directory that a group of users shares."""
    os.chown(library, 0, 1000)
    library.chmod(0o775)
    return library


def by_a_link(library: Path) -> Path:
    """A link of root's to files of root's that lie in somebody's directory."""
    home = library.parent / "home"
    home.mkdir()
    library.rename(home / "plugin")
    library.symlink_to(home / "plugin")
    os.chown(home, 1000, 1000)
    return home


def by_somebodys_link(library: Path) -> Path:
    """In a directory like /tmp only who owns a link can make it lead elsewhere."""
    library.parent.chmod(0o1777)
    library.symlink_to(library.rename(library.with_name("roots")))
    os.chown(library, 1000, 1000, follow_symlinks=False)
    return library


SPOILED = (somebodys, one_file, compiled, directory_above, everybodys, a_groups, by_a_link, by_somebodys_link)


@pytest.mark.parametrize("spoil", SPOILED)
def test_root_takes_no_code_that_others_can_change(
    unshared: Unshared, library: Path, tmp_path: Path, spoil: Callable[[Path], Path]
) -> None:
    place = spoil(library)
    marker = tmp_path / "marker"
    done = run_plan(plan_for(unshared(), "touch", str(marker)), library=library)
    assert done.returncode == 125
    assert "refusing to run code as root that others can change: /" in done.stderr
    assert str(place) in done.stderr or spoil is somebodys
    assert "hint: sudo scripts/install --system" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert not marker.exists()


def test_roots_own_copy_is_run_from_below_tmp(unshared: Unshared, library: Path) -> None:
    """/tmp is everybody's, but for its sticky bit nobody can change there what is root's."""
    done = run_plan(plan_for(unshared(), "true"), library=library)
    assert (done.returncode, done.stderr) == (0, "")


def test_root_uses_no_interpreter_that_others_can_change(unshared: Unshared, tmp_path: Path) -> None:
    python = tmp_path / "bin" / os.path.basename(os.path.realpath(sys.executable))
    python.parent.mkdir()
    shutil.copy(os.path.realpath(sys.executable), python)
    assert run_plan(plan_for(unshared(), "true"), python=by_loader(python)).returncode == 0
    os.chown(python, 1000, 1000)
    done = run_plan(plan_for(unshared(), "true"), python=by_loader(python))
    assert done.returncode == 125
    assert str(python) in done.stderr
    os.chown(python, 0, 0)
    link = tmp_path / "link"
    link.symlink_to(python)
    os.chown(python.parent, 1000, 1000)
    assert run_plan(plan_for(unshared(), "true"), python=by_loader(link)).returncode == 125


def test_a_root_of_a_user_namespace_may_use_the_hosts_files(library: Path, tmp_path: Path) -> None:
    """A rootless engine's: the host's root has no number there, and this one no power that others could want."""
    script = (
        f"import sys; sys.path.insert(0, {str(library)!r}); "
        "from docker_nsenter.enter.hardening import secure_path; secure_path.check()"
    )
    for path in [tmp_path, library.parent, library, *library.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o055)
    for path in [*tmp_path.parents][:-2]:
        path.chmod(path.stat().st_mode | 0o011)
    as_user = [
        "setpriv",
        "--reuid",
        "4242",
        "--regid",
        "4242",
        "--clear-groups",
        "unshare",
        "--user",
        "--map-root-user",
    ]
    words = [*as_user, os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False, cwd="/")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("spoiled", "status"),
    [
        ("", 0),
        ("__pycache__/errors.{}.pyc", 0),
        ("__pycache__/enter.{}.bundle", 125),
        ("__pycache__/start.{}.bundle", 125),
        ("enter", 125),
        ("enter/steps.py", 125),
        ("loader.py", 125),
    ],
    ids=[
        "nothing",
        "a file that is not run",
        "a bundle",
        "the first one",
        "a directory",
        "a source that changes",
        "the first one's source",
    ],
)
def test_what_is_run_from_a_bundle_is_roots_alone(
    unshared: Unshared, library: Path, tmp_path: Path, spoiled: str, status: int
) -> None:
    """Who changes a source behind a bundle has it run from the source, and refused."""
    package, marker = library / "docker_nsenter", tmp_path / "marker"
    (package / "__pycache__").mkdir()
    words = [*by_loader(Path(os.path.realpath(sys.executable))), "-I", "-S", "-B", "-X", "utf8", "-c"]
    subprocess.run([*words, PLAIN + "from docker_nsenter import bundle; bundle.write()", str(library)], check=True)
    if spoiled:
        place = package / spoiled.format(sys.implementation.cache_tag)
        place.is_dir() or place.touch()
        os.chown(place, 1000, 1000)
        if place.suffix == ".py":
            place.write_text(place.read_text() + "\n")
    first = package / f"__pycache__/start.{sys.implementation.cache_tag}.bundle"
    line = [*words, BEGIN + "from docker_nsenter.__main__ import main; main()", str(library), str(first)]
    line += ["nsenter", f"pid:{unshared()}", "touch", str(marker)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, marker.exists()) == (status, status == 0), done.stderr
