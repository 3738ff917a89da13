"""Attack: from a container, and from those beside it, every kind of entry that has more than the container itself."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_nsenter.enter.linux import capabilities
from docker_nsenter.enter.target import parse_status

from ..attack import FREE, NAMESPACES, Entry, Field, Result, build, enter_all, product
from ..conftest import Call, Run, wait_until

# A prime, so that every namespace, user, lift, mode and route has its turn; scripts/attack takes all.
EVERY = 157
README = [
    Entry(("pid",)),
    Entry(("net",)),
    Entry(("mount",)),
    Entry(("pid",), user="1000"),
    Entry(("pid",), mode="-t"),
    Entry(("pid",), mode="-d"),
    Entry(("pid",), mode="--why"),
    Entry(("pid",), route="helper"),
    Entry(("pid",), lift="--cap-drop ALL"),
    Entry(NAMESPACES, lift="seccomp=unconfined"),
    Entry(NAMESPACES, lift="no-new-privileges=false"),
    Entry(NAMESPACES, lift="--no-join-cgroup"),
    Entry(NAMESPACES, user="1000", lift="--cap-add NET_ADMIN"),
    Entry(tuple(name for name in NAMESPACES if name != "mount")),
    Entry(tuple(name for name in NAMESPACES if name != "pid")),
    Entry(tuple(name for name in NAMESPACES if name != "net")),
]
SLICE = list(dict.fromkeys(entry for entry in [*README, *product()[::EVERY]] if entry.beyond()))


@pytest.fixture(scope="module")
def field(engine: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """The containers with the attackers, for all entries."""
    directory = tmp_path_factory.mktemp("field")
    for each in (directory, *directory.parents[:2]):
        each.chmod(0o755)
    with Field(engine, directory) as made:
        yield made


@pytest.fixture(scope="module")
def fought(field: Field) -> dict[str, Result]:
    """Every entry of the slice, entered, with what the attackers say; first and last what is known to be reachable."""
    controls = [field.controls()]
    results = list(enter_all(field, SLICE, at_once=4))
    controls.append(field.controls())
    field.collect()
    for first, last in zip(*controls, strict=True):
        first.reached |= last.reached
    return {str(each.entry): each for each in results} | {f"control {n}": each for n, each in enumerate(controls[0])}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [0, 1], ids=["another user by raw nsenter", "with the container's capabilities"])
def test_the_attackers_reach_what_is_in_reach(fought: dict[str, Result], number: int) -> None:
    control = fought[f"control {number}"]
    assert {who for who, _, _ in control.reached} == {"inside", "beside-inside", "agent"}, control.said
    things = {what.partition(" ")[0] for _, what, _ in control.reached}
    assert {"marker", "write", "environ", "mem", "fd", "map_files", "ptrace", "vm_readv", "pidfd_getfd"} <= things


@pytest.mark.timeout(300)
@pytest.mark.parametrize("entry", SLICE, ids=str)
def test_an_entry_with_more_than_its_container_has_is_reached_by_nobody(
    fought: dict[str, Result], entry: Entry
) -> None:
    result = fought[str(entry)]
    assert result.status in (0, 125), result.said
    assert result.refused() or "agent" in result.tried, "nobody saw it: nothing was shown"
    assert not result.reached


# --- the other way round: the container's program is the command ----------------------------------------------------


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The attacker, to be bound into a container."""
    return build(tmp_path_factory.mktemp("attacker"))


@pytest.fixture
def victims() -> Iterator[list[str]]:
    """Processes of the host's that hold no capability: one of root's, one of another user's."""
    words = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    other = ["--reuid", "1000", "--regid", "1000", "--clear-groups"]
    started = [
        subprocess.Popen([*words, *ids, "sleep", "100"], env={"SECRET": "x", "PATH": os.environ["PATH"]})
        for ids in ([], other)
    ]
    wait_until(lambda: all(Path(f"/proc/{each.pid}/comm").read_text() == "sleep\n" for each in started), "they run")
    yield [str(each.pid) for each in started]
    for each in started:
        each.kill()
        each.wait()


@pytest.fixture
def abstract() -> Iterator[str]:
    """An abstract socket that somebody on the host listens on."""
    name = f"nsenter-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen(100)
        yield name


HOSTILE = [
    (route, words)
    for kept in (("--mount",), ("--no-pid",), ("--mount", "--net"), ("--mount", "--cgroup"), ("--no-pid", "--no-net"))
    for route, more in (
        ("local", ()),
        ("helper", ()),
        ("local", ("-u", "1000")),
        ("local", ("--cap-drop", "ALL")),
        ("local", ("--cap-add", "SYS_PTRACE")),
    )
    for words in [(*kept, *more)]
]


@pytest.mark.parametrize(("route", "options"), HOSTILE, ids=str)
def test_the_containers_program_gets_at_no_process_of_the_hosts(
    run: Run, nsenter: Call, program: Path, victims: list[str], options: tuple[str, ...], route: str
) -> None:
    name = run("-v", f"{program}:/attacker:ro", *FREE)
    done = nsenter("--route", route, *options, name, "/attacker", "hostile", "nobody", *victims)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "RUNS\n"


@pytest.mark.parametrize("route", ["local", "helper"])
@pytest.mark.parametrize("options", [("--no-net",), ("--mount",), ("--no-net", "-u", "1000")], ids=" ".join)
def test_the_containers_program_gets_at_no_abstract_socket_of_the_hosts(
    run: Run, nsenter: Call, program: Path, abstract: str, options: tuple[str, ...], route: str
) -> None:
    """The class of CVE-2020-15257; of kernels with Landlock's ABI 6 (Linux 6.12)."""
    name = run("-v", f"{program}:/attacker:ro", *FREE)
    done = nsenter("--route", route, *options, name, "/attacker", "hostile", abstract)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "RUNS\n"


def test_a_hostile_program_gets_at_what_is_in_reach(program: Path, victims: list[str], abstract: str) -> None:
    done = subprocess.run([program, "hostile", abstract, *victims], capture_output=True, text=True, check=True)
    reached = {line.split()[1] for line in done.stdout.splitlines()[1:]}
    assert reached == {"signal", "seize", "environ", "prlimit", "socket"}


# --- attackers with more than docker gives ---------------------------------------------------------------------------

STRONG: dict[str, tuple[str, ...]] = {
    "inside": (),
    "agent": ("--pid=host", "--userns=host"),
    "beside": ("--pid=container:TARGET",),
}
# Docker's ALL has what not every machine's root holds, and lacks what is newer than it. Whoever has SYS_MODULE is the
# host's root, whatever we do.
ALL = set(capabilities.names(parse_status(Path("/proc/self/status").read_bytes())["CapBnd"][0]))
NEWER = ("PERFMON", "BPF", "CHECKPOINT_RESTORE")
MORE = {
    "WAKE_ALARM and BLOCK_SUSPEND": {"WAKE_ALARM", "BLOCK_SUSPEND"},
    "SYS_PTRACE": {"SYS_PTRACE"},
    "all but SYS_PTRACE and SYS_MODULE": ALL - {"SYS_PTRACE", "SYS_MODULE", *NEWER},
}


@pytest.mark.parametrize("where", STRONG)
@pytest.mark.parametrize("more", MORE)
def test_an_attacker_with_more_capabilities_reaches_nothing(
    engine: dict[str, str], tmp_path: Path, where: str, more: str
) -> None:
    """A guard that the attacker holds, too, is none; with SYS_PTRACE it passes each, and nothing may be run."""
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    added = [word for name in sorted(MORE[more]) for word in ("--cap-add", name)]
    with Field(engine, tmp_path, agent=False) as field:
        target = field.watcher("target", "--cgroupns=private", *(added if where == "inside" else ()))
        if where != "inside":
            field.watcher("strong", *(flag.replace("TARGET", target) for flag in STRONG[where]), *added)
        found = [
            field.enter_with(options, target)
            for options in (("--pid",), ("--pid", "-u", "1000"), ("--security-opt", "seccomp=unconfined"))
        ]
        field.collect()
    for each in found:
        assert each.status == (125 if more == "SYS_PTRACE" else 0) or each.refused(), each.said
        # Such an agent reaches any process of root's, docker's own too: what counts is that nothing was run
        assert not each.reached or (where == "agent" and each.refused())
        assert len(each.said.splitlines()) <= 2
