"""Write the bundles from which loader.py starts: a stage's modules in one file, written at installation.

Finding, opening and unmarshalling a module of its own costs more than running it. Like a .pyc, a bundle belongs to one
version of Python; once a source has changed (its time or its size), the sources are read instead. It holds only what
runs: no docstrings, no annotations, no line numbers. A module's imports are looked up now and not at each start.
"""

import marshal
import posix
import sys

from .loader import PACKAGE, PART_SIZE, path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Sequence
    from types import CodeType

    from .loader import Import, Row

# What every start reads, the loader first, and what both processes of an entry need: that is run once, before the fork
START = (
    *("docker_nsenter.loader", "docker_nsenter", "docker_nsenter.__main__"),
    *("docker_nsenter.enter", "docker_nsenter.enter.jsonlite", "docker_nsenter.enter.linux"),
    *("docker_nsenter.enter.linux.procfs", "docker_nsenter.enter.membership"),
    *("docker_nsenter.enter.linux.capabilities", "docker_nsenter.routes"),
)
# How the launcher begins with their `rows` from `file`. An older one, beside which the package has been replaced, has
# taken its two words off itself
BEGIN = """
if "library" not in globals():
    library = sys.argv[1]
    del sys.argv[1:3]
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
        _write(stage, _in_parts(_rows([name for name in _needed(names) if name not in known], [*START, *known])))
    begin = _without_lines(compile(BEGIN, "begin", "exec", dont_inherit=True, optimize=2))
    _write("start", marshal.dumps((begin, _rows(START, []))))  # last: it stands for all of them


def _write(stage: str, content: bytes) -> None:
    """Write one bundle, which is there as a whole or not at all."""
    with open(f"{path_of(stage)}.new", "wb") as file:
        file.write(content)
    posix.rename(f"{path_of(stage)}.new", path_of(stage))


def _in_parts(rows: "list[Row]") -> bytes:
    """Write rows in parts, each behind its length, of a size for which the C library maps no memory of its own."""
    parts: list[list[Row]] = [[]]
    for row in rows:
        if parts[-1] and len(marshal.dumps([*parts[-1], row])) > LARGEST_PART:
            parts.append([])
        parts[-1].append(row)
    written = map(marshal.dumps, parts)
    return b"".join(len(part).to_bytes(PART_SIZE, "little") + part for part in written)


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
LARGEST_PART = 100_000  # bytes; mallopt(3), M_MMAP_THRESHOLD
# Python's own that are found by their file, too, where they are not part of it: to look for one costs 0.2 ms
EXTENSIONS = ("_ctypes", "fcntl", "select")


def _rows(names: "Sequence[str]", before: list[str]) -> "list[Row]":
    """Compile modules, which are run in this order behind some others."""
    return [_row(name, {*before, *names[:at]} - {*SELDOM}) for at, name in enumerate(names)]


def _row(name: str, there: set[str]) -> "Row":
    """Compile one module, or name the file of an extension; `there` are the modules that have run by then."""
    import ast
    from importlib import import_module
    from os.path import exists

    if name in EXTENSIONS:
        file = str(import_module(name).__file__)
        found = posix.stat(file)
        return name, False, file, found.st_mtime_ns, found.st_size, (), None
    package = f"{_place(name)}/__init__.py"
    file = package if exists(package) else f"{_place(name)}.py"
    with open(file, "rb") as source:
        tree = ast.parse(source.read())
        found = posix.fstat(source.fileno())
    for node in list(ast.walk(tree)):
        _strip(node)
    imports = _take_imports(tree, name if file == package else name.rpartition(".")[0], there) if there else ()
    code = compile(ast.fix_missing_locations(tree), file, "exec", dont_inherit=True, optimize=2)
    code = _without_lines(code)
    packed = marshal.dumps(code) if name in SELDOM else code
    return name, file == package, file, found.st_mtime_ns, found.st_size, imports, packed


def _place(name: str) -> str:
    """Say where a module of the package lies: a directory's name, or a file's without its ending."""
    return f"{PACKAGE.rpartition('/')[0]}/{name.replace('.', '/')}"


def _take_imports(tree: "ast.Module", package: str, there: set[str]) -> "tuple[Import, ...]":
    """Take a module's imports of what is there by then, and of what is a part of Python, out of its code."""
    import ast

    found: list[tuple[str, str, str | None]] = []
    for node in list(tree.body):
        if isinstance(node, ast.Import):
            taken = _modules(node)
        elif isinstance(node, ast.ImportFrom):
            taken = _names(node, package)
        else:
            continue
        if {source for source, _, _ in taken} <= there | {*sys.builtin_module_names}:
            tree.body.remove(node)
            found += taken
    sources = dict.fromkeys(source for source, _, _ in found)
    return tuple(
        (source, tuple((local, inner) for each, local, inner in found if each == source)) for source in sources
    )


def _modules(node: "ast.Import") -> list[tuple[str, str, str | None]]:
    """List what `import a, b` sets: a module, the name that it gets, None."""
    return [(each.name, each.asname or each.name, None) for each in node.names]


def _names(node: "ast.ImportFrom", package: str) -> list[tuple[str, str, str | None]]:
    """List what `from a import b` sets: a module, the name that is set, and what of the module that is."""
    from os.path import exists

    above = package.rsplit(".", node.level - 1)[0] if node.level else ""
    source = sys.intern(".".join(filter(None, (above, node.module))))
    return [
        (sys.intern(f"{source}.{each.name}"), each.asname or each.name, None)
        if exists(f"{_place(source)}/{each.name}.py") or exists(f"{_place(source)}/{each.name}")
        else (source, each.asname or each.name, each.name)
        for each in node.names
    ]


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
