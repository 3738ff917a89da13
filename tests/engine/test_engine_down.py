"""When the engine hangs or has ended, root enters all the same: its state on disk says who the container is."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import Call, Done, wait_until
from ..private import Private
from .test_lookup import refused
from .test_parity import READINGS, told

Engine = dict[str, str]


@pytest.fixture(scope="module")
def private(engine: Engine) -> Iterator[Private]:
    """An engine with live-restore: its containers outlive it."""
    directory = Path(tempfile.mkdtemp(prefix="nsenter-down.", dir="/var/tmp"))
    started = Private(directory, {**engine, "DOCKER_NSENTER_TIMEOUT": "0.5"}, "--live-restore")
    started.run(
        "web", "--user", "app:extra", "--cap-drop", "CHOWN", "--env", "A=b", "--workdir", "/tmp", "--memory", "64m"
    )
    started.run("shop-db-1", "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=db",
                "--label", "com.docker.compose.container-number=1")  # fmt: skip
    for name in ("shop-cache-1", "shop-cache-2"):
        labels = {"project": "shop", "service": "cache", "container-number": name[-1]}
        started.run(name, *(f"--label=com.docker.compose.{key}={value}" for key, value in labels.items()))
    started.run("ended", command=("sh", "-c", "exit 3"))
    started.docker("wait", "ended")
    yield started
    started.end()
    shutil.rmtree(directory)


@pytest.fixture
def hung(private: Private) -> Iterator[Engine]:
    """The engine hangs: it accepts connections and never answers."""
    pid = private.pid()
    os.kill(pid, signal.SIGSTOP)
    yield private.environment
    os.kill(pid, signal.SIGCONT)


@pytest.fixture
def dead(private: Private) -> Iterator[Engine]:
    """The engine has ended; its containers run on."""
    private.process.terminate()
    private.process.wait(30)
    yield private.environment
    private.start()


def readings(call: Call, *words: str, **options: object) -> dict[str, str]:
    """Read all that must agree."""
    return {name: told(call(*words, *reading, **options), name) for name, reading in READINGS.items()}


def without_notice(done: Done, directory: Path) -> Done:
    """Expect the one line that tells where the container was found."""
    own = [line for line in done.stderr.splitlines() if line.startswith(("docker nsenter:", "hint:"))]
    assert len(own) == 1, done.stderr
    assert f"found web in the engine's files: {directory}/data/containers/" in done.stderr
    return done


@pytest.mark.parametrize("state", ["hung", "dead"])
def test_it_is_entered_as_docker_exec_entered_it(
    private: Private, nsenter: Call, request: pytest.FixtureRequest, state: str
) -> None:
    def oracle(*words: str) -> Done:
        return private.docker("exec", *words, check=False)

    expected = readings(oracle, "web")
    environment = request.getfixturevalue(state)
    for name, words in READINGS.items():
        done = without_notice(nsenter("web", *words, env=environment), private.directory)
        assert told(done, name) == expected[name], name


def test_it_says_what_happened_and_where_it_looked(private: Private, hung: Engine, nsenter: Call) -> None:
    done = without_notice(nsenter("web", "true", env=hung), private.directory)
    assert "does not answer within 0.5 seconds" in done.stderr
    assert done.returncode == 0


def test_ids_prefixes_and_services_are_found_too(private: Private, dead: Engine, nsenter: Call) -> None:
    identity = next(path.name for path in (private.directory / "data/containers").iterdir() if _name(path) == "web")
    for word in (identity, identity[:12]):
        assert nsenter(word, "hostname", env=dead).stdout.strip() == identity[:12]
    for word in ("db", "shop/db/1"):
        done = nsenter(word, "echo", "in", env=dead)
        assert done.stdout == "in\n", done.stderr


def test_a_service_of_several_containers_is_not_guessed(private: Private, hung: Engine, nsenter: Call) -> None:
    states = (private.directory / "data/containers").iterdir()
    places = [path for path in states if _name(path).startswith("shop-cache-")]
    done = nsenter("cache", "echo", "in", env=hung)
    assert (done.returncode, done.stdout) == (125, "")
    assert "the engine does not answer, and cache matches several running containers: " in done.stderr
    assert len(places) == 2
    assert all(str(place) in done.stderr for place in places)


def _name(directory: Path) -> str:
    """Read the name in a container's state without parsing it."""
    return (directory / "config.v2.json").read_text().partition('"Name":"/')[2].partition('"')[0]


def test_one_that_had_ended_before_says_so(hung: Engine, nsenter: Call) -> None:
    refused(nsenter("ended", "true", env=hung), "does not answer", "not running", "exit status 3")


def test_one_that_ended_meanwhile_is_never_another_process(private: Private, nsenter: Call) -> None:
    """The state still names its number; whoever has that by now is not this container."""
    private.run("stale")
    pid = int(private.docker("inspect", "-f", "{{.State.Pid}}", "stale").stdout)
    os.kill(private.pid(), signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "it is gone")
        refused(nsenter("stale", "true", env=private.environment), f"its process {pid} has ended")
    finally:
        os.kill(private.pid(), signal.SIGCONT)
        private.docker("rm", "-f", "stale")


def test_an_unknown_name_is_the_engines_silence(hung: Engine, nsenter: Call) -> None:
    refused(nsenter("no-such-container", "true", env=hung), "does not answer within", "pid:N")


def test_another_engines_container_is_never_meant(private: Private, nsenter: Call, engine: Engine) -> None:
    """An address where nobody listens finds only what no living engine has."""
    environment = {**engine, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    refused(nsenter("web", "true", env=environment), "is it running?")


def test_a_state_that_others_could_have_written_is_not_believed(private: Private, hung: Engine, nsenter: Call) -> None:
    containers = private.directory / "data/containers"
    containers.chmod(0o777)
    try:
        refused(nsenter("web", "true", env=hung), "does not answer within")
    finally:
        containers.chmod(0o710)


def test_who_is_not_root_gets_the_plain_sentence(private: Private, hung: Engine) -> None:
    words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "docker", "nsenter", "web", "true"]
    subprocess.run(["chmod", "-R", "a+rX", hung["DOCKER_CONFIG"]], check=True)
    private.directory.chmod(0o755)
    (private.directory / "docker.sock").chmod(0o666)
    done = subprocess.run(words, env=hung, capture_output=True, text=True, timeout=30, check=False)
    refused(done, "does not answer within 0.5 seconds")


def test_dry_run_works_without_the_engine_as_well(hung: Engine, nsenter: Call) -> None:
    done = nsenter("--dry-run", "--format", "json", "web", env=hung)
    assert done.returncode == 0
    assert '"user": "app:extra"' in done.stdout
