"""The tables of enter/ against the kernel's own headers."""

import os
import re
from pathlib import Path

from docker_nsenter.enter.linux import capabilities, syscall_table, syscalls
from docker_nsenter.enter.tracing import why

INCLUDE = Path("/usr/include")
MACHINE = os.uname().machine


def test_capability_numbers_are_the_headers() -> None:
    text = (INCLUDE / "linux/capability.h").read_text()
    found = {name: int(number) for name, number in re.findall(r"#define\s+CAP_([A-Z_]+)\s+(\d+)\b", text)}
    found.pop("LAST_CAP", None)
    assert found == capabilities.NUMBERS


def syscall_numbers(header: Path) -> dict[str, int]:
    """Read __NR_ definitions."""
    return {name: int(value) for name, value in re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text())}


def numbers_for(machine: str) -> dict[str, int]:
    """Evaluate the kernel module's table as on another machine."""
    source = Path(syscalls.__file__).read_text().replace("posix.uname().machine", repr(machine))
    scope: dict[str, object] = {}
    exec(compile(source, syscalls.__file__, "exec"), scope)  # noqa: S102
    numbers = scope["NUMBER"]
    assert isinstance(numbers, dict)
    return numbers


def native() -> dict[str, int]:
    """Read the numbers of this machine's architecture."""
    places = [INCLUDE / f"{MACHINE}-linux-gnu/asm/unistd_64.h", INCLUDE / "asm/unistd_64.h"]
    return syscall_numbers(next(place for place in places if place.exists()))


def test_system_call_numbers_of_this_machine_are_the_headers() -> None:
    known = native()
    assert numbers_for(MACHINE) == {name: known[name] for name in syscalls.NUMBER}


def test_system_call_numbers_of_arm64_are_the_generic_headers() -> None:
    text = (INCLUDE / "asm-generic/unistd.h").read_text()
    known = {name: int(value) for name, value in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    assert numbers_for("aarch64") == {name: known[name] for name in syscalls.NUMBER}


def test_the_calls_that_why_explains_have_the_headers_numbers() -> None:
    known = native()
    text = (INCLUDE / "asm-generic/unistd.h").read_text()
    generic = {name: int(value) for name, value in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    for name, (x86, arm64, arguments, need) in syscall_table.TABLE.items():
        assert (x86 if MACHINE == "x86_64" else arm64) == known.get(name, -1), name
        assert arm64 == generic.get(name, -1), name
        assert set(arguments) <= set("sdx-")
        assert need in ("", *capabilities.NUMBERS, *why.RULES), name


def test_rlimits_are_the_headers_and_the_kernels_names() -> None:
    shown = Path("/proc/self/limits").read_text().splitlines()[1:]
    assert [line[:26].strip() for line in shown] == list(syscalls.RLIMITS)
    text = (INCLUDE / "asm-generic/resource.h").read_text()
    numbers = sorted(int(n) for n in re.findall(r"# *define\s+RLIMIT_\w+\s+(\d+)", text))
    assert numbers == sorted(syscalls.RLIMITS.values())


def test_clone_flags_are_the_headers() -> None:
    text = (INCLUDE / "linux/sched.h").read_text()
    for name in ("TIME", "NS", "CGROUP", "UTS", "IPC", "USER", "PID", "NET"):
        value = re.search(rf"#define CLONE_NEW{name}\s+(0x[0-9a-fA-F]+)", text)
        assert value, name
        assert getattr(syscalls, f"CLONE_NEW{name}") == int(value[1], 16)


def test_a_failing_call_names_itself_and_the_errno() -> None:
    try:
        syscalls.setns(-1, 0)
    except OSError as problem:
        assert (problem.errno, problem.filename) == (9, "setns")
    else:
        raise AssertionError("setns(-1) succeeded")
