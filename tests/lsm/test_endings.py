"""`kill -9` of the plugin leaves no command, though execve's change of the label clears the kernel's death signal."""

import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from docker_nsenter.commands.install import write

from ..conftest import Run, children, wait_until
from ..weaken import weakened

WITHOUT = ("enter/told.py", "    if entry.label and not entry.plan", "    if False and not entry.plan")
ENTRIES = {
    "in full": "-i",
    "as another user": "-i -u 1000",
    "with a terminal": "-t",
    "in the network alone": "-i --net-only",
    "in the pid namespace alone": "-i --pid",
    "with one capability more": "-i --cap-add SYS_PTRACE",
    "watched": "-i --why",
    "detached": "-d",
}


def left(mark: str) -> list[str]:
    """List what runs of a command: of this machine, for not each entry is in the container's pid namespace."""
    return [line.split()[0] for line in processes() if line.split()[1:] == ["sleep", mark]]


def guardians() -> list[str]:
    """List the guardians that are there."""
    return [line for line in processes() if "(guardian)" in line]


def processes() -> list[str]:
    """List this machine's processes with their words."""
    return subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout.splitlines()


def killed(engine: dict[str, str], options: str, name: str, mark: str) -> None:
    """Enter with a command that sleeps, and kill docker's plugin as soon as that runs."""
    words = ["docker", "nsenter", *options.split(), name, "sleep", mark]
    terminal = os.openpty() if "-t" in options else ()
    given = terminal[1] if terminal else subprocess.PIPE
    client = subprocess.Popen(words, env=engine, stdin=given, start_new_session=True)
    wait_until(lambda: left(mark), "the command runs")
    for each in children(client.pid):
        os.kill(int(each), signal.SIGKILL)
    client.wait(60)
    if client.stdin:
        client.stdin.close()
    for fd in terminal[1:]:
        os.close(fd)
    if options == "-t":
        wait_until(lambda: not left(mark), "the command has ended")
    for fd in terminal[:1]:
        os.close(fd)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("how", ENTRIES)
def test_kill_9_of_the_plugin_leaves_no_command(run: Run, engine: dict[str, str], how: str) -> None:
    name, mark = run(), str(4711 + list(ENTRIES).index(how))
    killed(engine, ENTRIES[how], name, mark)
    if how == "detached":
        (pid,) = left(mark)
        os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: not left(mark), "the command has ended")
    wait_until(lambda: not guardians(), "the guardian, too")


@pytest.mark.timeout(400)
def test_without_the_guardian_it_stays(
    run: Run, engine: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("without")
    write(str(place / "cli-plugins/docker-nsenter"), library=str(weakened(place, WITHOUT)))
    name, mark = run(), "4700"
    killed({**engine, "DOCKER_CONFIG": str(place)}, "-i", name, mark)
    (pid,) = left(mark)
    os.kill(int(pid), signal.SIGKILL)


@pytest.mark.timeout(400)
def test_it_goes_when_the_command_does(nsenter: Callable[..., subprocess.CompletedProcess[str]], run: Run) -> None:
    assert nsenter(run(), "sh", "-c", "exit 7", check=False, timeout=120).returncode == 7
    wait_until(lambda: not guardians(), "the guardian has ended")
