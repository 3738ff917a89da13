"""Enter on this machine, by a Plan that is ready; and tell by facts whether that can be, or a helper has to."""

import posix
import sys

from ..errors import CliError, again, as_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..engine.containers import Container
    from ..engine.endpoints import Endpoint
    from ..enter.plan import Plan


def choose(wanted: str, container: "Container", endpoint: "Endpoint | None") -> tuple[str, str]:
    """Return `local` or `helper`, and why; `wanted` is --route's word, no endpoint means pid:N."""
    if sys.platform != "linux":
        if wanted == "local":
            raise CliError(
                "--route local enters on this machine, which needs Linux: here a helper enters",
                again(without=["--route"]),
            )
        return "helper", "the engine's containers run on another kernel than this machine's"
    if endpoint is None:
        if wanted == "helper":
            raise CliError("a helper needs an engine, and none answers", again(without=["--route"]))
        return "local", "there is no engine to run a helper"
    if wanted != "auto":
        return wanted, "as --route says"
    if not endpoint.host.startswith("unix://"):
        return "helper", f"the engine is at {endpoint.host}"
    if not is_our_proc():
        return "helper", "the /proc here shows another pid namespace than ours"
    if posix.geteuid() != 0:
        return _without_root(container)
    if not is_here(container):
        return "helper", f"process {container.pid} of this machine is not the container's"
    return "local", f"process {container.pid} of this machine is the container's"


def _without_root(container: "Container") -> tuple[str, str]:
    """Choose for who is not root: the containers of his own rootless engine need no helper."""
    from .rootless import namespace_of

    namespace = namespace_of(container.pid)
    if namespace < 0:
        return "helper", "only root can enter directly"
    posix.close(namespace)
    if not is_here(container):
        return "helper", f"process {container.pid} of this machine is not the container's"
    return "local", f"you own the user namespace of its process {container.pid}"


def is_our_proc() -> bool:
    """Tell whether /proc counts processes as we do: not so in a container that was given the host's files."""
    try:
        return posix.readlink("/proc/self") == str(posix.getpid())
    except OSError:
        return False


def is_here(container: "Container") -> bool:
    """Tell whether the process that the engine named is, on this kernel and by this number, the container's.

    Stage 2 asks the same when the process is pinned.
    """
    from ..enter.linux.procfs import read
    from ..enter.membership import belongs

    if not is_our_proc():
        return False
    try:
        proc = posix.open(f"/proc/{container.pid}", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return belongs(proc, read("status", at=proc), container.id, container.owner)
    except OSError as problem:
        if problem.errno in (2, 3, 13, 22):  # ENOENT, ESRCH: it has ended; EACCES; EINVAL: a zombie
            return False
        raise
    finally:
        posix.close(proc)


def hand_over(fd: int) -> None:
    """Have the stage 2 that waits for a Plan start this line once more, for stage 1 alone: a helper has to enter."""
    environ = {**posix.environ, b"DOCKER_NSENTER_HANDED_OVER": b"yes"}
    settings = [(name + b"=" + value).decode("utf-8", "surrogateescape") for name, value in environ.items()]
    send(document({"instead": [[sys.executable, *sys.orig_argv[1:]], settings]}), fd)


def enter(plan: "Plan", runtime: str) -> "NoReturn":
    """Replace this process, which has typer and more in its memory, by stage 2 in a sealed copy of the interpreter."""
    prepare([(plan, runtime)])
    execute(document(plan))


def prepare(plans: "list[tuple[Plan, str]]") -> None:
    """Be who can enter, and bring what only root could copy: plans with their containers' runtimes, of one engine."""
    rootless = posix.geteuid() != 0
    if not any(become_root(plan["target"]["pid"]) for plan, _ in plans):
        raise CliError("entering a container's namespaces on this machine needs root", as_root())
    if rootless:
        from .rootless import bring_filter

        for plan, runtime in plans:
            bring_filter(plan, runtime)


def execute(text: bytes) -> "NoReturn":
    """Execute stage 2 with what it reads: a Plan, or many."""
    from ..enter.start import Start
    from . import bootstrap
    from .plugin_socket import docker_socket

    if sys.platform == "linux":  # choose() has seen to it
        plan_fd = posix.memfd_create("plan")
        send(text, plan_fd)
        posix.lseek(plan_fd, 0, 0)
        bootstrap.execute(Start(plan_fd, docker=docker_socket()))
    raise AssertionError


def become_root(pid: int) -> bool:
    """Be root already, or become root of the rootless engine's user namespace, if the caller owns that."""
    if posix.geteuid() == 0:
        return True
    from . import rootless

    namespace = rootless.namespace_of(pid)
    if namespace < 0:
        return False
    rootless.join(namespace)
    return True


def document(plan: object) -> bytes:
    """Write a Plan as stage 2 reads it."""
    from ..enter.jsonwrite import dumps

    return dumps(plan).encode("ascii")


def send(data: bytes, fd: int) -> None:
    """Write for stage 2, which may have ended already."""
    while data:
        data = data[posix.write(fd, data) :]
