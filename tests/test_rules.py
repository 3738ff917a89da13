"""The house rules that can be checked, each with its reason."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
PACKAGE = TOP / "plugin/docker_nsenter"
MODULES = sorted(PACKAGE.rglob("*.py"))
ENTER = sorted((PACKAGE / "enter").rglob("*.py"))
# What stage 2 may import: C modules and two that are only names for them. Anything else costs milliseconds or power.
ALLOWED = {
    "posix",
    "sys",
    "select",
    "time",
    "fcntl",
    "termios",
    "_stat",
    "_frozen_importlib",
    "_signal",
    "_socket",
    "_ctypes",
    "_json",
}
HOT = [
    "cli/request",
    "engine/endpoints",
    "engine/containers",
    "planning/plan",
    "errors",
    "commands/dispatch",
    "commands/enter",
    "cli/read",
    "planning/planned",
    "routes/local",
    "cli/grammar",
]
HOT_ALLOWED = {"posix", "sys"}
# What runs in the process that enters: os would keep decoded copies of the caller's environment in its memory
LEAN = ["__main__", "loader", "routes/bootstrap"]
LONGEST = 40
SCRIPTS = [
    "install",
    "uninstall",
    "try",
    "test",
    "test-lsm",
    "test-vm",
    "vm",
    "test-engines",
    "test-everywhere",
    "check",
    "bench",
    "engine",
    "fuzz",
    "generate-grammar",
    "soak",
    "attack",
    "generate-starter",
]


def tree(path: Path) -> ast.Module:
    """Parse a module."""
    return ast.parse(path.read_text())


def imports(node: ast.AST, *, top_only: bool) -> Iterator[tuple[str, int]]:
    """Yield (module, level) of the imports outside `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name.split(".")[0], 0) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield (child.module or "").split(".")[0], child.level
        elif not top_only or not isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from imports(child, top_only=top_only)


def identify(path: Path) -> str:
    """Name a module in a test's title."""
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", ENTER, ids=identify)
def test_enter_imports_only_at_the_top_and_only_what_is_allowed(path: Path) -> None:
    """After setns an import would execute the container's files with root's power."""
    found = set(imports(tree(path), top_only=False))
    top = set(imports(tree(path), top_only=True))
    if path.name in (
        "jsonlite.py",
        "jsonwrite.py",
    ):  # read before anything is joined; json is there only where _json is not
        found.discard(("json", 0))
    if path.name == "steps.py":  # only some entries need them, in steps of the supervisor's, before anything is joined
        found.discard(("toolbox", 1))
        found.discard(("recorded", 1))
        found -= {("forwarded", 1), ("held", 1)}
    if path.name == "stdio.py":  # so do these: a terminal, SELinux
        found.discard(("session", 1))
    if path.name == "config.py":
        found.discard(("hardening", 1))
    if path.name == "__main__.py":  # of the supervisor's process, which joins nothing
        found -= {("tracing", 1), ("launch", 1), ("hints", 1)}
    assert found == top
    assert {name for name, level in found if level == 0} <= ALLOWED
    depth = len(path.relative_to(PACKAGE / "enter").parts)
    assert not [name for name, level in found if level > depth], "enter/ imports nothing above itself"


def test_the_page_of_steps_names_functions_that_exist() -> None:
    """steps.py is THE page of all that acts with power only as long as what it names is there."""
    from docker_nsenter.enter.steps import SUPERVISE

    for label, place in SUPERVISE:
        *module, name = place.split(".")
        found = PACKAGE / "enter" / f"{'/'.join(part for part in module if part.islower())}.py"
        defined = {node.name for node in ast.walk(tree(found)) if isinstance(node, ast.FunctionDef)}
        assert name in defined, label


def test_no_module_needs_itself_through_others() -> None:
    """A circle has no first page to read. What is for type checkers alone never runs."""
    known = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES
    }
    needs = {name: set(neighbours(name, path, set(known))) for name, path in known.items()}
    while free := [name for name, others in needs.items() if not others & needs.keys()]:
        for name in free:
            del needs[name]
    assert not needs


def neighbours(name: str, path: Path, known: set[str]) -> Iterator[str]:
    """Yield the modules of ours that a module imports, late ones, too."""
    parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in statements(tree(path)):
        base = parts[: len(parts) - node.level + 1] + (node.module.split(".") if node.module else [])
        for alias in node.names:
            full = ".".join([*base, alias.name])
            yield full if full in known else ".".join(base)


def statements(node: ast.AST) -> Iterator[ast.ImportFrom]:
    """Yield the relative imports outside `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.ImportFrom) and child.level:
            yield child
        yield from statements(child)


@pytest.mark.parametrize("name", HOT)
def test_the_hot_path_imports_nothing_slow(name: str) -> None:
    """Each of typing, re, json, socket, subprocess costs milliseconds on every entry (python -X importtime)."""
    top = {module for module, level in imports(tree(PACKAGE / f"{name}.py"), top_only=True) if level == 0}
    assert top <= HOT_ALLOWED


@pytest.mark.parametrize("name", LEAN)
def test_the_start_of_stage_2_holds_no_environment(name: str) -> None:
    top = {module for module, level in imports(tree(PACKAGE / f"{name}.py"), top_only=True) if level == 0}
    assert top <= {"posix", "sys", "_signal", "gc", "marshal", "_frozen_importlib", "_frozen_importlib_external"}


@pytest.mark.parametrize(
    ("library", "owners"),
    [
        ("typer", {"cli/options.py"}),
        ("rich", {f"formatting/{name}.py" for name in ("console", "cards", "preview", "progress")}),
        ("docker", {"engine/sdk.py"}),
        ("_ctypes", {"enter/linux/syscalls.py"}),
        ("ctypes", {"routes/seccomp_profile.py"}),
    ],
)
def test_a_library_is_imported_in_one_place(library: str, owners: set[str]) -> None:
    users = {identify(path) for path in MODULES if (library, 0) in set(imports(tree(path), top_only=False))}
    assert users == owners


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_functions_fit_on_a_screen(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno
            assert node.end_lineno - node.lineno < LONGEST, f"{node.name} is too long"


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_nothing_catches_everything(path: Path) -> None:
    """An error that nobody expected must end the entry, not be passed over."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            names = (
                {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)} if node.type else {"everything"}
            )
            assert not names & {"everything", "Exception", "BaseException"}, f"line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree(path))


def test_the_version_is_one() -> None:
    metadata = json.loads((TOP / "docker-cli-plugin-metadata").read_text())
    version = re.search(r'^version = "(.+)"$', (TOP / "pyproject.toml").read_text(), re.M)  # tomllib needs 3.11
    assert version
    assert metadata["Version"] == version[1]
    assert metadata["SchemaVersion"] == "0.1.0"
    assert metadata["Vendor"]
    assert {type(value) for value in metadata.values()} == {str}
    assert len((TOP / "docker-cli-plugin-metadata").read_text().splitlines()) == 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_explains_itself(name: str) -> None:
    done = subprocess.run([TOP / "scripts" / name, "--help"], capture_output=True, text=True, timeout=30, check=True)
    assert "Usage" in done.stdout


def test_the_launcher_and_the_scripts_are_plain_shell() -> None:
    for path in [TOP / "plugin/docker-nsenter", TOP / "scripts/lib.sh", *(TOP / "scripts" / name for name in SCRIPTS)]:
        if path.read_text().startswith("#!/bin/sh") or path.suffix == ".sh":
            subprocess.run(["sh", "-n", path], check=True)


def test_the_test_command_runs_every_test() -> None:
    """It names files, to run them in two halves: none may fall between."""
    halves = re.findall(r'^    (?:first|second)="(.+)"$', (TOP / "scripts/test").read_text(), re.M)
    assert len(halves) == 2
    named = [path for pattern in " ".join(halves).split() for path in TOP.glob(pattern)]
    files = [file for path in named for file in ([path] if path.is_file() else path.rglob("test_*.py"))]
    assert sorted(files) == sorted(set((TOP / "tests").rglob("test_*.py")) - set((TOP / "tests/lsm").iterdir()))


def test_what_the_checks_install_is_what_the_project_names() -> None:
    """scripts/check names packages itself, since it installs no package of ours: both lists are one."""
    project = (TOP / "pyproject.toml").read_text()
    lists = re.findall(r"^(?:dependencies|dev) = \[(.*?)\]$", project, re.M | re.S)
    named = {word for each in lists for word in re.findall(r'"([^"]+)"', each)}
    installs = re.search(r"pip install (.*?[^\\])\n", (TOP / "scripts/check").read_text(), re.S)
    assert installs
    assert set(re.findall(r"'([^']+)'", installs[1])) == named
