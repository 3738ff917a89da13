"""The table in enter/__init__.py: which process holds what, when, and which files are in it. Derived, not believed."""

import ast
import io
import re
import tokenize
from collections.abc import Callable
from pathlib import Path

import pytest
from docker_nsenter import enter

from ..weaken import PACKAGE, weakened
from .conftest import plan_for, run_plan

Unshared = Callable[..., int]
LARGEST = 3_700  # lines of code, without comments, docstrings and blank lines
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
    ("supervisor, before", "enter/launch.py", "        self._released = True\n"),
    ("installer", "enter/steps.py", "    sys.meta_path.clear()\n"),  # after it nothing can be loaded
    ("supervisor, after", "enter/session/supervisor.py", "        self.pid = pid\n        posix.write("),
)


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, set[str]]]:
    """Run a command by a copy of the package that tells of itself: the set and the modules of each phase."""
    import subprocess

    from .conftest import children, wait_until

    changes = [(file, line, report(phase, len(line) - len(line.lstrip())) + line) for phase, file, line in POINTS]
    library = weakened(tmp_path_factory.mktemp("telling"), *changes)
    flags = ["--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--pid", "--mount-proc"]
    process = subprocess.Popen(["unshare", *flags, "sleep", "1000"])
    try:
        pid = int(wait_until(lambda: children(process.pid), "unshare forks")[0])
        done = run_plan(plan_for(pid, "true"), library=library)
    finally:
        process.kill()
        process.wait()
    found = {}
    for phase, held, modules in re.findall(r"^@(.+?) ([0-9a-f]{16}) (.*)$", done.stderr, re.M):
        found[phase] = int(held, 16), {name.removeprefix("docker_nsenter.enter.") for name in modules.split()}
    assert set(found) == {phase for phase, _, _ in POINTS}, done.stderr
    return found


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


def code_lines(path: Path) -> int:
    """Count a file's lines of code: no comment, no docstring, nothing blank."""
    text = path.read_text()
    said: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body and isinstance(body[0], ast.Expr):
            said |= set(range(body[0].lineno, (body[0].end_lineno or 0) + 1))
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - said)


def test_what_acts_with_power_can_be_read() -> None:
    """A number to hold: what a reader has to go through who wants to know all that root does before the drop."""
    powerful = table()["supervisor, before"][1] | table()["installer"][1] | table()["command's process"][1]
    files = [PACKAGE / "enter" / f"{name.replace('.', '/')}.py" for name in powerful] + [PACKAGE / "enter/__main__.py"]
    own = [path for path in files if "session" not in path.parts]
    assert sum(map(code_lines, own)) <= LARGEST
