"""Let docker, typer and rich be found, where they are needed: -S leaves the private venv's packages out until then."""

import sys


def add_packages() -> None:
    """Add the site-packages of the venv beside this package, once."""
    sys.path += [place for place in places() if place not in sys.path]


def places() -> list[str]:
    """List the directories that have them."""
    import os

    library = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    base = os.path.dirname(library)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    found = [f"{base}/{name}/lib/{version}/site-packages" for name in ("venv", ".venv")]
    found.append(f"{base}/packages")  # of a Debian package: no compiled code, so any version of Python reads it
    return [place for place in found if os.path.isdir(place)] + ([library] if library.endswith("-packages") else [])
