"""Enter without root what runs in a user namespace of the caller's own: the containers of a rootless engine.

Who owns a user namespace holds every capability in it (user_namespaces(7)). So stage 2 is started inside the engine's,
is root there, and takes the same steps; over everything outside the caller stays who he is. One thing the kernel gives
to the host's root only, the container's seccomp filter: profile.py makes that anew.
"""

import os

from ..enter.linux import syscalls
from ..enter.target import parse_status
from ..errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..enter.plan import Plan

NS_GET_PARENT, NS_GET_OWNER_UID = 0xB702, 0xB704  # linux/nsfs.h


def namespace_of(pid: int) -> int:
    """Open the user namespace through which the caller has power over a process; -1 where there is none.

    It is the outermost one around the process, a child of ours, if the caller owns it.
    """
    import fcntl

    ours = os.stat("/proc/self/ns/user")
    try:
        fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    except OSError:  # no such process, or somebody else's
        return -1
    if os.path.samestat(os.fstat(fd), ours):
        os.close(fd)
        return -1
    try:
        while not os.path.samestat(os.fstat(parent := fcntl.ioctl(fd, NS_GET_PARENT)), ours):
            os.close(fd)
            fd = parent
        owner = fcntl.ioctl(fd, NS_GET_OWNER_UID, bytes(4))
    except PermissionError:  # it is not below ours
        os.close(fd)
        return -1
    os.close(parent)
    if int.from_bytes(owner, "little") == os.geteuid():
        return fd
    os.close(fd)
    return -1


def bring_filter(plan: "Plan", runtime: str) -> None:
    """Give the Plan a filter of our own making where the container has one."""
    pid, container = plan["target"]["pid"], plan["target"]["container"]
    with open(f"/proc/{pid}/status", "rb") as file:
        filtered = parse_status(file.read())["Seccomp"] == [2]
    if filtered and plan["seccomp"] == "container":
        from . import seccomp_profile

        plan["filters"] = [seccomp_profile.of_process(pid, container, runtime).hex()]
        plan["seccomp"] = "given"


def join(namespace: int) -> None:
    """Become root of the namespace, for this process and what it executes."""
    try:
        syscalls.setns(namespace, syscalls.CLONE_NEWUSER)
        syscalls.setresgid(0, 0, 0)
        syscalls.setresuid(0, 0, 0)
    except OSError as problem:
        raise CliError(
            f"cannot become root of your engine's user namespace: {problem.filename}: {problem.strerror}"
        ) from problem
    finally:
        os.close(namespace)
