"""Enter on this machine, by a Plan that is ready."""

import os

from ..errors import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from ..enter.accept import Plan


def enter(plan: "Plan") -> "NoReturn":
    """Replace this process, which has typer and more in its memory, by stage 2 in a sealed copy of the interpreter."""
    if os.geteuid() != 0:
        raise Problem("entering a container's namespaces on this machine needs root", "sudo docker nsenter …")
    from . import ahead

    plan_fd = os.memfd_create("plan")
    send(plan, plan_fd)
    os.lseek(plan_fd, 0, os.SEEK_SET)
    ahead.execute(plan_fd, 0, ahead.docker_socket())


def send(plan: "Plan", fd: int) -> None:
    """Write the Plan for stage 2, which may have ended already."""
    from ..enter import wire

    data = wire.dumps(plan).encode("ascii")
    while data:
        data = data[os.write(fd, data) :]


def survey(plan: "Plan") -> "dict[str, Any] | None":
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
