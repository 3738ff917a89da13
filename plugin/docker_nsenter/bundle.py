"""Start faster: read the modules of a stage from one file, written at installation, instead of thirty.

Finding, opening and unmarshalling a module of its own costs more than running it. Like a .pyc, the file belongs to one
version of Python, and a module whose source has changed since (its time or its size) is taken from the source.
"""

import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType

    # name: (is a package, the source's path, its time in nanoseconds, its size, the code)
    Table = dict[str, tuple[bool, str, int, int, CodeType]]

PACKAGE = __file__.rpartition("/")[0]
# What an ordinary entry needs: the process that enters, and the one that plans
STAGES = {
    "enter": ("routes.ahead",),
    "plan": ("stage1", "docker_cli", "engine", "request", "plan", "routes.local", "enter.belonging", "enter.wire"),
}


class Finder:
    """Find the modules of a bundle, ahead of the file system."""

    def __init__(self, table: "Table") -> None:
        """Take what `load` read."""
        self.table = table

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """Offer a module whose source is still the one that was compiled."""
        if name not in self.table:
            return None
        package, file, time, size, _ = self.table[name]
        found = posix.stat(file)
        if (found.st_mtime_ns, found.st_size) != (time, size):
            return None
        spec = ModuleSpec(name, self, origin=file, is_package=package)  # type: ignore[arg-type]
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [file.rpartition("/")[0]]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the making to Python."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run a module's code, which nobody needs again."""
        exec(self.table.pop(module.__name__)[4], module.__dict__)  # noqa: S102 - what an import does


def path_of(stage: str) -> str:
    """Name a stage's file for this version of Python."""
    return f"{PACKAGE}/__pycache__/{stage}.{sys.implementation.cache_tag}.bundle"


def load(stage: str) -> None:
    """Let a stage's modules be found in its bundle, where there is one."""
    try:
        fd = posix.open(path_of(stage), posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        table = marshal.loads(posix.read(fd, posix.fstat(fd).st_size))  # noqa: S302 - as trusted as a .pyc
    finally:
        posix.close(fd)
    sys.meta_path.insert(0, Finder(table))


def write() -> None:
    """Write the bundles of this package: part of the installation. OSError where that may not be written."""
    for stage, names in STAGES.items():
        table = {name: _entry(name) for name in _needed(names)}
        with open(f"{path_of(stage)}.new", "wb") as file:
            file.write(marshal.dumps(table))
        posix.rename(f"{path_of(stage)}.new", path_of(stage))


def remove() -> None:
    """Remove the bundles of this package."""
    for stage in STAGES:
        if _exists(path_of(stage)):
            posix.unlink(path_of(stage))


def _needed(names: tuple[str, ...]) -> list[str]:
    """List the modules of ours that importing some brings along, in an interpreter of their own."""
    from subprocess import check_output

    imports = "; ".join(f"import {__package__}.{name}" for name in names)
    code = f"import sys; sys.path.insert(0, {PACKAGE.rpartition('/')[0]!r}); {imports}; print(*sys.modules)"
    loaded = check_output([sys.executable, "-I", "-S", "-B", "-c", code], text=True).split()
    return [name for name in loaded if name.startswith(f"{__package__}.") and name != __name__]


def _entry(name: str) -> "tuple[bool, str, int, int, CodeType]":
    """Compile one module, without the docstrings that nobody reads at run time."""
    import ast

    place = f"{PACKAGE.rpartition('/')[0]}/{name.replace('.', '/')}"
    package = f"{place}/__init__.py"
    file = package if _exists(package) else f"{place}.py"
    with open(file, "rb") as source:
        tree = ast.parse(source.read())
        found = posix.fstat(source.fileno())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    code = compile(ast.fix_missing_locations(tree), file, "exec", dont_inherit=True)
    return file == package, file, found.st_mtime_ns, found.st_size, code


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    write()
