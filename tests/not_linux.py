"""A Python as a Mac has it, as far as can be made here: for the client of a helper, which needs nothing of Linux.

What typeshed does not give to darwin is deleted from the modules that touch the system, with what is there and does not
work (poll() on a terminal); /proc and /sys are hidden by a mount namespace; no ctypes; and of the package only the
modules are let in that scripts/check has mypy read for darwin, by name in client_modules.txt. What it can't be: a Mac's
numbers of signals and errors, its terminals, its kernel.
"""

import ast
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import mypy

HERE = Path(__file__).resolve().parent
MODULES = HERE / "client_modules.txt"
STUBS = Path(mypy.__file__).parent / "typeshed/stdlib"
# The modules that touch the system, and the stubs that say what is in them
TOUCHING = {
    "os": "os/__init__",
    "posix": "posix",
    "select": "select",
    "signal": "signal",
    "_signal": "signal",
    "socket": "socket",
    "_socket": "_socket",
    "fcntl": "fcntl",
    "termios": "termios",
    "resource": "resource",
    "time": "time",
    "errno": "errno",
}
BROKEN = {"select": ["poll", *(f"POLL{name}" for name in ("IN", "OUT", "ERR", "HUP", "NVAL", "PRI"))]}

SHIM = """
import sys
sys.platform = "darwin"
import errno, fcntl, os, posix, resource, select, signal, socket, termios, time, types, _signal, _socket
for module, names in LACKING.items():
    for name in names:
        vars(sys.modules[module]).pop(name, None)
select.PIPE_BUF = 512
scproxy = sys.modules["_scproxy"] = types.ModuleType("_scproxy")
scproxy._get_proxies = scproxy._get_proxy_settings = lambda: {}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("_ctypes", "ctypes") or name.startswith("docker_nsenter") and name not in ALLOWED:
            raise ImportError(f"{name} is not for a client that is not Linux")
sys.meta_path.insert(0, Refuse())
del errno, fcntl, os, posix, resource, select, signal, socket, termios, time, types, _signal, _socket, scproxy
"""
HIDDEN = 'mount -t tmpfs none /proc && mount -t tmpfs none /sys && ! [ -e /proc/self ] && exec "$@"'


def lacking() -> dict[str, list[str]]:
    """List what each module has on Linux and not on a Mac."""
    found = {name: sorted(_names(stub, "linux") - _names(stub, "darwin")) for name, stub in TOUCHING.items()}
    for name, more in BROKEN.items():
        found[name] += more
    return found


def _names(stub: str, platform: str) -> set[str]:
    """List the names that a stub gives to a platform."""
    known = {"sys": SimpleNamespace(platform=platform, version_info=sys.version_info)}
    return set(_defined(ast.parse((STUBS / f"{stub}.pyi").read_text()).body, known))


def _defined(body: list[ast.stmt], known: dict[str, object]) -> list[str]:
    found: list[str] = []
    for node in body:
        if isinstance(node, ast.If):
            test = eval(compile(ast.Expression(node.test), "", "eval"), dict(known))
            found += _defined(node.body if test else node.orelse, known)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append(node.target.id)
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.ImportFrom):
            found += [alias.asname or alias.name for alias in node.names]
    return found


def write_python(directory: Path) -> Path:
    """Write a program that is such a Python, for the plugin's launcher."""
    allowed = ["docker_nsenter", *MODULES.read_text().split()]
    shim = directory / "shim.py"
    shim.write_text(f"LACKING = {json.dumps(lacking())}\nALLOWED = {json.dumps(allowed)}\n{SHIM}")
    program = directory / "python"
    # The launcher's words: -I -S -B -X utf8 -c CODE …
    start = f"exec(open({str(shim)!r}).read())"
    program.write_text(f"""#!/bin/sh
shift 6
code=$1
shift
exec {sys.executable} -I -S -B -X utf8 -c "{start}
$code" "$@"
""")
    program.chmod(0o755)
    return program
