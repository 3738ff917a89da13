"""--tools at the kernel: each of its calls fails once, and the program behind the names is its source."""

import os
import platform
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ..weaken import roots_own, weakened
from .conftest import Plan, plan_for, run_plan

TOP = Path(__file__).resolve().parents[2]
ENTER = TOP / "plugin/docker_nsenter/enter/toolbox"
HOST = {"kind": "host", "layers": [], "path": ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]}
# What --tools adds: a kernel before 5.2 has no open_tree and move_mount, a module of security may refuse the others
CALLS = [
    ("open_tree", "ENOSYS"),
    ("move_mount", "ENOSYS"),
    ("unshare", "EPERM"),
    ("mount", "EPERM"),
    ("linkat", "ENOSPC"),
]


def with_tools(pid: int, *command: str, tools: object = HOST) -> Plan:
    return plan_for(pid, *command, tools=tools)


@pytest.mark.parametrize(("call", "error"), CALLS)
def test_a_refused_call_is_one_sentence_and_nothing_runs(unshared: Callable[..., int], call: str, error: str) -> None:
    pid = unshared()
    inject = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:error={error}:when=1")
    done = run_plan(with_tools(pid, "echo", "ran"), before=inject)
    assert done.returncode == 125, done.stderr
    assert done.stdout == ""
    assert re.fullmatch(r"docker nsenter: (cannot (gather|attach) the tools|cannot mount the tools): .+\n", done.stderr)


def test_a_kernel_without_overlayfs_is_named(unshared: Callable[..., int]) -> None:
    inject = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=mount:error=ENODEV:when=3")
    done = run_plan(with_tools(unshared(), "echo", "ran"), before=inject)
    assert done.returncode == 125
    assert done.stderr == "docker nsenter: cannot mount the tools: this kernel has no overlayfs\n"


def test_the_tools_are_found_after_the_containers_programs(unshared: Callable[..., int]) -> None:
    done = run_plan(with_tools(unshared(), "bash", "-c", "echo $PATH"))
    assert done.stdout.startswith("/usr/sbin:/usr/bin:/sbin:/bin:/proc/fs/nfsd/usr/sbin"), done.stderr


def test_an_occupied_place_is_passed_over(unshared: Callable[..., int]) -> None:
    """A directory with something in it is not covered: the next is taken."""
    script = "mount -t tmpfs none /proc/fs/nfsd && touch /proc/fs/nfsd/x && mount -t tmpfs none /mnt && exec sleep 1000"
    pid = unshared("--mount", "--pid", "--mount-proc", command=("sh", "-c", script))
    done = run_plan(with_tools(pid, "bash", "-c", "ls /proc/fs/nfsd /mnt; echo $PATH"))
    assert "x" in done.stdout.split()
    assert ":/mnt/usr/sbin" in done.stdout, done.stderr


def test_where_every_place_is_occupied_nothing_is_covered(unshared: Callable[..., int]) -> None:
    from docker_nsenter.enter.toolbox.tools import PLACES

    script = "for each; do mount -t tmpfs none $each && touch $each/x; done; exec sleep 1000"
    command = ("sh", "-c", script, "sh", *PLACES)
    done = run_plan(with_tools(unshared("--mount", "--pid", "--mount-proc", command=command), "echo", "ran"))
    words = "docker nsenter: the container has no empty directory for the tools: none of /proc/fs/nfsd, /mnt, /media"
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith(words)


@pytest.mark.parametrize("size", [0, (1 << 30) + 1])
def test_a_program_of_no_size_or_too_large_a_one_is_refused(
    unshared: Callable[..., int], tmp_path: Path, size: int
) -> None:
    program = tmp_path / "program"
    program.touch()
    os.truncate(program, size)
    done = run_plan(with_tools(unshared(), "program", tools={"kind": "file", "layers": [str(program)], "path": []}))
    assert (done.returncode, done.stderr) == (125, f"docker nsenter: {program} is empty or larger than 1 GiB\n")


def test_a_layer_that_was_removed_meanwhile_is_named(unshared: Callable[..., int], tmp_path: Path) -> None:
    tree = {"kind": "tree", "layers": [f"{tmp_path}/layer"], "path": ["/bin"]}
    done = run_plan(with_tools(unshared(), "true", tools=tree))
    words = f"docker nsenter: the tools at {tmp_path}/layer cannot be opened: No such file or directory\n"
    assert (done.returncode, done.stderr) == (125, words)


def test_more_programs_than_anybody_has_are_refused(unshared: Callable[..., int], tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/0").touch()
    for number in range(1, 50_001):
        os.link(tmp_path / "bin/0", tmp_path / f"bin/{number}")
    done = run_plan(with_tools(unshared(), "true", tools={"kind": "tree", "layers": [str(tmp_path)], "path": ["/bin"]}))
    assert (done.returncode, done.stderr) == (125, "docker nsenter: the tools have more than 50000 programs in /bin\n")


def test_without_its_starter_a_tree_is_refused_and_a_static_program_named(
    unshared: Callable[..., int], tmp_path: Path
) -> None:
    library = weakened(tmp_path)
    starter = library / f"docker_nsenter/enter/toolbox/starter.{platform.machine()}"
    starter.unlink()
    done = run_plan(with_tools(unshared(), "true"), library=roots_own(library))
    assert done.returncode == 125
    assert done.stderr.startswith(f"docker nsenter: --tools has no {starter.name}, and only a static program")


def test_a_process_with_the_hosts_files_needs_no_tools(unshared: Callable[..., int]) -> None:
    done = run_plan(with_tools(unshared("--uts"), "echo", "ran"))
    assert done.returncode == 125
    assert "the process already has this machine's files and programs" in done.stderr


@pytest.mark.parametrize(
    "tools",
    [
        {"kind": "host", "layers": [], "path": ["../x"]},
        {"kind": "other", "layers": [], "path": []},
        {"kind": "tree", "layers": ["relative"], "path": []},
        {"kind": "tree", "layers": ["/x"] * 300, "path": []},
        {"kind": "tree", "layers": []},
        "host",
    ],
)
def test_a_plan_with_other_tools_is_refused(unshared: Callable[..., int], tools: object) -> None:
    done = run_plan(with_tools(unshared(), "true", tools=tools))
    assert done.returncode == 125
    assert done.stderr == "docker nsenter: the plan's field 'tools' is missing, unknown or out of bounds\n"


def test_a_mount_too_much_ends_the_entry() -> None:
    from docker_nsenter.enter.toolbox.tools import Tools, read_mounts

    root = os.open("/", os.O_PATH)
    tools = Tools(HOST, root, -1)  # type: ignore[arg-type]
    os.close(root)
    lines = read_mounts("self")
    tools.place = "/dev"  # as if what is mounted there were the tools: it can be written
    others = [line for line in lines if not line.split()[4].startswith(b"/dev")]
    assert "rw" in tools.difference(os.getpid(), others)
    tools.place = "/nowhere"
    assert tools.difference(os.getpid(), lines) == "/nowhere (missing)"
    assert tools.difference(os.getpid(), lines[1:]) != "/nowhere (missing)"


@pytest.mark.parametrize("before", [b"\0", b"\x20", b"\xff"])
def test_a_busyboxs_applets_are_found_whatever_lies_before_their_names(tmp_path: Path, before: bytes) -> None:
    """Since 1.37 (Debian 13) that is no NUL."""
    from docker_nsenter.enter.toolbox.tools import _applets

    program = tmp_path / "busybox"
    program.write_bytes(b"\x7fELF" + bytes(100) + before + b"[\0[[\0acpid\0ash\0cat\0\0rest\0")
    with program.open("rb") as file:
        assert list(_applets(file.fileno(), program.stat().st_size)) == ["[", "[[", "acpid", "ash", "cat"]


# --- the program behind the names ---------------------------------------------------------------------------------


def test_the_starter_is_what_its_source_gives(tmp_path: Path) -> None:
    """By the same compiler, the same bytes; by another one, a program that does the same (the tests of --tools)."""
    subprocess.run([TOP / "scripts/generate-starter", tmp_path], check=True, stderr=subprocess.DEVNULL)
    version = subprocess.check_output(["gcc", "-dumpfullversion"], text=True).strip()
    for kind in ("", ".auditor"):
        name = f"starter.{platform.machine()}{kind}"
        built, kept = (tmp_path / name).read_bytes(), (ENTER / name).read_bytes()
        assert built == kept or version != "12.2.0"
        assert abs(len(built) - len(kept)) < 2000
        assert built[:20] == kept[:20]


def start(tmp_path: Path, program: bytes) -> subprocess.CompletedProcess[str]:
    """Start a file as if it were one of the tools."""
    from docker_nsenter.enter.toolbox import tools

    (tmp_path / ".tree").mkdir()
    (tmp_path / ".tree/program").write_bytes(program)
    code = bytearray((ENTER / f"starter.{platform.machine()}").read_bytes())
    settings = b"\0".join([os.fsencode(tmp_path), b"/none", b"", b""])
    size = (len(code) + len(settings)).to_bytes(8, "little")
    code[40:48], code[60:64], code[96:112] = bytes(8), bytes(4), size + size
    assert tools.PLACES
    (tmp_path / "program").write_bytes(code + settings)
    (tmp_path / "program").chmod(0o755)
    return subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=False, timeout=10)


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"#!",
        b"#!/nowhere\n",
        b"#!" + b"/x" * 3000,
        b"text",
        Path("/bin/ls").read_bytes()[:100],
        Path("/bin/ls").read_bytes()[:64] + b"\xff" * 4000,
        Path("/bin/ls").read_bytes(),  # its loader is not there
    ],
    ids=range(8),
)
def test_what_cannot_be_started_ends_in_a_sentence(tmp_path: Path, program: bytes) -> None:
    done = start(tmp_path, program)
    assert done.returncode == 126
    assert done.stderr.startswith("docker nsenter: cannot start ")
