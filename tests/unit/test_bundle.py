"""The bundle: the same modules as the files, and never an old one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docker_nsenter import bundle
from docker_nsenter.enter import hints
from docker_nsenter.planning import plan

from ..starting import BEGIN, PLAIN

PACKAGE = Path(__file__).resolve().parents[2] / "plugin/docker_nsenter"
NOT_BUNDLED = ("docker_nsenter.bundle", "docker_nsenter.loader")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package with its bundles."""
    shutil.copytree(PACKAGE, tmp_path / "docker_nsenter", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docker_nsenter/__pycache__").mkdir()
    python(tmp_path, "bundle.write()")
    return tmp_path


def python(place: Path, code: str, *words: str) -> str:
    """Run code that has modules of a copy of the package, as the launcher starts Python."""
    bundles = list((place / "docker_nsenter/__pycache__").glob("start.*.bundle"))
    begin = (BEGIN if bundles else PLAIN) + "from docker_nsenter import __main__ as main, bundle, loader; "
    command = [sys.executable, "-I", "-S", "-B", "-c", begin + code, str(place), *map(str, bundles), *words]
    return subprocess.check_output(command, text=True, timeout=60)


def loaders(stage: str, module: str) -> str:
    """Code that prints which loader each module of ours came by."""
    return (
        f"loader.load({stage!r}); import docker_nsenter.{module}; "
        "print(*(f'{n}={type(m.__loader__).__name__}' for n, m in sys.modules.items() "
        f"if n.startswith('docker_nsenter.') and n not in {NOT_BUNDLED}))"
    )


@pytest.mark.parametrize(("stage", "module"), [("enter", "routes.bootstrap"), ("plan", "commands.dispatch")])
def test_a_stage_comes_from_its_bundle_alone(copy: Path, stage: str, module: str) -> None:
    found = python(copy, loaders(stage, module)).split()
    assert found
    assert [word for word in found if not word.endswith("=Loader")] == []


def names_of(place: Path) -> dict[str, list[str]]:
    """List what each module of ours knows once all stages are loaded, and what they leave for later."""
    code = (
        "import json; [loader.load(stage) for stage in bundle.STAGES]; "
        "[__import__(f'docker_nsenter.{name}') for names in bundle.STAGES.values() for name in names]; "
        "[__import__(name) for name in bundle.SELDOM]; "
        "ours = [(name, module) for name, module in sys.modules.items() if name.startswith('docker_nsenter')]; "
        "print(json.dumps({name: sorted(vars(module)) for name, module in ours}))"
    )
    found: dict[str, list[str]] = json.loads(python(place, code))
    return {module: [name for name in names if not name.startswith("__")] for module, names in found.items()}


def test_a_module_knows_the_same_names_as_from_its_source(copy: Path) -> None:
    """Its imports are looked up when the bundle is written, also of what only runs where something goes wrong."""
    bundled = names_of(copy)
    python(copy, "bundle.remove()")
    sources = names_of(copy)
    assert set(bundled) == set(sources)
    assert set(bundle.SELDOM) < set(bundled)
    for module, names in sources.items():
        if module not in NOT_BUNDLED:
            assert {*bundled[module], "loader"} == {*names, "loader"}, module


def test_an_extension_has_its_file_as_when_it_is_searched_for(copy: Path) -> None:
    """By which root's code is looked for: what is begun in two phases (PEP 489) has it of its spec alone."""
    code = "import _queue; was = _queue.__file__, type(_queue.__loader__); del sys.modules['_queue']; "
    code += "loader.Loader().run(('_queue', False, was[0], 0, 0, (), None)); import _queue; "
    assert python(copy, code + "print(was == (_queue.__file__, type(_queue.__loader__)))") == "True\n"


def test_modules_whose_source_changed_since_are_read_from_their_sources(copy: Path) -> None:
    source = copy / "docker_nsenter/enter/errors.py"
    source.write_text(source.read_text() + "\nCHANGED = 1\n")
    found = python(
        copy, loaders("enter", "routes.bootstrap") + "; print(sys.modules['docker_nsenter.enter.errors'].CHANGED)"
    )
    assert "docker_nsenter.enter.errors=SourceFileLoader" in found.split()
    assert found.split()[-1] == "1"


def test_modules_touched_since_are_read_from_their_sources(copy: Path) -> None:
    os.utime(copy / "docker_nsenter/enter/errors.py", (1, 1))
    assert "docker_nsenter.enter.errors=SourceFileLoader" in python(copy, loaders("enter", "routes.bootstrap")).split()


def test_a_start_reads_one_file_and_looks_into_no_directory(copy: Path) -> None:
    code = "print(type(main.__loader__).__name__, library in sys.path, sys.modules['docker_nsenter.loader'].PACKAGE)"
    assert python(copy, code).strip() == f"Loader False {copy}/docker_nsenter"


@pytest.mark.parametrize("name", ["__init__", "__main__", "loader"])
def test_a_start_whose_source_changed_is_read_from_its_sources(copy: Path, name: str) -> None:
    source = copy / f"docker_nsenter/{name}.py"
    source.write_text(source.read_text() + "\nCHANGED = 1\n")
    module = {"__init__": "docker_nsenter", "__main__": "docker_nsenter.__main__", "loader": "docker_nsenter.loader"}[
        name
    ]
    code = f"print(type(main.__loader__).__name__, sys.modules[{module!r}].CHANGED)"
    assert python(copy, code).strip() == "SourceFileLoader 1"


def test_a_launcher_of_before_starts_with_the_words_of_its_user(copy: Path) -> None:
    """Who has pip replace the package keeps docker's plugin file, which took its own words off in another way."""
    (file,) = (copy / "docker_nsenter/__pycache__").glob("start.*.bundle")
    before = "import marshal, posix, sys; library = sys.argv.pop(1); file = posix.open(sys.argv.pop(1), 0); "
    before += "begin, rows = marshal.loads(posix.read(file, 65536)); exec(begin); print(*sys.argv[1:])"
    words = [sys.executable, "-I", "-S", "-B", "-c", before, str(copy), str(file), "nsenter", "web"]
    assert subprocess.check_output(words, text=True) == "nsenter web\n"


def test_a_start_that_is_looked_into_has_lines(copy: Path) -> None:
    code = "print(type(main.__loader__).__name__, main.main.__code__.co_linetable != b'')"
    assert python(copy, code, "-D").strip() == "SourceFileLoader True"


def test_the_longest_line_that_is_handed_on_is_the_longest_that_a_hint_shows() -> None:
    assert plan.LONGEST == hints.LONGEST


def test_without_a_bundle_the_files_do(copy: Path) -> None:
    python(copy, "bundle.remove()")
    found = python(copy, loaders("enter", "routes.bootstrap")).split()
    assert {word.rpartition("=")[2] for word in found} == {"SourceFileLoader"}


def test_an_entry_imports_nothing_that_its_bundle_lacks(copy: Path) -> None:
    """What the functions of stage 1 import on the way of a plain line must be in the bundle, too."""
    code = (
        "loader.load('plan'); from docker_nsenter.commands import dispatch; "
        "dispatch.plans_of(['nsenter', 'pid:1', 'true']); import docker_nsenter.routes.local; "
        f"print(*(n for n, m in sys.modules.items() if n.startswith('docker_nsenter.') and n not in {NOT_BUNDLED}"
        " and type(m.__loader__).__name__ != 'Loader'))"
    )
    assert set(python(copy, code).split()) <= {
        f"docker_nsenter.enter.{name}" for name in ("target", "linux.procfs", "errors", "linux.syscalls")
    }


def test_who_asks_where_something_goes_wrong_gets_line_numbers(copy: Path) -> None:
    """-D shows a traceback, and a bundle has no lines."""
    found = python(copy, loaders("plan", "commands.dispatch"), "-D").split()
    assert {word.rpartition("=")[2] for word in found} == {"SourceFileLoader"}


def test_a_bundle_holds_nothing_that_only_readers_need(copy: Path) -> None:
    code = (
        "loader.load('enter'); from docker_nsenter.enter.hardening import exeseal; made = exeseal.copy; "
        "print((exeseal.__doc__, made.__doc__, made.__annotations__, made.__code__.co_linetable))"
    )
    assert python(copy, code).strip() == "(None, None, {}, b'')"
