"""The table in enter/__init__.py: which process holds what, when, and which files are in it. Derived, not believed."""

import ast
import io
import re
import tokenize
from collections.abc import Callable
from pathlib import Path

import pytest
from docker_nsenter import enter
from docker_nsenter.enter.linux import capabilities

from ..weaken import PACKAGE, weakened
from .conftest import plan_for, run_plan

LARGEST = 3_000  # lines of code, without comments, docstrings and blank lines
RECORDING = 200  # more with --record
LATE = ("__init__", "__main__")  # in every process, and loaded by whoever starts


def report(phase: str, indent: int) -> str:
    """Write code that tells the phase, the effective set and the modules of ours that are loaded."""
    held = "[x for x in open('/proc/self/status') if x.startswith('CapEff')][0].split()[1]"
    if phase == "supervisor, after":  # which can open nothing; engine/test_powerless.py reads it from outside
        held = "'0' * 16"
    line = (
        f"posix.write(2, ('@{phase} ' + {held} + ' '"
        " + ' '.join(n for n in __import__('sys').modules if n.startswith('docker_nsenter.enter.')) + '\\n').encode())"
    )
    return " " * indent + line + "\n"


# Where each phase begins: the last moment before what the next one lacks is gone
POINTS = (
    ("supervisor, before", "enter/launch.py", "        capset.hold(KILL)\n"),
    ("installer", "enter/steps.py", "    sys.meta_path.clear()\n"),  # after it nothing can be loaded
    ("supervisor, after", "enter/session/supervisor.py", "        self.pid = pid\n        posix.write("),
)
GO = ("the go", "enter/session/run.py", "            self._channels.go()\n")
# Where power ends, in the supervisor and in the installer
DROPS = (POINTS[0][1:], ("enter/processes.py", "    children.begin(entry, channels)\n"))
# Notes each function of ours that is called, from the import of the package on; a process takes its parent's notes over
NOTES = """
import posix, sys
ran = set()
def _note(frame, event, argument):
    _, mark, file = frame.f_code.co_filename.rpartition("/docker_nsenter/enter/")
    if event == "call" and mark:
        ran.add(f"{file} {frame.f_code.co_name}")
def tell():
    sys.setprofile(None)
    notes = posix.open(PLACE, posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT)  # of the same files in either namespace
    posix.write(notes, "".join(f"{each}\\n" for each in ran).encode())
    posix.close(notes)
sys.setprofile(_note)
"""


@pytest.fixture(scope="module")
def phases(target: int, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, set[str]]]:
    """Run a command by a copy of the package that tells of itself: the set and the modules of each phase."""
    changes = [
        (file, line, report(phase, len(line) - len(line.lstrip())) + line) for phase, file, line in (*POINTS, GO)
    ]
    library = weakened(tmp_path_factory.mktemp("telling"), *changes)
    done = run_plan(plan_for(target, "true"), library=library)
    found = {}
    for phase, held, modules in re.findall(r"^@(.+?) ([0-9a-f]{16}) (.*)$", done.stderr, re.M):
        found[phase] = int(held, 16), {name.removeprefix("docker_nsenter.enter.") for name in modules.split()}
    assert set(found) == {phase for phase, _, _ in (*POINTS, GO)}, done.stderr
    return found


Enter = Callable[..., set[str]]


@pytest.fixture(scope="module")
def noting(target: int, tmp_path_factory: pytest.TempPathFactory) -> Enter:
    """Make a copy of the package that notes which functions run before the drop; enter by it."""
    place = tmp_path_factory.mktemp("noting")
    told = "__import__('sys').modules['docker_nsenter.enter'].tell()\n"
    changes = [(file, line, " " * (len(line) - len(line.lstrip())) + told + line) for file, line in DROPS]
    library = weakened(place, *changes)
    room = library / "docker_nsenter/enter/__init__.py"
    room.write_text(room.read_text() + NOTES.replace("PLACE", repr(str(place / "notes"))))

    def enter(**way: object) -> set[str]:
        (place / "notes").unlink(missing_ok=True)
        done = run_plan(plan_for(target, "true", **way), library=library)
        assert done.returncode == 0, done.stderr
        found = set((place / "notes").read_text().splitlines())
        assert {"launch.py _start", "steps.py _drop"} <= found  # both processes have told
        return found

    return enter


@pytest.fixture(scope="module")
def acted(noting: Enter) -> set[str]:
    """Name the functions that run before the drop in entries of several kinds."""
    host = {"user": None, "directory": None, "cgroups": False, "limits": False}
    ways: tuple[dict[str, object], ...] = (
        {},
        {"tty": True},
        {"namespaces": ["net"], "mounts": ["sys"], **host},
        {"namespaces": ["mnt", "uts"]},
        {"debug": True, "detach": True, "stdin": False},
    )
    return set().union(*(noting(**way) for way in ways))


def table() -> dict[str, tuple[str, set[str]]]:
    """Read the table: the phase, what it holds, its files; `as above` stands for those of the row before."""
    rows: dict[str, tuple[str, set[str]]] = {}
    before: set[str] = set()
    for phase, held, files in re.findall(r"^\| (.+?) +\| (.+?) +\| (.+?) +\|$", enter.__doc__ or "", re.M):
        if phase in ("process, phase", "-"):
            continue
        more = set(re.findall(r"[\w/]+(?=\.py)", files))
        before = (before if "as above" in files else set()) | more
        rows[phase] = held, {name.replace("/", ".") for name in before}
    return rows


@pytest.mark.parametrize("phase", [phase for phase, _, _ in POINTS])
def test_the_table_names_what_is_loaded(phase: str, phases: dict[str, tuple[int, set[str]]]) -> None:
    loaded = {name for name in phases[phase][1] if name.rpartition(".")[2] not in LATE and name not in ROOMS}
    assert loaded == table()[phase][1]


ROOMS = {"linux", "hardening", "session", "toolbox", "tracing"}


def test_the_table_says_what_is_held(phases: dict[str, tuple[int, set[str]]]) -> None:
    full = int(re.findall(r"CapEff:\t(\w+)", Path("/proc/self/status").read_text())[0], 16)
    assert phases["supervisor, before"][0] == phases["installer"][0] == full
    rows = table()
    assert rows["supervisor, after"][0] == "KILL"
    assert rows["installer"][0] == rows["supervisor, before"][0] == "all of root's"
    assert rows["command's process"][0] == "what the Plan says"


def code_lines(path: Path, functions: "set[str] | None" = None) -> int:
    """Count a file's lines of code, or those of some of its functions: no comment, no docstring, nothing blank."""
    text = path.read_text()
    said: set[int] = set()
    wanted: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body and isinstance(body[0], ast.Expr):
            said |= set(range(body[0].lineno, (body[0].end_lineno or 0) + 1))
        if isinstance(node, ast.Module if functions is None else ast.FunctionDef):
            name = getattr(node, "name", "")
            first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", len(text.splitlines()))
            wanted |= set(range(first, last + 1)) if functions is None or name in functions else set()
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines & wanted - said)


def functions(path: Path) -> set[str]:
    """Name a file's functions."""
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def waiting() -> set[str]:
    """Read which files are said to be loaded before the drop, and to run only after it."""
    line = re.findall(r"^Loaded before, run only after: (.+)\.$", enter.__doc__ or "", re.M)[0]
    return {name.removesuffix(".py").replace("/", ".") for name in line.split(", ")}


# Of session/, what only a signal, the end of docker or an entry among many calls before the drop
SELDOM = {"session.run": {"_uncancelled"}, "session.client": {"gone", "descriptors"}, "session.status": {"exit_status"}}


def called(acted: set[str], name: str) -> set[str]:
    """Name the functions of a file that have run before the drop."""
    file = f"{name.replace('.', '/')}.py"
    seen = {each.split()[1] for each in acted if each.split()[0] == file} & functions(PACKAGE / "enter" / file)
    return seen | SELDOM.get(name, set())


def test_what_is_said_to_run_only_after_the_drop_does(acted: set[str]) -> None:
    assert waiting() < table()["supervisor, before"][1]
    assert {name: called(acted, name) for name in waiting()} == {name: set() for name in waiting()}


def test_the_command_gets_its_go_from_who_can_only_signal(phases: dict[str, tuple[int, set[str]]]) -> None:
    assert phases[GO[0]][0] == capabilities.KILL


def lines_of(name: str, functions: "set[str] | None" = None) -> int:
    """Count the lines of code of a file of this room."""
    return code_lines(PACKAGE / "enter" / f"{name.replace('.', '/')}.py", functions)


def test_what_acts_with_power_can_be_read(acted: set[str]) -> None:
    """A number to hold: what a reader has to go through who wants to know all that root does before the drop.

    A file counts whole once any of it can run there, in whatever entry: also what only SELinux, another machine or an
    error calls. Of session/, whose room is what runs without power, those functions count that have been seen to, or
    are SELDOM called. Who says --record, --tools or --why has their files to read, too.
    """
    loaded = table()["supervisor, before"][1] | table()["installer"][1] | {"__main__", "linux.labelled_pipes"}
    whole = sum(lines_of(name) for name in loaded - waiting() if not name.startswith("session."))
    rooms = {f"session.{path.stem}" for path in (PACKAGE / "enter/session").glob("*.py")}
    session = sum(lines_of(name, called(acted, name)) for name in rooms)
    assert session > 0
    assert whole + session <= LARGEST, (whole, session)


def test_what_a_recording_adds_can_be_read(noting: Enter, tmp_path: Path) -> None:
    ran = noting(record={"file": str(tmp_path / "record"), "input": True})
    parts = [
        lines_of("session.recording", called(ran, "session.recording")),
        lines_of("recorded"),
        lines_of("jsonwrite"),
    ]
    assert all(parts)
    assert sum(parts) <= RECORDING, parts
