"""Attack: what does the module itself keep a container from, where nothing else does? SECURITY.md has it as a table.

Each line is entered twice: without the defence of ours that it is about, and with it. Then nobody reaches it.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from docker_nsenter.commands.install import write

from ..attack import Entry, Field, Result
from ..weaken import weakened
from .conftest import ENFORCE, enabled

GUARD = ("enter/hardening/guard.py", "    if not entry.beyond:\n", "    if True:\n")
PROCESSES = ("enter/entry.py", 'self.plan["capabilities"]["base"] != "caller"', "False")
COLUMNS = ("AppArmor", "SELinux", "permissive")
NAP = "2"


@dataclass(frozen=True)
class Attack:
    """A line, who attacks it, and what becomes of it without our defence under each module."""

    line: tuple[str, ...]
    by: str
    before: tuple[str, ...]


# The rows of SECURITY.md; what they say of a permissive SELinux is expected, and not measured yet.
# `by`: a process of the container's, or an agent (--pid=host); "free": with its label lifted
ATTACKS = (
    Attack(("--pid",), "container", ("closed", "closed", "open")),
    Attack(("--pid",), "free container", ("open", "open", "open")),
    Attack(("--pid", "--security-opt", "OWN"), "container", ("open", "", "")),  # no option takes an SELinux label
    Attack(("--net-only",), "agent", ("closed", "open", "open")),
    Attack(("--net-only",), "free agent", ("open", "open", "open")),
    Attack(("--no-net",), "container", ("open", "open", "open")),
    Attack(("--security-opt", "seccomp=unconfined"), "container", ("open", "open", "open")),
    Attack(("--no-join-cgroup",), "container", ("open", "open", "open")),
)
HOSTILE = {
    "signal": ("closed", "closed", "open"),
    "seize": ("closed", "closed", "closed"),  # the host's root has more capabilities, which alone keeps ptrace(2) away
    "socket": ("open", "closed", "open"),
}


def this_column() -> int:
    """Say under which module this is, as the table's column."""
    if enabled() != "selinux":
        return 0
    return 1 if ENFORCE.read_text() == "1" else 2


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the rows that say something of this machine's module."""
    if "attack" in metafunc.fixturenames:
        rows = [each for each in ATTACKS if each.before[this_column()]]
        metafunc.parametrize("attack", rows, ids=lambda each: f"{' '.join(each.line)}, {each.by}")


@pytest.fixture(scope="module")
def column() -> int:
    """Say under which module this is, as the table's column."""
    return this_column()


@pytest.fixture(scope="module")
def free(module: str) -> tuple[str, ...]:
    """Lift a container's label."""
    return "--security-opt", "apparmor=unconfined" if module == "apparmor" else "label=disable"


@pytest.fixture(scope="module")
def field(engine: dict[str, str], tmp_path_factory: pytest.TempPathFactory, free: tuple[str, ...]) -> Iterator[Field]:
    """Start the attackers."""
    directory = tmp_path_factory.mktemp("field")
    for each in (directory, *directory.parents[:2]):
        each.chmod(0o755)
    with Field(engine, directory, agent=False) as made:
        made.watcher("container", labelled=True)
        made.watcher("free container", *free)
        made.watcher("agent", "--pid=host", labelled=True)
        made.watcher("free agent", "--pid=host", *free)
        yield made


@pytest.fixture(scope="module")
def defenceless(engine: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the plugin without the defences."""
    place = tmp_path_factory.mktemp("defenceless")
    write(str(place / "cli-plugins/docker-nsenter"), library=str(weakened(place, GUARD, PROCESSES)))
    return {**engine, "DOCKER_CONFIG": str(place)}


@pytest.fixture(scope="module")
def fought(field: Field, defenceless: dict[str, str], column: int) -> dict[tuple[Attack, bool], Result]:
    """Enter by every line, without our defence and with it, and ask the attackers."""
    found = {}
    for attack in (each for each in ATTACKS if each.before[column]):
        name = field.names["free container" if attack.by == "free container" else "container"]
        options = [word.replace("OWN", "apparmor=docker-default") for word in attack.line]
        for guarded in (False, True):
            result = Result(Entry(()), field.mark())
            field.results[result.mark] = result
            words = ["docker", "nsenter", *options, name, *field.script(result.mark, NAP)]
            env = field.environment if guarded else {**field.environment, **defenceless}
            done = subprocess.run(
                words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False
            )
            result.status, result.said = done.returncode, done.stderr
            found[attack, guarded] = result
    field.collect()
    return found


def by(result: Result, who: str) -> set[str]:
    """List what one of the attackers reached."""
    return {what for each, what, _ in result.reached if each == who.replace(" ", "-")}


@pytest.mark.timeout(1500)
def test_the_module_alone_keeps_what_the_table_says(
    fought: dict[tuple[Attack, bool], Result], column: int, attack: Attack
) -> None:
    result = fought[attack, False]
    assert result.status == 0, result.said
    assert ("open" if by(result, attack.by) else "closed") == attack.before[column], result


@pytest.mark.timeout(1500)
def test_with_our_defence_nobody_reaches_it(fought: dict[tuple[Attack, bool], Result], attack: Attack) -> None:
    result = fought[attack, True]
    assert result.status == 0, result.said
    assert not result.reached


def test_nobody_reached_what_he_could_not_even_see(
    fought: dict[tuple[Attack, bool], Result], field: Field, column: int
) -> None:
    """Where the module hides a process it is tried by its number alone."""
    assert fought
    assert not [stray for stray in field.strays if "blind" in stray[1]]


@pytest.mark.timeout(600)
def test_the_containers_programs_among_the_hosts_processes(
    field: Field, defenceless: dict[str, str], column: int
) -> None:
    """By --no-pid and --no-net the command is the container's own program, with its label."""
    name = field.names["container"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0nsenter-{os.getpid()}")
        listener.listen()
        sleeper = subprocess.Popen(["sleep", "1000"])
        words = ["docker", "nsenter", "--no-pid", "--no-net", name]
        words += ["/attacker", "hostile", f"nsenter-{os.getpid()}", str(sleeper.pid)]
        try:
            shown = [
                subprocess.run(
                    words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False
                ).stdout
                for env in (defenceless, field.environment)
            ]
        finally:
            sleeper.kill()
            sleeper.wait()
    assert shown[1] == "RUNS\n"
    found = {what: "open" if f"REACHED {what}" in shown[0] else "closed" for what in HOSTILE}
    assert found == {what: columns[column] for what, columns in HOSTILE.items()}
