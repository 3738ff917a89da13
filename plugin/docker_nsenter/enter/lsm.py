"""Take on the container's AppArmor profile or SELinux label at the moment of execve.

The label is written to attr/exec of the process that will fork the command, before it joins anything: the kernel copies
it to the child and applies it when that calls execve (proc_pid_attr(5)).
"""

import posix

from .files import read, write
from .refusal import Refusal
from .target import Target

SELINUX = "/sys/fs/selinux"
EINVAL, ENOENT, EPERM = 22, 2, 1


def active() -> str:
    """Name the security module that labels processes here: apparmor, selinux or ''."""
    for name, path, word in (
        ("apparmor", "/sys/module/apparmor/parameters/enabled", b"Y"),
        ("selinux", "/sys/fs/selinux/enforce", b""),
    ):
        try:
            if read(path).startswith(word):
                return name
        except FileNotFoundError:
            continue
    return ""


def label_of(proc: "Target | None") -> str:
    """Read a process's label, without AppArmor's ` (enforce)`; '' where there is none. None means ourselves."""
    try:
        text = proc.read("attr/current") if proc else read("/proc/self/attr/current")
    except OSError as problem:
        if problem.errno in (EINVAL, ENOENT):  # no module labels processes
            return ""
        raise
    return text.rstrip(b"\0\n").decode("ascii", "replace").partition(" (")[0]


def choose(target: Target, apparmor: "str | None", selinux: "str | None") -> str:
    """Decide the label that execve has to apply; '' where nothing has to change."""
    module = active()
    wanted = {"apparmor": apparmor, "selinux": selinux}.get(module)
    if not module or wanted == "":
        return ""
    label = label_of(target) if wanted is None else wanted
    return "" if label == label_of(None) else label


def permitted(label: str, *, tty: bool) -> None:
    """Refuse where SELinux's policy would keep the command from starting, or from its input and output.

    Only the domain of the engine may start container_t everywhere, and pipes bear the domain of who made them: the
    kernel would close them at execve, and what the command says would be lost. A pty is of the container's devpts.
    """
    if not label or active() != "selinux" or read(f"{SELINUX}/enforce") == b"0":
        return
    own = label_of(None)
    pipes = () if tty else ((label, own, "fifo_file", "read"), (label, own, "fifo_file", "write"))
    for source, target, kind, permission in ((own, label, "process", "transition"), *pipes):
        if not _allows(source, target, kind, permission):
            raise Refusal(
                f"SELinux does not let {source} {permission} {kind} {target}, which this entry needs",
                "docker exec enters by the engine's own domain; --security-opt label=disable keeps yours",
            )


def _allows(source: str, target: str, kind: str, permission: str) -> bool:
    """Ask the policy as libselinux's security_compute_av(3) does; a class that it does not know is denied nothing."""
    try:
        index = read(f"{SELINUX}/class/{kind}/index")
        bit = int(read(f"{SELINUX}/class/{kind}/perms/{permission}"))
    except FileNotFoundError:
        return True
    fd = posix.open(f"{SELINUX}/access", posix.O_RDWR | posix.O_CLOEXEC)
    try:
        posix.write(fd, b"%s %s %s" % (source.encode(), target.encode(), index))
        allowed = int(posix.read(fd, 4096).split()[0], 16)
    finally:
        posix.close(fd)
    return bool(allowed >> (bit - 1) & 1)


def set_exec(label: str) -> None:
    """Have the label applied at the next execve of this process or of a child of it."""
    if not label:
        return
    if active() == "apparmor":
        write("/proc/self/attr/exec", b"exec " + label.encode())
    else:
        write("/proc/self/attr/exec", label.encode())


def pending(pid: int) -> str:
    """Read what execve will apply to a process; '' for nothing."""
    try:
        return read(f"/proc/{pid}/attr/exec").rstrip(b"\0\n").decode("ascii", "replace").partition(" (")[0]
    except OSError as problem:
        if problem.errno in (EINVAL, ENOENT):
            return ""
        raise
