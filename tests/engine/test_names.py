"""Compose services and swarm tasks are found by the labels that those tools set; a container's own name always wins."""

import re
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..conftest import BUSYBOX, Call, Run
from .conftest import answering
from .test_lookup import refused

Engine = dict[str, str]
Replica = Callable[..., str]


@pytest.fixture
def project() -> str:
    """A name that no other container has."""
    return f"p{uuid.uuid4().hex[:8]}"


@pytest.fixture
def replica(run: Run, project: str) -> Replica:
    """Start a container with the labels that docker compose gives."""

    def start(service: str, number: int = 1, *flags: str, of: str = project, oneoff: str = "False") -> str:
        labels = {"project": of, "service": service, "container-number": number, "oneoff": oneoff}
        words = [word for key, value in labels.items() for word in ("--label", f"com.docker.compose.{key}={value}")]
        return run(*words, *flags)

    return start


def entered(nsenter: Call, word: str) -> str:
    """Tell which container a word enters, by its id in the host name."""
    done = nsenter(word, "hostname")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def id_of(docker: Call, name: str) -> str:
    return docker("inspect", "-f", "{{.Id}}", name).stdout[:12]


def test_a_service_is_its_container(replica: Replica, project: str, docker: Call, nsenter: Call) -> None:
    service = f"s{project}"
    wanted = id_of(docker, replica(service))
    for word in (service, f"{project}/{service}", f"{project}/{service}/1"):
        assert entered(nsenter, word) == wanted


def test_several_replicas_are_listed_and_each_can_be_named(
    replica: Replica, project: str, docker: Call, nsenter: Call
) -> None:
    first, second = replica("web", 1), replica("web", 2)
    both = f"{project}/web/1, {project}/web/2"
    refused(nsenter(f"{project}/web", "true"), "2 running containers", both, f"docker nsenter {project}/web/1")
    assert entered(nsenter, f"{project}/web/1") == id_of(docker, first)
    assert entered(nsenter, f"{project}/web/2") == id_of(docker, second)


def test_one_service_name_in_two_projects_is_ambiguous(
    replica: Replica, project: str, docker: Call, nsenter: Call
) -> None:
    service, other = f"s{project}", f"o{project}"
    replica(service)
    wanted = id_of(docker, replica(service, of=other))
    refused(nsenter(service, "true"), f"{project}/{service}/1", f"{other}/{service}/1")
    assert entered(nsenter, f"{other}/{service}") == wanted


def test_a_container_of_that_name_comes_first(
    replica: Replica, run: Run, project: str, docker: Call, nsenter: Call
) -> None:
    name = run()
    replica(name)
    assert entered(nsenter, name) == id_of(docker, name)


def test_the_replica_that_runs_is_meant(replica: Replica, project: str, docker: Call, nsenter: Call) -> None:
    ended, wanted = replica("db", 1), replica("db", 2)
    docker("kill", ended)
    assert entered(nsenter, f"{project}/db") == id_of(docker, wanted)


def test_a_service_that_does_not_run_says_how_to_start_it(
    replica: Replica, project: str, docker: Call, nsenter: Call
) -> None:
    name = replica("db")
    docker("kill", name)
    refused(nsenter(f"{project}/db", "true"), "is running", "exited", f"docker start {name}")


def test_what_compose_run_started_is_no_replica(replica: Replica, project: str, nsenter: Call) -> None:
    replica("tool", oneoff="True")
    refused(nsenter(f"{project}/tool", "true"), "no such container")


def test_a_paused_service_says_so(replica: Replica, project: str, docker: Call, nsenter: Call) -> None:
    name = replica("db")
    docker("pause", name)
    try:
        refused(nsenter(f"{project}/db", "true"), "paused", f"docker unpause {name}")
    finally:
        docker("unpause", name)


def test_a_misspelled_service_is_suggested(replica: Replica, project: str, nsenter: Call) -> None:
    replica("frontend")
    refused(nsenter(f"{project}/fronted", "true"), "no such container", f"did you mean {project}/frontend")


def test_a_swarm_task_is_found_by_service_slot_and_task(run: Run, project: str, docker: Call, nsenter: Call) -> None:
    tasks = [f"{project}.{slot}.{uuid.uuid4().hex[:25]}" for slot in (1, 2)]
    label = "com.docker.swarm"
    started = [
        run("--label", f"{label}.task.name={task}", "--label", f"{label}.service.name={project}") for task in tasks
    ]
    for task, name in zip(tasks, started, strict=True):
        for word in (task, task.rpartition(".")[0]):
            assert entered(nsenter, word) == id_of(docker, name)
    refused(nsenter(project, "true"), "2 running containers", *tasks)


def test_a_line_that_typer_reads_finds_them_too(replica: Replica, project: str, docker: Call, nsenter: Call) -> None:
    wanted = id_of(docker, replica("web"))
    done = nsenter("--cap-drop=CHOWN", "--env=A=b", "-T", f"{project}/web", "hostname")
    assert done.stdout.strip() == wanted, done.stderr


@pytest.fixture
def recorded(engine: Engine, tmp_path: Path) -> Iterator[tuple[Engine, list[str]]]:
    """An environment whose engine is reached through a relay that notes the requests."""
    path, requests = tmp_path / "relay.sock", []

    def relay(client: socket.socket) -> None:
        request = client.recv(65536)
        requests.append(request.split(b" HTTP/")[0].decode())
        with socket.socket(socket.AF_UNIX) as behind:
            behind.connect(engine["DOCKER_HOST"].removeprefix("unix://"))
            behind.sendall(request)
            while chunk := behind.recv(65536):
                client.sendall(chunk)
        client.close()

    server = answering(path, relay)
    yield {**engine, "DOCKER_HOST": f"unix://{path}"}, requests
    server.close()


def test_labels_cost_a_list_only_when_there_is_no_such_name(
    replica: Replica, project: str, nsenter: Call, recorded: tuple[Engine, list[str]]
) -> None:
    environment, requests = recorded
    name = replica("web")
    assert nsenter(name, "true", env=environment).returncode == 0
    assert requests == [f"GET /containers/{name}/json"]
    requests.clear()
    assert nsenter(f"{project}/web", "true", env=environment).returncode == 0
    assert requests[0].startswith("GET /containers/json")
    assert re.match(r"GET (/v[\d.]+)?/images/", requests[1]), "are its labels its image's?"
    assert len(requests) == 3
    requests.clear()
    refused(nsenter(f"{project}/wep", "true", env=environment), "no such container")
    assert len(requests) == 2


COMPOSES = {"project": "PROJECT", "service": "db", "container-number": "1", "oneoff": "False", "config-hash": "0" * 64}
SWARMS = {"task.name": "PROJECT_db.1.abc", "task.id": "abc", "service.name": "db", "service.id": "def"}


@pytest.fixture
def labelled(engine: Engine, project: str) -> Iterator[Callable[..., str]]:
    """Make an image with labels of its own."""
    made: list[str] = []

    def make(prefix: str, labels: dict[str, str]) -> str:
        made.append(f"nsenter-test-{project}-{len(made)}")
        words = [f"LABEL {prefix}{key}={value.replace('PROJECT', project)}" for key, value in labels.items()]
        text = "\n".join([f"FROM {BUSYBOX}", *words])
        subprocess.run(["docker", "build", "-q", "-t", made[-1], "-"], input=text, text=True, env=engine, check=True)
        return made[-1]

    yield make
    subprocess.run(["docker", "rmi", "-f", *made], env=engine, check=True)


@pytest.mark.parametrize(("prefix", "labels"), [("com.docker.compose.", COMPOSES), ("com.docker.swarm.", SWARMS)])
def test_an_images_maker_does_not_choose_what_its_containers_are_called(
    run: Run,
    docker: Call,
    nsenter: Call,
    labelled: Callable[..., str],
    project: str,
    prefix: str,
    labels: dict[str, str],
) -> None:
    name = run("--label", f"{prefix}project={project}", image=labelled(prefix, labels))
    try:
        for word in ("db", f"{project}/db", f"{project}/db/1", f"{project}_db.1", f"{project}_db.1.abc"):
            refused(nsenter(word, "true"), f"no such container: {word}")
    finally:
        docker("rm", "-f", name)


def test_the_image_that_compose_built_has_its_labels_and_is_believed_beside_a_number(
    run: Run, docker: Call, nsenter: Call, labelled: Callable[..., str], project: str
) -> None:
    built = {key: COMPOSES[key] for key in ("project", "service")}
    numbers = ("--label", "com.docker.compose.container-number=1", "--label", "com.docker.compose.oneoff=False")
    name = run(*numbers, image=labelled("com.docker.compose.", built))
    done = nsenter(f"{project}/db", "hostname")
    assert done.stdout.strip() == id_of(docker, name), done.stderr
    assert done.stderr == f"docker nsenter: {project}/db is container {name}\n", "it is said which one was chosen"
    docker("rm", "-f", name)


def test_a_name_may_be_written_as_inspect_prints_it(run: Run, docker: Call, nsenter: Call) -> None:
    name = run()
    assert entered(nsenter, docker("inspect", "-f", "{{.Name}}", name).stdout.strip()) == id_of(docker, name)
    for word in (f"./{name}", f"{name}/", f"../{name}", f"//{name}", ".", "..", f"{name}/json?"):
        done = nsenter(word, "true")
        assert done.returncode == 125
        assert (
            f"no running container is called {word}" in done.stderr
            or "did you mean" in done.stderr
            or (f"no such container: {word}" in done.stderr)
        )


def test_a_project_is_answered_by_its_services(replica: Replica, project: str, nsenter: Call) -> None:
    replica("web")
    replica("db")
    refused(
        nsenter(project, "true"), "is a compose project", f"{project}/db, {project}/web", f"nsenter {project}/db true"
    )


def test_what_is_near_to_several_is_no_guess(run: Run, nsenter: Call, project: str, replica: Replica) -> None:
    replica("worker1")
    replica("worker2")
    refused(nsenter(f"{project}/worker3", "true"), "similar names", f"{project}/worker1, {project}/worker2")
    refused(nsenter("help-nobody-is-called-so", "true"), "no such container: help-nobody-is-called-so")
