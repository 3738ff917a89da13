"""Become stage 2 at once, in this very interpreter, while a child of it asks the engine and plans."""

import posix
import sys
from _signal import SIG_BLOCK, SIGINT, pthread_sigmask

from ..enter import __main__ as stage2
from ..enter.hardening import exeseal
from ..enter.start import Start
from .plugin_socket import docker_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def become(plan_fd: int, planner: int, parent: int) -> "NoReturn":
    """Be stage 2, which reads the Plan; `planner` is the child that sends it, `parent` the process that started us.

    Sealing in place saves a second start of Python. Where it can't be, a sealed copy of the interpreter is executed.
    """
    docker = docker_socket()
    start = Start(plan_fd, planner=planner, docker=docker, parent=parent if docker else 0, sealed=True)
    try:
        exeseal.in_place()
    except OSError:
        execute(start)
    stage2.serve(start)


def execute(start: Start) -> "NoReturn":
    """Execute stage 2 in a sealed copy of the interpreter."""
    posix.set_inheritable(start.plan_fd, True)
    pthread_sigmask(SIG_BLOCK, [SIGINT])  # it waits until stage 2 can say 130
    arguments = [sys.executable, *exeseal.START, *start.words()]
    try:
        posix.execve(exeseal.copy(), arguments, {"LC_CTYPE": "C.UTF-8"})
    except OSError as problem:
        stage2.end(f"cannot start the sealed interpreter: {problem.strerror}")
