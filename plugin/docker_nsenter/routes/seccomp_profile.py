"""Make the container's seccomp filter anew, from the profile with which its runtime was told to start it.

The kernel hands a running filter out to the host's root only. Who enters his own rootless container asks the runtime's
config.json instead, and libseccomp, the library with which runc and crun turn a profile into a filter.
"""

import ctypes
import os
import sys

from ..engine.endpoints import read_json
from ..enter.jsonlite import loads
from ..enter.jsonwrite import dumps
from ..enter.session.frames import frame
from ..enter.target import parse_status
from ..errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Rule = dict[str, Any]

LIBRARY = "libseccomp.so.2"
ALLOW, LOG, ERRNO, TRACE, TRAP, KILL_PROCESS, KILL = (
    0x7FFF0000, 0x7FFC0000, 0x00050000, 0x7FF00000, 0x00030000, 0x80000000, 0,
)  # fmt: skip
ACTIONS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_KILL": KILL,
    "SCMP_ACT_KILL_THREAD": KILL,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
}
COMPARISONS = {
    f"SCMP_CMP_{name}": number for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), 1)
}
EPERM, ENOSYS, EEXIST = 1, 38, 17
X32_BIT, X86_64, X32 = 0x40000000, 0xC000003E, 0x4000003E
LD, JEQ, JGT, JSET, RET = 0x20, 0x15, 0x25, 0x45, 0x06  # linux/bpf_common.h
NUMBER_AT, ARCHITECTURE_AT = 0, 4  # in struct seccomp_data


class Comparison(ctypes.Structure):
    """Compare one argument: struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def main() -> None:
    """Make the filters of [process, container, runtime] and say them: in a helper that is filtered itself.

    Each is the instructions, none for a container without a filter, and why it can't be made.
    """
    found: list[tuple[str, str]] = []
    for pid, container, runtime in loads(sys.argv[1]):
        try:
            filtered = "seccomp" in (config_of(pid, container).get("linux") or {})
            found.append((of_process(pid, container, runtime).hex() if filtered else "", ""))
        except (CliError, OSError) as problem:
            found.append(("", str(problem)))
    text = frame(b"F", dumps(found).encode())
    while text:
        text = text[os.write(1, text) :]


def of_process(pid: int, container: str, runtime: str) -> bytes:
    """Make the filter of a container's first process; CliError where its profile or the library can't be had."""
    profile = profile_of(pid, container)
    try:
        return compile_profile(profile, stub="crun" not in runtime)
    except (KeyError, TypeError, ValueError) as problem:
        raise _cannot(f"its profile says what this plugin does not know: {problem}") from problem


def profile_of(pid: int, container: str) -> "dict[str, Any]":
    """Read linux.seccomp of the runtime's config.json."""
    profile = (config_of(pid, container).get("linux") or {}).get("seccomp")
    if not isinstance(profile, dict):
        raise _cannot("its runtime's config.json can't be found")
    return profile


def config_of(pid: int, container: str) -> "dict[str, Any]":
    """Read the config.json in the directory where the process's parent keeps its files."""
    with open(f"/proc/{pid}/status", "rb") as file:
        parent = parse_status(file.read())["PPid"][0]
    bundle = f"/proc/{parent}/cwd"
    try:
        if container and container not in os.readlink(bundle):
            bundle = _conmons(parent, container)
    except OSError as problem:
        raise _cannot(f"its runtime's files can't be read: {problem.strerror}") from problem
    config = read_json(f"{bundle}/config.json")
    if not config:
        raise _cannot("its runtime's config.json can't be found")
    return config


def _conmons(pid: int, container: str) -> str:
    """Name the directory that podman's monitor of this container was started with."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    bundle = words[words.index(b"-b") + 1] if b"-b" in words else b""
    if container.encode() not in bundle:
        raise _cannot("its runtime's config.json can't be found")
    return f"/proc/{pid}/root{os.fsdecode(bundle)}"


def _cannot(why: str) -> CliError:
    return CliError(
        f"cannot build the container's seccomp filter anew: {why}",
        "--security-opt seccomp=unconfined enters without the filter",
    )


def compile_profile(profile: "dict[str, Any]", *, stub: bool) -> bytes:
    """Turn an OCI profile into the instructions that the runtime installs; `stub`: with runc's answer ENOSYS first."""
    library = _library()
    default = action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    architectures = [_architecture(library, word) for word in profile.get("architectures") or []]
    filter_ = library.seccomp_init(default)
    try:
        for token in architectures:
            _check(library.seccomp_arch_add(filter_, token), EEXIST)
        rules = [(name, row) for row in profile.get("syscalls") or [] for name in row["names"]]
        for name, row in rules:
            _add(library, filter_, name, row, default)
        program = _export(library, filter_)
    finally:
        library.seccomp_release(filter_)
    if not stub or default in (ALLOW, LOG) or profile.get("defaultErrnoRet") == ENOSYS:
        return program
    native = library.seccomp_arch_native()
    names = {name for name, _ in rules}
    return enosys_stub(_largest(library, names, [native, *architectures])) + program


def _library() -> "Any":
    """Load libseccomp, with the types that ctypes would guess wrong."""
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError:
        raise _cannot(f"{LIBRARY} is not on this machine") from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_arch_native.restype = library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    library.seccomp_syscall_resolve_name_arch.argtypes = (ctypes.c_uint32, ctypes.c_char_p)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison),
    )  # fmt: skip
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return library


def _check(result: int, *expected: int) -> None:
    """Raise ValueError for what libseccomp refuses."""
    if result < 0 and -result not in expected:
        raise ValueError(os.strerror(-result))


def _architecture(library: "Any", word: str) -> int:
    """Translate SCMP_ARCH_X86_64 into libseccomp's token."""
    token = int(library.seccomp_arch_resolve_name(word.removeprefix("SCMP_ARCH_").lower().encode()))
    if not token:
        raise ValueError(word)
    return token


def action(word: str, value: "int | None") -> int:
    """Translate an action of the profile into the filter's return value."""
    if word == "SCMP_ACT_NOTIFY":
        raise _cannot("it notifies a supervisor, which can't be copied")
    number = ACTIONS[word]
    return number | (EPERM if value is None else value) & 0xFFFF if number in (ERRNO, TRACE) else number


def _add(library: "Any", filter_: int, name: str, row: "Rule", default: int) -> None:
    """Add one system call's rule as runc does: what this libseccomp does not know is passed over."""
    wanted = action(row["action"], row.get("errnoRet"))
    number = library.seccomp_syscall_resolve_name(name.encode())
    if wanted == default or number == -1:
        return
    conditions = [
        Comparison(each["index"], COMPARISONS[each["op"]], each["value"], each.get("valueTwo") or 0)
        for each in row.get("args") or []
    ]
    # Two conditions on one argument are alternatives, by runc's tradition; otherwise all must hold.
    indexes = [each.arg for each in conditions]
    groups = [[each] for each in conditions] if len(set(indexes)) < len(indexes) else [conditions]
    for group in groups:
        array = (Comparison * len(group))(*group)
        _check(library.seccomp_rule_add_array(filter_, wanted, number, len(group), array))


def _export(library: "Any", filter_: int) -> bytes:
    """Read the instructions."""
    fd = os.memfd_create("filter")
    try:
        _check(library.seccomp_export_bpf(filter_, fd))
        return os.pread(fd, 1 << 20, 0)
    finally:
        os.close(fd)


def _largest(library: "Any", names: set[str], architectures: list[int]) -> dict[int, int]:
    """Find the largest number of a named call for each architecture."""
    resolve: Callable[[int, bytes], int] = library.seccomp_syscall_resolve_name_arch
    found = {token: max((resolve(token, name.encode()) for name in names), default=0) for token in architectures}
    return {token: number for token, number in found.items() if number > 0}


def enosys_stub(largest: dict[int, int]) -> bytes:
    """Answer ENOSYS to calls newer than the profile, as runc does, so that libraries try the older ones."""
    program = b""
    for token, number in largest.items():
        if token == X32:
            continue
        section = [(LD, 0, 0, NUMBER_AT)]
        if token == X86_64:  # one section for both: the numbers of x32 have a bit of their own
            section += [(JSET, 1, 0, X32_BIT), (JGT, 1, 2, number), (JGT, 0, 1, largest.get(X32, 0xFFFFFFFF))]
        else:
            section += [(JGT, 0, 1, number)]
        section.append((RET, 0, 0, ERRNO | ENOSYS))
        for code, true, false, k in [(LD, 0, 0, ARCHITECTURE_AT), (JEQ, 0, len(section), token), *section]:
            program += code.to_bytes(2, "little") + bytes((true, false)) + k.to_bytes(4, "little")
    return program
