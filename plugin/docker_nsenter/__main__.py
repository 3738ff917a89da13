"""Start: stage 2 at once where the line can only end in an entry, else stage 1 alone.

`os` and all that needs it is imported by stage 1 only: the process that enters has as little in its memory as can be.
"""

import gc
import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec
from _signal import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import NoReturn

    # of a bundle (bundle.py): the module, whether it is a package, its source's path, time in nanoseconds and size
    Row = tuple[str, bool, str, int, int, CodeType]

# Words after which nothing is entered, or only after a question to typer
NO_ENTRY = {"--help", "-h", "--dry-run", "--list", "--route=helper"}
# Set by a planner that found that a helper has to enter: its words are executed once more, for stage 1 alone
HANDED_OVER = b"DOCKER_NSENTER_HANDED_OVER"
# docker's own options that may stand before `nsenter`, and how many words each takes; docker_cli.py reads them all
DOCKERS = dict.fromkeys(("--context", "-c", "--host", "-H", "--config", "--log-level", "-l"), 2) | {
    "--debug": 1,
    "-D": 1,
}

PACKAGE = __file__.rpartition("/")[0]
# A module that is imported late, and its stage
LATE = {f"{__package__}.enter.supervisor": "watch"}


def main() -> "NoReturn":
    """Do what sys.argv says, as docker or a person wrote it; never return."""
    planner = -1
    try:
        if not enters_surely(sys.argv[1:]):
            from . import stage1

            stage1.main()
        parent = posix.getppid()
        reader, writer = posix.pipe()
        planner = posix.fork()
        if planner:
            load("enter")
            from .routes import bootstrap

            posix.close(writer)
            bootstrap.become(reader, planner, parent)
        load("plan")
        from . import stage1

        posix.close(reader)
        stage1.plan_for(writer)
    except OSError as problem:
        _end(planner, problem.strerror or "")
    except MemoryError:
        _end(planner, "out of memory")


def _end(planner: int, reason: str) -> "NoReturn":
    """Say why nothing could be started, unless the process that plans, which wants as much, has said so."""
    if planner > 0:
        posix.kill(planner, SIGKILL)
    if planner <= 0 or posix.waitpid(planner, 0)[1] in (0, SIGKILL):
        posix.write(2, f"docker nsenter: cannot start: {reason}\n".encode())
    posix._exit(125)


def load(stage: str) -> None:
    """Run a stage's modules from its bundle, in the order in which they need each other, where there is one.

    Who asks to see where something goes wrong (-D) goes without: a bundle has no line numbers.
    """
    if {"-D", "--debug"} & set(sys.argv):
        return
    try:
        fd = posix.open(path_of(stage), posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return
    gc.disable()  # nothing of this is ever garbage
    try:
        _run(marshal.loads(posix.read(fd, posix.fstat(fd).st_size)))  # noqa: S302 - as trusted as a .pyc
    finally:
        posix.close(fd)
        gc.freeze()
        gc.enable()


def _run(rows: "list[Row]") -> None:
    """Run the modules of a bundle, unless a source has changed since."""
    for _, _, file, time, size, _ in rows:
        found = posix.stat(file)
        if (found.st_mtime_ns, found.st_size) != (time, size):
            return
    loader = Loader()
    sys.meta_path.insert(0, loader)
    for row in rows:
        if row[0] not in sys.modules:
            loader.run(row)


def path_of(stage: str) -> str:
    """Name a stage's bundle for this version of Python."""
    return f"{PACKAGE}/__pycache__/{stage}.{sys.implementation.cache_tag}.bundle"


class Loader:
    """Stand for the bundles among Python's loaders, and load that of a late module."""

    bundled = True  # by which its modules are known

    def run(self, row: "Row") -> None:
        """Do all that importing a module does, without the importer's ways."""
        name, package, file, _, _, code = row
        module = sys.modules[name] = type(sys)(name)
        parent, _, last = name.rpartition(".")
        names = module.__dict__
        names["__spec__"] = spec = ModuleSpec(name, self, origin=file, is_package=package)  # type: ignore[arg-type]
        spec.has_location = True
        names["__file__"], names["__loader__"], names["__package__"] = file, self, name if package else parent
        if package:
            names["__path__"] = spec.submodule_search_locations = [file.rpartition("/")[0]]
        exec(code, names)  # noqa: S102 - what an import does
        setattr(sys.modules[parent], last, module)

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """Load the stage of a late module; it is the spec's."""
        if name not in LATE:
            return None
        load(LATE[name])
        return sys.modules[name].__spec__ if name in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        """Return the module as it was run."""
        return sys.modules[spec.name]

    def exec_module(self, module: "ModuleType") -> None:
        """Do nothing more."""


def enters_surely(argv: list[str]) -> bool:
    """Tell whether the line can only end in an entry or an error, so that stage 2 may start while this one asks."""
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        name, equals, _ = argv[at].partition("=")
        if name not in DOCKERS:
            return False
        at += 1 if equals else DOCKERS[name]
    words = argv[at:]
    if words[:1] != ["nsenter"] or len(words) == 1 or posix.geteuid() != 0 or sys.platform != "linux":
        return False
    by_helper = ("--route", "helper") in zip(words, words[1:], strict=False)
    return not by_helper and not NO_ENTRY & set(words) and HANDED_OVER not in posix.environ


if __name__ == "__main__":
    main()
