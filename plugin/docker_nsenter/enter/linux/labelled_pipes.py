"""Make pipes that the command may use under its SELinux label: those of ours would be closed at its execve.

A pipe bears the label of the process that makes it, for good (fs_use_task): no attr/fscreate changes that, and policies
do not let an administrator relabel it. docker exec's are the engine's, which container_t may use; those of unconfined_t
it may not. So a child of ours takes on the container's label by executing a program of 172 bytes that makes three pipes
and stops. We open them through its /proc and end it. It shares nothing with the container, which can't see it.
"""

import posix
from _signal import SIGKILL

from ..errors import EntryError
from . import lsm, syscalls

DESK = b"/dev"  # covered in the child's own mount namespace only
COUNT = 3
# pipe2(sp, 0) three times; kill(getpid(), SIGSTOP); exit_group(0)
CODE = {
    "x86_64": "bb03000000504889e731f6b8250100000f05ffcb75efb8270000000f0589c7be13000000b83e0000000f05"
    "31ffb8e70000000f05",
    "aarch64": "73008052ff4300d1e0030091010080d2680780d2010000d47306007141ffff54881580d2010000d4610280d2"
    "281080d2010000d4000080d2c80b80d2010000d4",
}
BASE, HEADERS = 0x400000, 64 + 56


def make(label: str, files: str, uid: int) -> list[tuple[int, int]]:
    """Return three pipes, (reader, writer), that a process with this label has made.

    `files` labels what such a one may execute. `uid` owns the pipes: policies do not let us change an owner, either.
    """
    pid = posix.fork()
    if not pid:
        try:
            _become(label, files, uid)
        finally:
            posix._exit(1)
    _, status = posix.waitpid(pid, posix.WUNTRACED)
    if not posix.WIFSTOPPED(status):
        raise EntryError(
            f"SELinux does not let {label} create pipes, which the command needs",
            {"without": ["-T", "--no-tty"], "add": ["-t"]},
        )
    try:
        return [(_open(pid, 2 * number), _open(pid, 2 * number + 1)) for number in range(COUNT)]
    finally:
        posix.kill(pid, SIGKILL)
        posix.waitpid(pid, 0)


def _open(pid: int, number: int) -> int:
    """Open one end: the even numbers are readers."""
    return posix.open(f"/proc/{pid}/fd/{number}", posix.O_CLOEXEC | (posix.O_WRONLY if number % 2 else posix.O_RDONLY))


def _become(label: str, files: str, uid: int) -> None:
    """Execute the program from a file of the container's label, as the command's user; come back only with an error."""
    posix.setpgid(0, 0)  # should we be killed now, the kernel continues a stopped group that is left alone
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(b"none", b"/", b"", syscalls.MS_REC | syscalls.MS_PRIVATE)
    options = b"mode=755" + (b',context="%s"' % files.encode() if files else b"")
    syscalls.mount(
        b"pipes", DESK, b"tmpfs", syscalls.MS_NODEV, options
    )  # not NOSUID, which may forbid a change of label
    program = DESK + b"/pipes"
    fd = posix.open(program, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o755)
    posix.write(fd, _program())
    posix.close(fd)
    lsm.set_exec(label)  # while we are root: /proc/self is no more ours then
    syscalls.setresuid(uid, uid, uid)
    syscalls.close_range(0, 0xFFFFFFFF, syscalls.CLOSE_RANGE_CLOEXEC)  # its pipes are 0 to 5 then
    posix.execve(program, [program], {})


def _program() -> bytes:
    """Write an ELF file (elf(5)) of one segment that can be read and executed."""
    code = bytes.fromhex(CODE[syscalls.MACHINE])
    machine = 183 if syscalls.MACHINE == "aarch64" else 62
    size = HEADERS + len(code)
    header = ((2, 2), (machine, 2), (1, 4), (BASE + HEADERS, 8), (64, 8), (0, 8), (0, 4), (64, 2), (56, 2), (1, 8))
    segment = ((1, 4), (5, 4), (0, 8), (BASE, 8), (BASE, 8), (size, 8), (size, 8), (0x10000, 8))
    fields = b"".join(value.to_bytes(length, "little") for value, length in header + segment)
    return b"\x7fELF\2\1\1" + bytes(9) + fields + code
