"""The tables of enter/ against the kernel's own headers."""

import ast
import os
import re
import resource
import subprocess
import tempfile
from pathlib import Path

from docker_nsenter.enter.linux import argument_names, capabilities, limits, syscall_table, syscalls
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


def numbers(machine: str) -> dict[str, int]:
    """Read the numbers that stand in each system call's line, for one of the two machines."""
    found = {}
    for node in ast.walk(ast.parse(Path(syscalls.__file__).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_call":
            name, x86, arm64 = (argument.value for argument in node.args[:3] if isinstance(argument, ast.Constant))
            assert found.setdefault(name, (x86, arm64)) == (x86, arm64)
    return {str(name): int(str(row[machine == "aarch64"])) for name, row in found.items()}


def native() -> dict[str, int]:
    """Read the numbers of this machine's architecture."""
    places = [INCLUDE / f"{MACHINE}-linux-gnu/asm/unistd_64.h", INCLUDE / "asm/unistd_64.h"]
    return syscall_numbers(next(place for place in places if place.exists()))


def test_system_call_numbers_of_this_machine_are_the_headers() -> None:
    known = native()
    assert numbers(MACHINE) == {name: known[name] for name in numbers(MACHINE)}
    assert len(numbers(MACHINE)) >= 40
    assert syscalls.FORK_SIBLING[0] == known["clone"]


def test_system_call_numbers_of_arm64_are_the_generic_headers() -> None:
    text = (INCLUDE / "asm-generic/unistd.h").read_text()
    known = {name: int(value) for name, value in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    assert numbers("aarch64") == {name: known[name] for name in numbers("aarch64")}


def test_the_calls_that_why_explains_have_the_headers_numbers() -> None:
    known = native()
    text = (INCLUDE / "asm-generic/unistd.h").read_text()
    generic = {name: int(value) for name, value in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    generic["newfstatat"] = generic["fstatat"]  # its name there is for 32 bits, too
    for name, (x86, arm64, arguments, need) in syscall_table.TABLE.items():
        assert (x86 if MACHINE == "x86_64" else arm64) == known.get(name, -1), name
        assert arm64 == generic.get(name, -1), name
        assert set(arguments) <= {*"sdx-", *argument_names.DECODED}
        assert need in ("", *capabilities.NUMBERS, *why.RULES), name


def macros(*headers: str) -> dict[str, int]:
    """Have the compiler read headers, and evaluate the macros that are whole numbers."""
    text = "".join(f"#include <{header}>\n" for header in headers)
    defined = subprocess.run(
        ["cc", "-D_GNU_SOURCE", "-dM", "-E", "-"], input=text, capture_output=True, text=True, check=True
    )
    names = re.findall(r"#define ([A-Z][A-Z0-9_]+) \S", defined.stdout)
    wanted = {name for table in NAMED for name in table} & set(names)
    rows = "".join(f'printf("%s %llu\\n", "{name}", (unsigned long long)({name}));\n' for name in sorted(wanted))
    source = f"#include <stdio.h>\n{text}int main(void) {{\n{rows}return 0;\n}}\n"
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["cc", "-D_GNU_SOURCE", "-x", "c", "-o", f"{place}/p", "-"], input=source, text=True, check=True)
        shown = subprocess.check_output([f"{place}/p"], text=True)
    return {name: int(value) & 0xFFFFFFFFFFFFFFFF for name, value in (line.split() for line in shown.splitlines())}


NAMED = (
    argument_names.PTRACE,
    argument_names.IOCTL,
    argument_names.OPEN,
    argument_names.MOUNT,
    argument_names.UMOUNT,
    argument_names.CLONE,
    argument_names.FAMILY,
    argument_names.PROTECTION,
    argument_names.PRCTL,
    argument_names.SIGNAL,
)
HEADERS = (
    ("linux/ptrace.h",),
    ("linux/sockios.h", "asm/ioctls.h", "linux/if_tun.h", "linux/fs.h", "linux/loop.h"),
    ("linux/mount.h",),
    ("linux/sched.h",),
    ("fcntl.h", "sys/mman.h", "sys/mount.h", "sys/socket.h", "linux/prctl.h", "signal.h"),
)


def test_the_names_of_arguments_are_the_headers() -> None:
    """Read by the compiler, as which of two headers holds is a matter of the machine."""
    known: dict[str, int] = {}
    for headers in HEADERS:
        known = {**macros(*headers), **known}
    for table in NAMED:
        for name, value in table.items():
            if name == "O_LARGEFILE":  # the C library hides it on 64 bits
                continue
            assert known.get(name) == value, name


def test_rlimits_are_the_headers_and_the_kernels_names() -> None:
    shown = Path("/proc/self/limits").read_text().splitlines()[1:]
    assert tuple(line[:26].strip() for line in shown) == argument_names.RLIMITS
    text = (INCLUDE / "asm-generic/resource.h").read_text()
    numbers = sorted(int(n) for n in re.findall(r"# *define\s+RLIMIT_\w+\s+(\d+)", text))
    assert numbers == list(range(len(argument_names.RLIMITS)))
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            low = [
                number for number in numbers if resource.prlimit(process.pid, number)[1] in range(200)
            ]  # as set here
            wanted = {number: (100 + number, 200 + number) for number in numbers if number not in low}
            for number, values in wanted.items():
                resource.prlimit(process.pid, number, values)
            found = limits.parse(Path(f"/proc/{process.pid}/limits").read_bytes())
        finally:
            process.kill()
    assert {number: found[number] for number in wanted} == wanted
    assert len(wanted) > 10


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
