"""Enter on this machine: seal the interpreter and become stage 2."""

import fcntl
import os
import sys

from ..errors import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..enter.accept import Plan

MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_EXEC = 1, 2, 0x10
F_ADD_SEALS, ALL_SEALS = 1033, 0xF  # SEAL, SHRINK, GROW, WRITE
PARENT = "parent"
LIBRARY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STAGE_2 = "import sys; sys.path.insert(0, sys.argv.pop(1)); from docker_nsenter.enter.__main__ import main; main()"


def enter(plan: "Plan") -> "NoReturn":
    """Replace this process by stage 2 in a sealed interpreter; Problem where that can't be."""
    if os.geteuid() != 0:
        raise Problem("entering a container's namespaces on this machine needs root", "sudo docker nsenter …")
    plan_fd = os.memfd_create("plan", 0)
    send(plan, plan_fd)
    os.lseek(plan_fd, 0, os.SEEK_SET)
    become(plan_fd, 0)


def fork_ahead() -> int:
    """Start stage 2 in this process and go on as its child; return where the child has to send the Plan."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        return writer
    os.close(writer)
    os.set_inheritable(reader, True)
    return become(reader, child)


def send(plan: "Plan", fd: int) -> None:
    """Write the Plan for stage 2, which may have ended already."""
    from ..enter import wire

    data = wire.dumps(plan).encode("ascii")
    while data:
        data = data[os.write(fd, data) :]


def become(plan_fd: int, planner: int) -> "NoReturn":
    """Execute stage 2, which reads the Plan; `planner` is the child that sends it, or 0."""
    socket = os.environ.get("DOCKER_CLI_PLUGIN_SOCKET", "")
    if not socket and os.environ.get("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"):
        socket = PARENT  # a docker before 25.0 has no socket: watch the process itself
    arguments = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", STAGE_2, LIBRARY]
    try:
        os.execve(sealed_interpreter(), [*arguments, str(plan_fd), str(planner), socket], {"LC_CTYPE": "C.UTF-8"})
    except OSError as problem:
        raise Problem(f"cannot start the sealed interpreter: {problem.strerror}") from problem


def sealed_interpreter() -> int:
    """Open a copy of this interpreter that nobody can write: /proc/PID/exe leads to it (CVE-2019-5736).

    A sealed memfd, behind which no file of the host stands; where vm.memfd_noexec forbids that, a detached read-only
    mount of the file itself (open_tree, Linux 5.2; mount_setattr, 5.12).
    """
    try:
        return _sealed_copy()
    except PermissionError:
        from ..enter import kernel

        tree = kernel.open_tree(kernel.AT_FDCWD, os.fsencode(sys.executable), kernel.OPEN_TREE_CLONE | os.O_CLOEXEC)
        kernel.mount_setattr(tree, b"", kernel.AT_EMPTY_PATH, kernel.MOUNT_ATTR_RDONLY)
        return tree


def _sealed_copy() -> int:
    flags = MFD_CLOEXEC | MFD_ALLOW_SEALING
    try:
        memory = os.memfd_create("docker-nsenter", flags | MFD_EXEC)
    except OSError as problem:
        if problem.errno != 22:  # EINVAL: kernels before 6.3 don't know MFD_EXEC, and allow execution
            raise
        memory = os.memfd_create("docker-nsenter", flags)
    source = os.open("/proc/self/exe", os.O_RDONLY | os.O_CLOEXEC)
    size = os.fstat(source).st_size
    sent = 0
    while sent < size:
        sent += os.sendfile(memory, source, sent, size - sent)
    os.close(source)
    os.fchmod(memory, 0o555)
    fcntl.fcntl(memory, F_ADD_SEALS, ALL_SEALS)
    return memory


def survey(plan: "Plan") -> "dict[str, str] | None":
    """Read what an entry would find; None without root, which it needs."""
    if os.geteuid() != 0:
        return None
    from ..enter.survey import Refusal
    from ..enter.survey import survey as look

    try:
        return look(plan)
    except Refusal as refusal:
        raise Problem(refusal.sentence, refusal.hint, refusal.status) from refusal
    except OSError as problem:
        raise Problem(f"cannot read the process: {problem.filename or ''}: {problem.strerror}") from problem
