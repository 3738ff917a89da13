"""Write the bundles from which loader.py starts: a stage's modules in one file, written at installation.

Finding, opening and unmarshalling a module of its own costs more than running it. Like a .pyc, a bundle belongs to one
version of Python; once a source has changed (its time or its size), the sources are read instead. It holds only what
runs: no docstrings, no annotations, no line numbers.
"""

import marshal
import posix
import sys

from .loader import PACKAGE, path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from types import CodeType

    from .loader import Row

# What every start reads, the loader first, and what both processes of an entry need: that is run once, before the fork
START = (
    *("docker_nsenter.loader", "docker_nsenter", "docker_nsenter.__main__"),
    *("docker_nsenter.enter", "docker_nsenter.enter.jsonlite", "docker_nsenter.enter.linux"),
    *("docker_nsenter.enter.linux.procfs", "docker_nsenter.enter.membership"),
    *("docker_nsenter.enter.linux.capabilities", "docker_nsenter.routes"),
)
# How the launcher begins with their `rows` from `file`
BEGIN = """
posix.close(file)
loader = type(sys)(rows[0][0])
loader.__package__, loader.__file__ = rows[1][0], rows[0][2]
exec(rows[0][-1], vars(loader))
loader.begin(loader, rows) or sys.path.insert(0, library)
"""
# What an ordinary entry needs besides: the process that enters, at once and when it has forked the one that joins;
# the planner. Behind them, what these two need for several containers
STAGES = {
    "enter": ("routes.bootstrap",),
    "watch": ("enter.launch", "enter.session.failures", "enter.session.guardian"),
    "plan": (
        "commands.dispatch",
        "commands.enter",
        "cli.read",
        "engine.endpoints",
        "engine.containers",
        "cli.request",
        "planning.plan",
        "routes.local",
        "enter.membership",
        "enter.linux.procfs",
        "enter.jsonwrite",
    ),
    "many": ("enter.many",),
    "plan-many": ("commands.many",),
}
# A stage's modules are not those of an earlier one
EARLIER = {"watch": ("enter",), "many": ("enter", "watch"), "plan-many": ("plan",)}


def write() -> None:
    """Write the bundles of this package: part of the installation. OSError where that may not be written."""
    _make_directory(path_of("enter").rpartition("/")[0])
    for stage, names in STAGES.items():
        known = _needed(tuple(name for each in EARLIER[stage] for name in STAGES[each])) if stage in EARLIER else []
        _write(stage, [_row(name) for name in _needed(names) if name not in known])
    begin = _without_lines(compile(BEGIN, "begin", "exec", dont_inherit=True, optimize=2))
    _write("start", (begin, [_row(name) for name in START]))  # last: it stands for all of them


def _write(stage: str, content: "list[Row] | tuple[CodeType, list[Row]]") -> None:
    """Write one bundle, which is there as a whole or not at all."""
    with open(f"{path_of(stage)}.new", "wb") as file:
        file.write(marshal.dumps(content))
    posix.rename(f"{path_of(stage)}.new", path_of(stage))


def _make_directory(path: str) -> None:
    """Make Python's directory of compiled files, which is not there where nothing is compiled."""
    try:
        posix.mkdir(path)
    except FileExistsError:
        return


def remove() -> None:
    """Remove the bundles of this package."""
    from contextlib import suppress

    for stage in ("start", *STAGES):
        with suppress(FileNotFoundError):
            posix.unlink(path_of(stage))


def _needed(names: tuple[str, ...]) -> list[str]:
    """List the modules of ours that importing some brings along, each behind those that it imports itself."""
    from subprocess import check_output

    imports = "; ".join(f"import {__package__}.{name}" for name in names)
    code = f"import sys; sys.path.insert(0, {PACKAGE.rpartition('/')[0]!r}); {RECORD}; {imports}; print(*done)"
    loaded = check_output([sys.executable, "-I", "-S", "-B", "-c", code], text=True).split()
    ours = [name for name in loaded if name.startswith(f"{__package__}.") or name in EXTENSIONS]
    return [name for name in ours if name not in (__name__, *START)]


# Code that lists the modules in the order in which they have been run
RECORD = (
    "from _frozen_importlib_external import SourceFileLoader as L, ExtensionFileLoader as X; done = []; "
    "wrap = lambda run: lambda self, module: (run(self, module), done.append(module.__name__)); "
    "L.exec_module, X.exec_module = wrap(L.exec_module), wrap(X.exec_module)"
)
# What only some entries need, when nothing can be read any more: read with the others, but not taken apart
SELDOM = tuple(f"{__package__}.enter.{name}" for name in ("hints", "session.failures", "session.guardian"))
# Python's own that are found by their file, too, where they are not part of it: to look for one costs 0.2 ms
EXTENSIONS = ("_ctypes", "fcntl", "select")


def _row(name: str) -> "Row":
    """Compile one module, or name the file of an extension."""
    import ast
    from importlib import import_module
    from os.path import exists

    if name in EXTENSIONS:
        file = str(import_module(name).__file__)
        found = posix.stat(file)
        return name, False, file, found.st_mtime_ns, found.st_size, None
    place = f"{PACKAGE.rpartition('/')[0]}/{name.replace('.', '/')}"
    package = f"{place}/__init__.py"
    file = package if exists(package) else f"{place}.py"
    with open(file, "rb") as source:
        tree = ast.parse(source.read())
        found = posix.fstat(source.fileno())
    for node in list(ast.walk(tree)):
        _strip(node)
    code = compile(ast.fix_missing_locations(tree), file, "exec", dont_inherit=True, optimize=2)
    code = _without_lines(code)
    packed = marshal.dumps(code) if name in SELDOM else code
    return name, file == package, file, found.st_mtime_ns, found.st_size, packed


def _strip(node: "ast.AST") -> None:
    """Take the annotations off a function, and out of a body what is for type checkers alone."""
    import ast

    if isinstance(node, ast.FunctionDef):
        node.returns = None
    if isinstance(node, ast.arg):
        node.annotation = None
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        node.body = [_plain(statement) for statement in node.body]


def _plain(statement: "ast.stmt") -> "ast.stmt":
    """Return a statement as it runs: no block for type checkers, an annotated name as a plain one."""
    import ast

    if isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING":
        return ast.Pass()
    if isinstance(statement, ast.AnnAssign):
        return ast.Assign([statement.target], statement.value) if statement.value else ast.Pass()
    return statement


def _without_lines(code: "CodeType") -> "CodeType":
    """Take the line numbers out of code, and out of what it defines."""
    inner = (_without_lines(each) if isinstance(each, type(code)) else each for each in code.co_consts)
    return code.replace(co_linetable=b"", co_consts=tuple(inner))


if __name__ == "__main__":
    write()
