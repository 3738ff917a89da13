"""The host's interpreter stays out of reach, and the caller's environment out of the command's process."""

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import LIBRARY, PYTHON, plan_for, run_plan

START = f"import sys; sys.path.insert(0, {str(LIBRARY)!r})\nfrom docker_nsenter.enter.hardening import exeseal\n"


def run_script(script: str, *python: str, **environment: str) -> str:
    """Run a script in an interpreter that can be sealed in place, and return what it printed."""
    words = [*(python or PYTHON), "-I", "-S", "-B", "-X", "utf8", "-c", START + script]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_sealed_interpreter_runs_on_and_leads_to_memory_that_cannot_be_written() -> None:
    script = """
import os
before = os.readlink("/proc/self/exe")
assert not exeseal.sealed("self")
exeseal.in_place()
assert exeseal.sealed("self")
print(before, os.readlink("/proc/self/exe"), sep="\\n")
assert before not in open("/proc/self/maps").read()
for attempt in (lambda: os.open("/proc/self/exe", os.O_WRONLY | os.O_TRUNC),
                lambda: os.write(os.open("/proc/self/exe", os.O_WRONLY), b"evil")):
    try:
        attempt()
    except OSError as problem:
        assert problem.errno in (1, 26)  # EPERM: sealed; ETXTBSY: not while it is executed
        continue
    raise SystemExit("written")
assert os.path.getsize("/proc/self/exe") == 0
import gc, json, re  # the moved loader still loads
gc.collect()
assert json.loads(json.dumps({"a": [1.5]})) == {"a": [1.5]} and re.match("a+", "aaa")
"""
    before, after = run_script(script).splitlines()
    assert os.path.exists(before)
    assert after == "/memfd:docker-nsenter (deleted)"


def test_a_sealed_interpreter_cannot_be_executed_from_inside() -> None:
    """A command that is /proc/self/exe becomes nothing at all: the memory that it leads to is empty."""
    script = """
import os
exeseal.in_place()
try:
    os.execv("/proc/self/exe", ["x"])
except OSError as problem:
    print(problem.strerror)
"""
    assert run_script(script) == "Exec format error\n"


def test_an_interpreter_that_is_at_work_itself_is_not_moved() -> None:
    """Its data would change while it is copied; such a start takes a sealed copy instead."""
    static = "/usr/bin/python3"
    if Path(os.path.realpath(static)).stat().st_size < 2 << 20:
        pytest.fail(f"{static} is not a large one: nothing to show")
    script = """
try:
    exeseal.in_place()
except OSError as problem:
    print(problem.errno, exeseal.sealed("self"))
"""
    assert run_script(script, static) == "16 False\n"


def test_a_copy_of_the_interpreter_is_sealed() -> None:
    script = """
import os
if len(sys.argv) == 1:
    again = sys.orig_argv[sys.orig_argv.index('-c'):]
    os.execve(exeseal.copy(), [sys.executable, "-I", "-S", "-B", *again, "again"], {})
print(exeseal.sealed("self"), os.readlink("/proc/self/exe"), os.path.getsize("/proc/self/exe") > 0)
"""
    assert run_script(script) == "True /memfd:docker-nsenter (deleted) True\n"


def test_the_command_does_not_start_in_an_interpreter_that_cannot_be_sealed(unshared: object, tmp_path: Path) -> None:
    pid = unshared()  # type: ignore[operator]
    marker = tmp_path / "marker"
    inject = ("strace", "-f", "-o", "/dev/null", "-e", "trace=memfd_create")
    inject += ("-e", "inject=memfd_create:error=ENOMEM")
    done = run_plan(plan_for(pid, "touch", str(marker)), before=inject)
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not marker.exists()


@pytest.mark.parametrize(("act", "copies"), [("pass", ["2", "3", "4"]), ("exeseal.forget()", ["0"])])
def test_the_callers_environment_is_gone_from_memory(act: str, copies: list[str]) -> None:
    """A tracer in the container reads /proc/PID/environ and /proc/PID/mem of the command's process before execve."""
    script = f"""
{act}
import re
secret = re.compile(b"ten gree[n] bottles")  # which does not find itself
count = 0
with open("/proc/self/mem", "rb", 0) as memory:
    for line in open("/proc/self/maps"):
        if " rw" in line and "[v" not in line:
            begin, end = (int(word, 16) for word in line.split()[0].split("-"))
            memory.seek(begin)
            count += len(secret.findall(memory.read(end - begin)))
print(count, *(name for name in ("environ", "cmdline") if open(f"/proc/self/{{name}}").read().strip(chr(0))))
"""
    count, *readable = run_script(script, SECRET="ten green bottles").split()  # noqa: S106 - no password
    assert count in copies
    assert readable == ([] if copies == ["0"] else ["environ", "cmdline"])


def test_where_memory_may_not_be_executed_the_copy_is_a_read_only_mount() -> None:
    """vm.memfd_noexec=2 makes memfd_create(MFD_EXEC) fail with EACCES (Linux 6.3)."""
    script = """
import os
if len(sys.argv) == 1:
    again = sys.orig_argv[sys.orig_argv.index('-c'):]
    os.execve(exeseal.copy(), [sys.executable, "-I", "-S", "-B", *again, "again"], {})
print(exeseal.sealed("self"), os.path.samefile("/proc/self/exe", sys.executable))
"""
    inject = ["strace", "-f", "-o", "/dev/null", "-e", "trace=memfd_create", "-e", "inject=memfd_create:error=EACCES"]
    assert run_script(script, *inject, *PYTHON) == "True True\n"
