"""Copies of the package: with a defence switched off, to show that an attack is real; or where root owns them."""

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "plugin/docker_nsenter"

Change = tuple[str, str, str]  # in which file, what, by what


def weakened(directory: Path, *changes: Change) -> Path:
    """Copy the package, change what is to be changed in each file, and return the library directory."""
    library = directory / "plugin"
    shutil.copytree(PACKAGE, library / "docker_nsenter", ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in changes:
        file = library / "docker_nsenter" / name
        text = file.read_text()
        assert text.count(old) == 1, f"{name} does not say {old!r} once any more"
        file.write_text(text.replace(old, new))
    return library


@functools.cache
def roots_own(library: Path) -> Path:
    """Return the library, or where it is not root's alone a copy that is."""
    places = [library / "docker_nsenter", library, *library.parents]
    found = [place.stat() for place in places]
    if all(each.st_uid == 0 and (not each.st_mode & 0o022 or each.st_mode & 0o1000) for each in found):
        return library
    copy = Path(tempfile.mkdtemp(prefix="nsenter-library."))
    atexit.register(shutil.rmtree, copy)
    shutil.copytree(library, copy / "plugin")
    for path in [copy, *copy.rglob("*")]:
        os.chown(path, 0, 0)
        path.chmod(path.stat().st_mode & ~0o022)
    return copy / "plugin"
