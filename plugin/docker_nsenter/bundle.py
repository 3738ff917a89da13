"""Start faster: read the modules of a stage from one file, written at installation, instead of thirty.

Finding, opening and unmarshalling a module of its own costs more than running it. Like a .pyc, the file belongs to one
version of Python; once a source has changed (its time or its size), the sources are read instead. And it holds only
what runs: no docstrings, no annotations, no line numbers. Who asks to see where something goes wrong (-D) goes without.
"""

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from types import CodeType, ModuleType

    # name, whether it is a package, the source's path, its time in nanoseconds, its size, the code, marshalled
    Row = tuple[str, bool, str, int, int, bytes]

PACKAGE = __file__.rpartition("/")[0]
# What an ordinary entry needs: the process that enters, and the one that plans
STAGES = {
    "enter": ("routes.ahead",),
    "plan": ("stage1", "docker_cli", "engine", "request", "plan", "routes.local", "enter.belonging", "enter.wire"),
}


class Loader:
    """Stand for the bundle in the modules that come from it; by `bundled` they are known."""

    bundled = True

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the making to Python."""

    def exec_module(self, module: "ModuleType") -> None:
        """Do nothing: `load` ran it."""


def path_of(stage: str) -> str:
    """Name a stage's file for this version of Python."""
    return f"{PACKAGE}/__pycache__/{stage}.{sys.implementation.cache_tag}.bundle"


def load(stage: str) -> None:
    """Run a stage's modules from its bundle, in the order in which they need each other, where there is one."""
    if {"-D", "--debug"} & set(sys.argv):
        return
    try:
        fd = posix.open(path_of(stage), posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rows: list[Row] = marshal.loads(posix.read(fd, posix.fstat(fd).st_size))  # noqa: S302 - as trusted as a .pyc
    finally:
        posix.close(fd)
    for _, _, file, time, size, _ in rows:
        found = posix.stat(file)
        if (found.st_mtime_ns, found.st_size) != (time, size):
            return
    loader, modules = Loader(), sys.modules
    for name, package, file, _, _, code in rows:
        if name in modules:
            continue
        module = modules[name] = type(sys)(name)
        parent, _, last = name.rpartition(".")
        names = module.__dict__
        names["__spec__"] = spec = ModuleSpec(name, loader, origin=file, is_package=package)  # type: ignore[arg-type]
        spec.has_location = True
        names["__file__"], names["__loader__"], names["__package__"] = file, loader, name if package else parent
        if package:
            names["__path__"] = spec.submodule_search_locations = [file.rpartition("/")[0]]
        exec(marshal.loads(code), names)  # noqa: S102, S302 - what an import does
        setattr(modules[parent], last, module)


def write() -> None:
    """Write the bundles of this package: part of the installation. OSError where that may not be written."""
    for stage, names in STAGES.items():
        rows = [_row(name) for name in _needed(names)]
        with open(f"{path_of(stage)}.new", "wb") as file:
            file.write(marshal.dumps(rows))
        posix.rename(f"{path_of(stage)}.new", path_of(stage))


def remove() -> None:
    """Remove the bundles of this package."""
    for stage in STAGES:
        if _exists(path_of(stage)):
            posix.unlink(path_of(stage))


def _needed(names: tuple[str, ...]) -> list[str]:
    """List the modules of ours that importing some brings along, each behind those that it imports itself."""
    from subprocess import check_output

    imports = "; ".join(f"import {__package__}.{name}" for name in names)
    code = f"import sys; sys.path.insert(0, {PACKAGE.rpartition('/')[0]!r}); {RECORD}; {imports}; print(*done)"
    loaded = check_output([sys.executable, "-I", "-S", "-B", "-c", code], text=True).split()
    return [name for name in loaded if name.startswith(f"{__package__}.") and name != __name__]


# Code that lists the modules in the order in which they have been run
RECORD = (
    "from _frozen_importlib_external import SourceFileLoader as L; done = []; run = L.exec_module; "
    "L.exec_module = lambda self, module: (run(self, module), done.append(module.__name__))"
)


def _row(name: str) -> "Row":
    """Compile one module."""
    import ast

    place = f"{PACKAGE.rpartition('/')[0]}/{name.replace('.', '/')}"
    package = f"{place}/__init__.py"
    file = package if _exists(package) else f"{place}.py"
    with open(file, "rb") as source:
        tree = ast.parse(source.read())
        found = posix.fstat(source.fileno())
    for node in list(ast.walk(tree)):
        _strip(node)
    code = compile(ast.fix_missing_locations(tree), file, "exec", dont_inherit=True, optimize=2)
    return name, file == package, file, found.st_mtime_ns, found.st_size, marshal.dumps(_without_lines(code))


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


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    write()
