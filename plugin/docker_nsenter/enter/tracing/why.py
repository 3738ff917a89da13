"""Say which layer refused a system call, and the smallest option that lifts it: for --why only."""

import posix
from _stat import S_IFBLK, S_IFCHR, S_IFMT, S_ISBLK, S_ISCHR, S_ISREG, S_ISUID

from ..errors import printable
from ..hints import shell_line
from ..linux import lsm, seccomp
from ..linux.argument_names import DECODED
from ..linux.capabilities import NUMBERS
from ..linux.procfs import read
from ..linux.syscall_table import NAMES, TABLE
from ..target import parse_status
from . import tracee
from .bounds import limited
from .refused import Refused
from .tracee import memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.seccomp import Filter
    from .bounds import Bounds

EPERM, ENOENT, ESRCH, EACCES, EINVAL, EROFS, ENOSYS, ENODATA, EOPNOTSUPP = 1, 2, 3, 13, 22, 30, 38, 61, 95
NEW = 0x7E020080  # every CLONE_NEW* flag
NEW_NS, NEW_USER = 0x00020000, 0x10000000
AF_PACKET, SOCK_RAW, SOCK_TYPES = 17, 3, 0xF
ALLOW = (0x7FFF, 0x7FFC)  # SECCOMP_RET_ALLOW, _LOG
UNCONFINED = ("--security-opt", "seccomp=unconfined")
LABELS = {"apparmor": "apparmor=unconfined", "selinux": "label=disable"}
# ioctl requests by what they need: a range of them, and the capability (linux/sockios.h, if_tun.h, fs.h)
IOCTLS = (
    (0x890B, 0x89FF, "NET_ADMIN"),
    (0x400454CA, 0x400454CA, "NET_ADMIN"),
    (0x40086602, 0x40086602, "LINUX_IMMUTABLE"),
    (0x5412, 0x5412, "SYS_ADMIN"),
)
NONE = (0, 0, "", "")  # a call that the table does not know
PROT_EXEC = 4
VOID = "what the file would give (set-user-ID, capabilities) is not given"
WHOLE_MAP = [b"0", b"0", b"4294967295"]
MAKES_DEVICES = ("mknod", "mknodat")
MOUNTS = ("mount", "umount2", "pivot_root", "ptrace")  # what docker's AppArmor profile refuses
# AppArmor has a say about new user namespaces: since Linux 6.7, and before in Ubuntu's
USERNS = (("mask", b"userns_create"), ("userns_create", b"yes"))
FEATURES = "/sys/kernel/security/apparmor/features/namespaces"


def noticed(number: int, arguments: list[int], errno: int, filters: "list[Filter]") -> bool:
    """Tell whether an error is a refusal: the errno says so, or a filter gave it.

    clone3 is refused by every filter of docker's, and C libraries then take clone; that is no news.
    """
    if errno in (EPERM, EACCES, EROFS) and number in NAMES:
        return True
    if limited(NAMES.get(number, ""), errno):
        return True
    return errno in (EPERM, EACCES, ENOSYS) and NAMES.get(number) != "clone3" and filtered(number, arguments, filters)


def filtered(number: int, arguments: list[int], filters: "list[Filter]") -> bool:
    """Tell whether one of the filters refuses a call with these very arguments."""
    words = b"".join(value.to_bytes(8, "little") for value in arguments)
    return any(seccomp.decide(each.program, number, words) >> 16 not in ALLOW for each in filters)


def explain(
    thread: int,
    number: int,
    arguments: list[int],
    errno: int,
    filters: "list[Filter]",
    bounds: "Bounds",
    *,
    netlink: bool = False,
) -> "Refused | None":
    """Find the layer that refused; None when the process is gone already."""
    name = NAMES.get(number, f"system call {number}")
    try:
        status = parse_status(read(f"/proc/{thread}/status"))
        maps = read(f"/proc/{thread}/uid_map").split()
    except OSError as problem:
        if problem.errno in (ENOENT, ESRCH):
            return None
        raise
    shown = f"{name}({', '.join(_arguments(thread, name, arguments))})"
    if limited(name, errno) and not filtered(number, arguments, filters):
        refused = bounds.explain(thread, name, arguments, errno, shown)
    elif errno == EROFS:
        refused = _read_only(thread, name, arguments, shown)
    else:
        need = "NET_ADMIN" if netlink else _need(thread, name, arguments, errno)
        layers = [] if netlink else _of_the_file(thread, name, arguments, errno)
        options: list[str] = []
        if not netlink and filtered(number, arguments, filters):
            layers.append("the container's seccomp filter")
            options += UNCONFINED
        if need and (not layers or options) and not status["CapEff"][0] >> NUMBERS[need] & 1:
            options += _given(thread, need, status, maps)
            layers.append(f"the capability {need} is missing{_to_whom(options)}")
        _rest(thread, name, arguments, errno, bounds, layers, options)
        refused = Refused(shown, errno, layers, options)
    if refused:
        refused.own_users = maps != WHOLE_MAP
    return refused


def _given(thread: int, need: str, status: dict[str, list[int]], maps: list[bytes]) -> list[str]:
    """Choose what gives a capability: to be the container's root, where that has it, else the capability alone."""
    root = next((int(outside) for inside, outside in zip(maps[::3], maps[1::3], strict=True) if inside == b"0"), -1)
    if root > 0 and posix.readlink(f"/proc/{thread}/ns/user") == posix.readlink("/proc/self/ns/user"):
        root = 0  # of one's own user namespace the map names the parent's numbers, and status one's own
    if status["Uid"][1] != root >= 0 and status["CapBnd"][0] >> NUMBERS[need] & 1:
        return ["--user", "0"]
    return ["--cap-add", need]


def _to_whom(options: list[str]) -> str:
    return ", which the container's root has" if options[-2:] == ["--user", "0"] else ""


def _rest(
    thread: int, name: str, arguments: list[int], errno: int, bounds: "Bounds", layers: list[str], options: list[str]
) -> None:
    """Add what refuses where nothing else does: the list of devices, the security module."""
    makes = name in MAKES_DEVICES
    if not layers and errno == EPERM and (bounds.makes_devices if makes else _is_device(thread, name, arguments)):
        layers.append("the container's cgroup, which lists the devices that may be used")
        options.append("--no-join-cgroup")
    _modules(thread, layers, options, known=_profiled(name, arguments))
    if not layers:
        layers.append("the kernel or the file system itself, and no restriction that an entry could lift")


def _profiled(name: str, arguments: list[int]) -> bool:
    """Tell whether docker's AppArmor profile refuses a call, too, or the mount that follows it in every unshare(1)."""
    if name not in ("unshare", "clone"):
        return name in MOUNTS
    return bool(arguments[0] & NEW_NS or (arguments[0] & NEW_USER and _mediates_users()))


def _mediates_users() -> bool:
    for name, said in USERNS:
        try:
            if said in read(f"{FEATURES}/{name}"):
                return True
        except OSError:  # an older kernel, or a helper that does not see it
            continue
    return False


def _modules(thread: int, layers: list[str], options: list[str], *, known: bool) -> None:
    """Add the security module where nothing else refused, or where docker's profile is known to refuse it, too."""
    module = lsm.active()
    if not module or (layers and not (module == "apparmor" and known)):
        return
    try:
        text = read(f"/proc/{thread}/attr/current").rstrip(b"\0\n").decode("ascii", "replace")
    except OSError as problem:
        if problem.errno in (EINVAL, ENOENT, ESRCH):
            return
        raise
    label, _, mode = text.partition(" (")
    if label and label != "unconfined" and (mode.startswith("enforce") if module == "apparmor" else _enforcing()):
        layers.append(f"{'AppArmor' if module == 'apparmor' else 'SELinux'} ({printable(label)})")
        options += ["--security-opt", LABELS[module]]


def _enforcing() -> bool:
    """Tell whether SELinux denies anything; from a helper, where its file is not to be seen, it is taken to."""
    try:
        return read(f"{lsm.SELINUX}/enforce") != b"0"
    except OSError:
        return True


# --- what a call needs ------------------------------------------------------------------------------------------------


def _need(thread: int, name: str, arguments: list[int], errno: int) -> str:
    """Name the capability that a call with these arguments asks for; '' for none."""
    need = TABLE.get(name, NONE)[3]
    if need in RULES:
        return RULES[need](thread, name, arguments, errno)
    if name in ("getsockopt", "setsockopt") and errno != EPERM:
        return ""
    if errno == EACCES and need in ("CHOWN", "FOWNER", "SYS_CHROOT"):
        return "DAC_OVERRIDE"  # the path, not the act, was refused
    return need


def _for_file(thread: int, name: str, arguments: list[int], errno: int) -> str:
    """Ask for what file permissions want; what /proc shows of another process is guarded as ptrace is (proc(5))."""
    parts = tracee.path(thread, name, arguments).split("/")
    if parts[1:2] == ["proc"] and len(parts) > 3 and parts[2].isdigit():
        return "SYS_PTRACE"
    return "DAC_OVERRIDE" if errno == EACCES else ""


def _for_clone(_: int, __: str, arguments: list[int], ___: int) -> str:
    """Ask for SYS_ADMIN, unless a user namespace that comes with it brings that."""
    flags = arguments[0]
    return "SYS_ADMIN" if flags & NEW and not flags & NEW_USER else ""


def _for_clone3(thread: int, name: str, arguments: list[int], errno: int) -> str:
    flags = int.from_bytes(memory(thread, arguments[0], 8), "little")
    return _for_clone(thread, name, [flags], errno)


def _for_socket(_: int, __: str, arguments: list[int], ___: int) -> str:
    return "NET_RAW" if arguments[0] == AF_PACKET or arguments[1] & SOCK_TYPES == SOCK_RAW else ""


def _for_bind(thread: int, name: str, arguments: list[int], errno: int) -> str:
    """Ask for NET_BIND_SERVICE where the port is one of the first 1024."""
    port = int.from_bytes(memory(thread, arguments[1] + 2, 2), "big")
    return "NET_BIND_SERVICE" if errno == EACCES and 0 < port < 1024 else ""


def _for_ioctl(_: int, __: str, arguments: list[int], ___: int) -> str:
    request = arguments[1] & 0xFFFFFFFF
    return next((need for first, last, need in IOCTLS if first <= request <= last), "")


def _for_mknod(thread: int, name: str, arguments: list[int], errno: int) -> str:
    """Ask for MKNOD where a device is made; mknod's mode is its second argument, mknodat's the third."""
    kinds = {S_IFMT(value & 0xFFFF) for value in arguments[1:3]}
    device = bool(kinds & {S_IFCHR, S_IFBLK})
    return "MKNOD" if device and errno == EPERM else _for_file(thread, name, arguments, errno)


RULES = {
    "file": _for_file,
    "clone": _for_clone,
    "clone3": _for_clone3,
    "socket": _for_socket,
    "bind": _for_bind,
    "ioctl": _for_ioctl,
    "mknod": _for_mknod,
}


# --- files and mounts -------------------------------------------------------------------------------------------------


def _read_only(thread: int, name: str, arguments: list[int], shown: str) -> Refused:
    """Name the read-only mount; what lifts it for this command alone is a mount namespace of its own."""
    path = tracee.path(thread, name, arguments)
    mount = tracee.mount_at(thread, path) if path else tracee.mount_of(thread, arguments[0])
    point = mount.point if mount else "/"
    past = "past --read-only, into the container's own layer" if point == "/" else "past that"
    refused = Refused(
        shown,
        EROFS,
        [f"{printable(point)} is mounted read-only, and no option of an entry changes a mount; the hint writes {past}"],
        [*UNCONFINED, "--cap-add", "SYS_ADMIN"],
    )
    remount = f'mount -o remount,bind,rw {shell_line([point])} && exec "$@"'
    refused.wrapped = ["unshare", "-m", "sh", "-c", remount, "sh"]
    _modules(thread, refused.layers, refused.options, known=True)
    return refused


def _of_the_file(thread: int, name: str, arguments: list[int], errno: int) -> list[str]:
    """Say what refuses root, too: a mount's noexec (execve EACCES, mmap EPERM) or nodev (EACCES), a missing x bit."""
    mount, flag, path = None, "", tracee.path(thread, name, arguments)
    if name in ("execve", "execveat") and errno == EACCES:
        mount, flag = tracee.mount_at(thread, path), "noexec"
    elif name == "mmap" and errno == EPERM and arguments[2] & PROT_EXEC:
        mount, flag = tracee.mount_of(thread, arguments[4]), "noexec"
    elif errno == EACCES and _is_device(thread, name, arguments):
        mount, flag = tracee.mount_at(thread, path), "nodev"
    if mount and flag in mount.options:
        what = "executed" if flag == "noexec" else "used as a device"
        return [f"{printable(mount.point)} is mounted {flag}: nothing there can be {what}, but a copy elsewhere can"]
    mode = tracee.mode(thread, path) if flag == "noexec" else 0
    return ["nobody may execute it (chmod +x)"] if S_ISREG(mode) and not mode & 0o111 else []


def _is_device(thread: int, name: str, arguments: list[int]) -> bool:
    """Tell whether a call opens a device."""
    found = tracee.mode(thread, tracee.path(thread, name, arguments)) if TABLE.get(name, NONE)[3] == "file" else 0
    return S_ISCHR(found) or S_ISBLK(found)


def set_user_id(thread: int) -> "Refused | None":
    """Tell of a program just executed whose set-user-ID bit or file capabilities were void under no_new_privs."""
    exe = f"/proc/{thread}/exe"
    try:
        status = parse_status(read(f"/proc/{thread}/status"))
        info = posix.stat(exe)
        gains = info.st_mode & S_ISUID and info.st_uid != status["Uid"][1]
        if not (gains or _has_capabilities(exe)):
            return None
        name = posix.readlink(exe)
        mount = tracee.mount_at(thread, name)
    except OSError as problem:
        if problem.errno in (ENOENT, ESRCH):
            return None
        raise
    call = f'execve("{printable(name)}") gained nothing'
    if mount and "nosuid" in mount.options:
        return Refused(call, EPERM, [f"{printable(mount.point)} is mounted nosuid: {VOID}"], [])
    if status["NoNewPrivs"] != [1]:
        return None
    return Refused(call, EPERM, [f"no_new_privs: {VOID}"], ["--security-opt", "no-new-privileges=false"])


def _has_capabilities(path: str) -> bool:
    try:
        return bool(posix.getxattr(path, "security.capability"))
    except OSError as problem:
        if problem.errno in (ENODATA, EOPNOTSUPP):
            return False
        raise


# --- what is shown ----------------------------------------------------------------------------------------------------


def _arguments(thread: int, name: str, arguments: list[int]) -> "list[str]":
    """Show a call's first arguments."""
    shown = []
    for kind, value in zip(TABLE.get(name, NONE)[2], arguments, strict=False):
        if kind == "s":
            shown.append(f'"{printable(tracee.string(thread, value))}"')
        elif kind in DECODED:
            shown.append(DECODED[kind](value & 0xFFFFFFFF))
        elif kind in "dx":
            low = value & 0xFFFFFFFF
            shown.append(hex(value) if kind == "x" else str(low - (1 << 32) if low >> 31 else low))
    return shown


def netlink_error(thread: int, name: str, arguments: list[int]) -> int:
    """Read the errno of the kernel's answer on a netlink socket, which is no error of a system call (netlink(7))."""
    address = arguments[1]
    if name == "recvmsg":  # struct msghdr holds the list of buffers as its third word
        address = int.from_bytes(memory(thread, int.from_bytes(memory(thread, address + 16, 8), "little"), 8), "little")
    head = memory(thread, address, 20)
    errno = -int.from_bytes(head[16:20], "little", signed=True)
    if len(head) < 20 or head[4:6] != b"\x02\0" or errno not in (EPERM, EACCES):  # NLMSG_ERROR
        return 0
    try:
        link = posix.readlink(f"/proc/{thread}/fd/{arguments[0]}")
        inodes = [line.split()[-1] for line in read(f"/proc/{thread}/net/netlink").decode().splitlines()]
    except OSError:
        return 0
    return errno if link.removeprefix("socket:[").rstrip("]") in inodes else 0
