"""Installed, replaced, broken and removed: docker's own help stays clean, and one sentence says what to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import TOP

PLUGIN = "cli-plugins/docker-nsenter"
ORDINARY = 65534


@pytest.fixture
def installed(tmp_path: Path, engine: dict[str, str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A package of our own, made known to docker by docker-nsenter install."""
    shutil.copytree(TOP / "plugin", tmp_path / "home/plugin", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOP / "docker-cli-plugin-metadata", tmp_path / "home")
    environment = {**engine, "DOCKER_CONFIG": str(tmp_path / "config"), "PYTHONDONTWRITEBYTECODE": "1"}
    assert "is installed: " in nsenter_itself(tmp_path, environment, "install").stdout
    yield tmp_path, environment


def nsenter_itself(place: Path, environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """Run docker-nsenter as an installer's script does."""
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from docker_nsenter.__main__ import main; main()"
    line = [sys.executable, "-I", "-X", "utf8", "-c", code, place / "home/plugin", *words]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


def docker(environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """Run docker with this configuration."""
    return subprocess.run(["docker", *words], env=environment, capture_output=True, text=True, check=False)


def test_without_its_package_dockers_help_stays_clean_and_the_launcher_says_what_to_do(
    installed: tuple[Path, dict[str, str]],
) -> None:
    place, environment = installed
    shutil.rmtree(place / "home")
    shown = docker(environment, "--help")
    assert "Invalid Plugins" not in shown.stdout
    assert "nsenter*" in shown.stdout
    done = docker(environment, "nsenter", "web")
    assert done.returncode == 125
    sentence, hint = done.stderr.splitlines()
    assert "its Python package is gone" in sentence
    subprocess.run(["sh", "-c", hint.rpartition(": ")[2]], check=True)
    assert not (place / "config" / PLUGIN).exists()


def bundles(place: Path) -> list[str]:
    """List the bundles that are there."""
    return sorted(path.name.partition(".")[0] for path in (place / "home").rglob("*.bundle"))


def test_bundles_are_made_by_whoever_installs_and_again_when_they_are_lost(
    installed: tuple[Path, dict[str, str]],
) -> None:
    place, environment = installed
    assert bundles(place) == ["enter", "many", "plan", "plan-many", "start", "watch"]
    shutil.rmtree(place / "home/plugin/docker_nsenter/__pycache__")
    assert docker(environment, "nsenter", "--version").stdout == "docker nsenter 0.1.0\n"
    assert bundles(place) == ["enter", "many", "plan", "plan-many", "start", "watch"]


def test_a_bundle_of_other_sources_is_replaced_at_the_second_start(installed: tuple[Path, dict[str, str]]) -> None:
    place, environment = installed
    source = place / "home/plugin/docker_nsenter/enter/errors.py"
    os.utime(source, (1, 1))
    docker(environment, "nsenter", "no-such-container")
    assert bundles(place) == ["enter", "many", "plan", "plan-many", "watch"]
    docker(environment, "nsenter", "no-such-container")
    assert bundles(place) == ["enter", "many", "plan", "plan-many", "start", "watch"]


def test_a_python_of_another_version_reads_the_sources(installed: tuple[Path, dict[str, str]]) -> None:
    """As when the distribution has replaced Python by its next: a bundle belongs to one version."""
    place, environment = installed
    launcher = place / "config" / PLUGIN
    bundle = next((place / "home").rglob("start.*.bundle"))
    other = bundle.with_name("start.cpython-399.bundle")
    other.write_bytes(b"no bundle of this version")
    launcher.write_text(launcher.read_text().replace(bundle.name, other.name))
    assert docker(environment, "nsenter", "--version").stdout == "docker nsenter 0.1.0\n"
    other.unlink()


def test_removing_twice_is_no_error_and_leaves_nothing(installed: tuple[Path, dict[str, str]]) -> None:
    place, environment = installed
    assert "is removed" in nsenter_itself(place, environment, "uninstall").stdout
    done = nsenter_itself(place, environment, "uninstall")
    assert (done.returncode, done.stdout) == (0, f"docker nsenter is not installed at {place}/config/{PLUGIN}\n")
    assert bundles(place) == []
    assert list((place / "config").iterdir()) == []
    assert "nsenter" not in docker(environment, "--help").stdout


def test_who_has_no_docker_is_told_so(installed: tuple[Path, dict[str, str]]) -> None:
    place, environment = installed
    done = nsenter_itself(place, {**environment, "PATH": "/nowhere"}, "install")
    assert "no docker command" in done.stdout.splitlines()[1]


def test_as_root_code_of_others_is_not_installed(installed: tuple[Path, dict[str, str]]) -> None:
    place, environment = installed
    os.chown(place / "home/plugin/docker_nsenter/errors.py", ORDINARY, ORDINARY)
    done = nsenter_itself(place, environment, "install", "--system")
    assert done.returncode == 125
    assert done.stderr.splitlines()[0].endswith(
        "that others can change: " + str(place / "home/plugin/docker_nsenter/errors.py")
    )


def test_the_scripts_say_in_one_sentence_what_is_missing(tmp_path: Path, engine: dict[str, str]) -> None:
    environment = {**engine, "DOCKER_CONFIG": str(tmp_path / "config")}
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": "/dev/null"}
    for more, said in (
        ({"PYTHON": "/bin/false"}, "PYTHON=/bin/false is no Python of 3.10 or newer"),
        ({**offline, "PIP_NO_CACHE_DIR": "1"}, "is this machine offline?"),
    ):
        done = subprocess.run(
            [TOP / "scripts/install"], env={**environment, **more}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "config").exists()
