"""Keep the host's interpreter out of the container's reach: /proc/PID/exe must lead to nothing that can be written.

The command's process is for a moment this interpreter, seen by the container. Who may trace it can open its
/proc/PID/exe, keep that, and write it when nothing executes it any more: the next entry would be his (CVE-2019-5736).
"""

import posix
import sys
from fcntl import fcntl

from ..linux import lsm, syscalls
from ..linux.procfs import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARY = __file__.rpartition("/docker_nsenter/")[0]
STAGE_2 = "import sys; sys.path.insert(0, sys.argv.pop(1)); from docker_nsenter.enter.__main__ import main; main()"
START = ("-I", "-S", "-B", "-X", "utf8", "-c", STAGE_2, LIBRARY)  # the interpreter's words for another start
MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_EXEC = 1, 2, 0x10
F_ADD_SEALS, F_GET_SEALS, ALL_SEALS = 1033, 1034, 0xF  # SEAL, SHRINK, GROW, WRITE
PROT = {"r": 1, "w": 2, "x": 4}
MAP_PRIVATE, MAP_ANONYMOUS, MAP_POPULATE = 2, 0x20, 0x8000
MREMAP_MAYMOVE_FIXED = 3
ST_RDONLY = 1
NAME = bytearray(b"docker-nsenter\0")
# A dynamic loader, or an interpreter that lives in a shared library: what lies idle while this module moves it.
LARGEST = 1 << 20
# /proc/self/stat's fields (proc(5)) in the order of struct prctl_mm_map; 0 stands for the break, which is not there
STAT_FIELDS = (26, 27, 45, 46, 47, 0, 28, 48, 49, 50, 51)
ARG_START, ARG_END, ENV_END = 48, 49, 51
layout: list[int] = []  # those fields by their numbers, once they have been read: that takes 0.1 ms


def sealed(pid: "int | str") -> bool:
    """Tell whether what /proc/PID/exe leads to can't be written."""
    return unwritable(f"/proc/{pid}/exe")


def unwritable(path: str) -> bool:
    """Tell whether a link of /proc leads to sealed memory, or into a read-only mount."""
    file = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        if posix.fstatvfs(file).f_flag & ST_RDONLY:
            return True
        return fcntl(file, F_GET_SEALS) == ALL_SEALS
    except OSError as problem:
        if problem.errno == 22:  # EINVAL: an ordinary file
            return False
        raise
    finally:
        posix.close(file)


def in_place() -> None:
    """Leave the file that this process was executed from, and let /proc/self/exe lead to an empty sealed memfd.

    PR_SET_MM_MAP (Linux 3.18, CONFIG_CHECKPOINT_RESTORE) refuses while anything of the old file is still mapped, so
    that is moved to memory first. The file must be small and its data must rest meanwhile: the dynamic loader
    by which the launcher starts Python, or a Python whose code is a shared library. OSError for any other.
    """
    old = list(_mapped(posix.readlink(b"/proc/self/exe")))
    whole = sum(end - begin for begin, end, _ in old)
    if whole > LARGEST:
        raise OSError(16, posix.strerror(16), "mremap")  # EBUSY
    new = syscalls.mmap(0, whole, PROT["r"] | PROT["w"], MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1)
    for begin, end, protection in old:
        _move(begin, end - begin, protection, new)
        new += end - begin
    empty = _memory()
    fcntl(empty, F_ADD_SEALS, ALL_SEALS)
    readable = posix.open(f"/proc/self/fd/{empty}", posix.O_RDONLY | posix.O_CLOEXEC)
    posix.close(empty)  # a file that is open for writing can't be executed
    try:
        places = [_place(number) if number else syscalls.brk(0) for number in STAT_FIELDS]
        addresses = b"".join(place.to_bytes(8, "little") for place in places)
        auxv = bytes(12)  # none: left as it is
        syscalls.prctl_mm_map(bytearray(addresses + auxv + readable.to_bytes(4, "little")))
    finally:
        posix.close(readable)


def _mapped(path: bytes) -> "Iterator[tuple[int, int, int]]":
    """Yield (begin, end, protection) of what is mapped of a file."""
    for line in read("/proc/self/maps").splitlines():
        words = line.split(None, 5) if line.endswith(path) else []
        if words[5:] == [path]:
            begin, end = (int(word, 16) for word in words[0].split(b"-"))
            yield begin, end, sum(PROT.get(letter, 0) for letter in words[1].decode())


def _move(begin: int, size: int, protection: int, new: int) -> None:
    """Put a copy in the place of a mapping, in one system call: it may hold what is running.

    It goes to the anonymous memory at `new`, but code with SELinux, which denies to execute that (execmem), to a sealed
    memfd.
    """
    if protection & PROT["x"] and lsm.active() == "selinux":
        code = bytearray(size)
        syscalls.memory_copy(syscalls.address(code), begin, size)
        memory = _memory()
        posix.write(memory, code)
        fcntl(memory, F_ADD_SEALS, ALL_SEALS)
        new = syscalls.mmap(0, size, protection, MAP_PRIVATE | MAP_POPULATE, memory)
        posix.close(memory)
    else:
        syscalls.memory_copy(new, begin, size)
        syscalls.mprotect(new, size, protection)
    syscalls.mremap(new, size, size, MREMAP_MAYMOVE_FIXED, begin)


def copy() -> int:
    """Open a sealed copy of this interpreter for execve, where it can't be sealed in place.

    A memfd, behind which no file of the host stands; where vm.memfd_noexec forbids that, a detached read-only mount of
    the file itself (open_tree, Linux 5.2; mount_setattr, 5.12).
    """
    try:
        memory = _memory()
    except PermissionError:
        tree = syscalls.open_tree(
            syscalls.AT_FDCWD, sys.executable.encode(), syscalls.OPEN_TREE_CLONE | posix.O_CLOEXEC
        )
        syscalls.mount_setattr(tree, b"", syscalls.AT_EMPTY_PATH, syscalls.MOUNT_ATTR_RDONLY, 0)
        return tree
    source = posix.open(sys.executable, posix.O_RDONLY | posix.O_CLOEXEC)
    size = posix.fstat(source).st_size
    sent = 0
    while sent < size:
        sent += posix.sendfile(memory, source, sent, size - sent)
    posix.close(source)
    fcntl(memory, F_ADD_SEALS, ALL_SEALS)
    return memory


def _memory() -> int:
    """Make an empty memfd that may be executed and sealed; PermissionError where vm.memfd_noexec forbids it."""
    flags = MFD_CLOEXEC | MFD_ALLOW_SEALING
    try:
        memory = posix.memfd_create("docker-nsenter", flags | MFD_EXEC)
    except OSError as problem:
        if problem.errno != 22:  # EINVAL: kernels before 6.3 don't know MFD_EXEC, and allow execution
            raise
        memory = posix.memfd_create("docker-nsenter", flags)
    posix.fchmod(memory, 0o555)
    return memory


def words() -> tuple[int, int, int]:
    """Find this process's words, which /proc/PID/cmdline shows: where they begin, where they and where all ends."""
    return _place(ARG_START), _place(ARG_END), _place(ENV_END)


def _place(number: int) -> int:
    """Say where something stands in this process's memory, by the number of its field; it stays there."""
    if not layout:
        layout[:] = 0, 0, 0, 0, *map(int, read("/proc/self/stat").rpartition(b")")[2].split()[1:])
    return layout[number]


def entitle(place: tuple[int, int, int], text: str) -> None:
    """Have ps show this text in the place of our words: a nameless process of root's looks like an intruder's."""
    begin, end, _ = place
    data = bytearray(text.encode("utf-8", "replace")[: max(0, end - begin - 1)])
    syscalls.memory_wipe(begin, end - begin)
    if data:
        syscalls.memory_copy(begin, syscalls.address(data), len(data))


def name() -> None:
    """Have top and the audit log name this process for what it is, and not for the loader that started Python."""
    syscalls.prctl(syscalls.PR_SET_NAME, syscalls.address(NAME))


def forget() -> tuple[int, int, int]:
    """Wipe the caller's environment and words from this process's memory: the command's process begins as a copy.

    /proc/PID/environ and /proc/PID/cmdline show what the kernel put on the stack; Python keeps bytes of its own.
    Return where the words were.
    """
    place = words()
    syscalls.memory_wipe(place[0], place[2] - place[0])
    syscalls.wipe((*posix.environ, *posix.environ.values()))
    posix.environ.clear()
    return place
