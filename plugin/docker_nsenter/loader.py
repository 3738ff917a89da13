"""Load a stage's modules from the bundle that was written at installation (bundle.py), where there is one.

It is imported before anything else of ours, so it needs no `os` and holds nothing of the caller's.
"""

import gc
import marshal
import posix
import sys
from _frozen_importlib import BuiltinImporter, ModuleSpec, module_from_spec
from _frozen_importlib_external import ExtensionFileLoader, spec_from_file_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType

    # of a bundle: the module, whether it is a package, its file's path, time in nanoseconds and size, what it imports,
    # its code: packed where it seldom runs, None for an extension
    Row = tuple[str, bool, str, int, int, tuple["Import", ...], CodeType | bytes | None]
    # a module, and the names that it (None) or something in it gets
    Import = tuple[str, tuple[tuple[str, str | None], ...]]

DEBUG = {"-D", "--debug"}
PART_SIZE = 4  # bytes of the length before each part of a bundle
BEGUN: list[bool] = []  # from the bundle of the start
PACKAGE = __file__.rpartition("/")[0]
# A module that is imported late, and its stage
LATE = {
    f"{__package__}.enter.launch": "watch",
    f"{__package__}.enter.many": "many",
    f"{__package__}.commands.many": "plan-many",
}
LONG = {"watch", "many"}  # who watches over a command may do so for days; all before it takes milliseconds
packed: "dict[str, Row]" = {}  # what has been read, and runs when it is imported


def begin(loader: "ModuleType", rows: "list[Row]") -> bool:
    """Run what every start runs, this module first (`loader`, its first row), from the bundle that the launcher read.

    The importer's ways to its files cost half a millisecond. Return False where they must go all the same: a source has
    changed, or lines are wanted. The stages' bundles are read behind this one only.
    """
    sys.modules[loader.__name__] = loader
    wanted = not DEBUG & set(sys.argv)
    if wanted and _run(rows):
        BEGUN.append(True)
        return True
    del sys.modules[loader.__name__]
    if wanted:
        _forget()
    return False


def load(stage: str) -> None:
    """Run a stage's modules from its bundle, in the order in which they need each other, where there is one.

    Who asks to see where something goes wrong (-D) goes without: a bundle has no line numbers.
    """
    if not BEGUN:
        return
    try:
        fd = posix.open(path_of(stage), posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return
    gc.disable()  # nothing of this is ever garbage
    try:
        rows: list[Row] = []
        while size := posix.read(fd, PART_SIZE):
            rows += marshal.loads(posix.read(fd, int.from_bytes(size, "little")))  # noqa: S302 - as trusted as a .pyc
        fresh = _run(rows)
        if not fresh and stage not in LONG:
            _forget()
    finally:
        posix.close(fd)
        gc.freeze()
        if stage in LONG:
            gc.enable()


def _forget() -> None:
    """Remove the first bundle where they are no longer of their sources: the launcher writes all of them anew then."""
    try:
        if posix.stat(path_of("start")).st_uid == posix.geteuid():
            posix.unlink(path_of("start"))
    except OSError:  # a file system that is read-only, another start that was quicker
        return


def _run(rows: "list[Row]") -> bool:
    """Run the modules of a bundle and return True, unless a source has changed since."""
    for _, _, file, time, size, _, _ in rows:
        found = posix.stat(file)
        if (found.st_mtime_ns, found.st_size) != (time, size):
            return False
    loader = Loader()
    sys.meta_path.insert(0, loader)
    for row in rows:
        if type(row[6]) is bytes:
            packed[row[0]] = row
        elif row[0] not in sys.modules:
            loader.run(row)
    return True


def path_of(stage: str) -> str:
    """Name a stage's bundle for this version of Python."""
    return f"{PACKAGE}/__pycache__/{stage}.{sys.implementation.cache_tag}.bundle"


def _imported(name: str) -> "ModuleType":
    """Import a module; for one that is a part of Python the importer's ways take three times as long as it does."""
    if name not in sys.builtin_module_names:
        __import__(name)
        return sys.modules[name]
    spec = ModuleSpec(name, BuiltinImporter)  # type: ignore[arg-type]
    module = BuiltinImporter.create_module(spec)
    assert module
    sys.modules[name] = module
    module.__spec__, module.__loader__ = spec, BuiltinImporter
    BuiltinImporter.exec_module(module)
    return module


class Loader:
    """Stand for the bundles among Python's loaders, and load that of a late module."""

    bundled = True  # by which its modules are known

    def run(self, row: "Row") -> None:
        """Do all that importing a module does, without the importer's ways; its own imports are names that are set."""
        name, package, file, _, _, imports, code = row
        if code is None:
            extension = ExtensionFileLoader(name, file)
            found = spec_from_file_location(name, file, loader=extension)
            assert found
            sys.modules[name] = module_from_spec(found)  # with its file, which is looked for by secure_path.py
            extension.exec_module(sys.modules[name])
            return
        if isinstance(code, bytes):
            code = marshal.loads(code)  # noqa: S302 - as trusted as the bundle
        module = sys.modules[name] = type(sys)(name)
        parent, _, last = name.rpartition(".")
        names = module.__dict__
        names["__file__"], names["__loader__"], names["__package__"] = file, self, name if package else parent
        if package:
            names["__path__"] = [file.rpartition("/")[0]]
        for source, those in imports:
            imported = sys.modules.get(source) or _imported(source)
            inside = imported.__dict__
            for local, attribute in those:
                names[local] = inside[attribute] if attribute else imported
        exec(code, names)  # noqa: S102 - what an import does
        if parent:
            setattr(sys.modules[parent], last, module)

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """Load the stage of a late module, or one that was packed; it is the spec's."""
        if name in packed:
            self.run(packed.pop(name))
        elif name in LATE:
            load(LATE[name])
        else:
            return None
        if name not in sys.modules:
            return None
        spec = ModuleSpec(name, self, origin=sys.modules[name].__file__)  # type: ignore[arg-type]
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        """Return the module as it was run."""
        return sys.modules[spec.name]

    def exec_module(self, module: "ModuleType") -> None:
        """Do nothing more."""
