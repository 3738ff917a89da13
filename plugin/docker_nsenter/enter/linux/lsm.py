"""Take on the container's AppArmor profile or SELinux label at the moment of execve.

The label is written to attr/exec of the process that will fork the command, before it joins anything: the kernel copies
it to the child and applies it when that calls execve (proc_pid_attr(5)).
"""

import posix

from ..errors import EXEC, EntryError, printable
from ..target import Target
from .mounts import detached
from .procfs import read, read_if_there, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..hints import Change

APPARMOR, SELINUX = "/sys/module/apparmor/parameters/enabled", "/sys/fs/selinux"
EINVAL, ENOENT = 22, 2
found: list[str] = []  # the module that is on, once it was asked for


def active() -> str:
    """Name the security module that labels processes here: apparmor, selinux or ''."""
    if not found:
        # Known only where SELinux is on, and seen from a helper, too, whose /sys shows no selinuxfs
        selinux = "selinux" if b"\tselinuxfs\n" in read("/proc/filesystems") else ""
        found.append("apparmor" if read_if_there(APPARMOR).startswith(b"Y") else selinux)
    return found[0]


def label_of(proc: "Target | None") -> str:
    """Read a process's label; '' where there is none. None means ourselves."""
    return _label(lambda: proc.read("attr/current") if proc else read("/proc/self/attr/current"))


def pending(pid: int) -> str:
    """Read the label that execve will apply to a process; '' for none."""
    return _label(lambda: read(f"/proc/{pid}/attr/exec"))


def _label(text: "Callable[[], bytes]") -> str:
    """Read a label, without AppArmor's ` (enforce)`."""
    try:
        return text().rstrip(b"\0\n").decode("ascii", "replace").partition(" (")[0]
    except OSError as problem:
        if problem.errno in (EINVAL, ENOENT):  # no module labels processes
            return ""
        raise


def choose(target: Target, apparmor: "str | None", selinux: "str | None", *, needed: bool) -> str:
    """Decide the label that execve has to apply; '' where nothing has to change.

    A profile that is `needed` was asked for by name: without AppArmor its restrictions would be missing unsaid.
    """
    module = active()
    if needed and module != "apparmor":
        change: Change = {"without": ["--security-opt"]}
        raise EntryError(f"the profile {printable(apparmor or '')} cannot be applied: AppArmor is not on here", change)
    wanted = {"apparmor": apparmor, "selinux": selinux}.get(module)
    if not module or wanted == "":
        return ""
    label = label_of(target) if wanted is None else wanted
    return "" if label == label_of(None) else label


def label_of_files(target: Target) -> str:
    """Read SELinux's label of the container's files from its root directory; '' with another module."""
    if active() != "selinux":
        return ""
    text = posix.getxattr(f"/proc/self/fd/{target.root()}", "security.selinux")
    label = text.rstrip(b"\0").decode("ascii", "replace")
    if '"' in label or not label.isprintable():  # it becomes a mount option
        raise EntryError("the label of the container's files cannot be read")
    return label


def permitted(label: str) -> None:
    """Refuse in one sentence where SELinux's policy would keep the command from starting.

    Only the domains of engines and of administrators (unconfined_t) may start container_t everywhere.
    """
    if active() != "selinux":
        return
    policy, own = selinuxfs(), label_of(None)
    if read(f"{policy}/enforce") != b"0" and not allows(policy, own, label):
        raise EntryError(f"SELinux does not let {own} start a process as {label}", EXEC)


def selinuxfs() -> str:
    """Find SELinux's file system, or mount one that nobody else sees: no engine has to be let bind it for a helper."""
    return SELINUX if posix.access(f"{SELINUX}/enforce", posix.F_OK) else f"/proc/self/fd/{detached(b'selinuxfs')}"


def allows(policy: str, source: str, target: str, kind: str = "process", act: str = "transition") -> bool:
    """Ask, unless for something else for a change of domain at execve, as libselinux's security_compute_av(3) does."""
    index = read(f"{policy}/class/{kind}/index")
    bit = int(read(f"{policy}/class/{kind}/perms/{act}"))
    fd = posix.open(f"{policy}/access", posix.O_RDWR | posix.O_CLOEXEC)
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
