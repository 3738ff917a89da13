"""Say which layer refused a system call, and the smallest option that lifts it: for --why only."""

import posix
from _stat import S_IFBLK, S_IFCHR, S_IFMT, S_ISBLK, S_ISCHR, S_ISUID

from ..errors import printable
from ..linux import lsm, seccomp
from ..linux.capabilities import NUMBERS
from ..linux.procfs import read
from ..linux.syscall_table import NAMES, TABLE
from ..target import parse_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.seccomp import Filter

EPERM, ENOENT, ESRCH, EACCES, EINVAL, EROFS, ENOSYS, ENODATA, EOPNOTSUPP = 1, 2, 3, 13, 22, 30, 38, 61, 95
NEW = 0x7E020080  # every CLONE_NEW* flag
NEW_USER = 0x10000000
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
MOUNTS = ("mount", "umount2", "pivot_root", "ptrace")  # what docker's AppArmor profile refuses


class Refused:
    """Hold one refused call: as text, its errno, why, and the options that lift it."""

    def __init__(self, call: str, errno: int, layers: list[str], options: list[str]) -> None:
        """Take the reasons from the first layer that refuses to the last that would."""
        self.call = call
        self.errno = errno
        self.layers = layers
        self.options = options
        self.wrapped: list[str] = []  # words before the command that lift it where no option can

    def text(self) -> str:
        """Say what was refused, and why."""
        reason = posix.strerror(self.errno) if self.errno else "the process was ended"
        lifted = f"; lifted by {_shell(self.options)}" if self.options and not self.wrapped else ""
        return f"{self.call}: {reason}: {', and behind that '.join(self.layers)}{lifted}"

    def line(self, again: list[str]) -> str:
        """Write the line that was typed with the options added; `again` is split at the container by an empty word."""
        at = again.index("")
        return _shell([*again[:at], *self.options, again[at + 1], *self.wrapped, *again[at + 2 :]])


def _shell(words: list[str]) -> str:
    """Quote words for a shell."""
    safe = "-_./:=,@%+"
    return " ".join(
        word
        if word and all(c.isalnum() or c in safe for c in word)
        else "'" + printable(word).replace("'", "'\\''") + "'"
        for word in words
    )


def noticed(number: int, arguments: list[int], errno: int, filters: "list[Filter]") -> bool:
    """Tell whether an error is a refusal: the errno says so, or a filter gave it.

    clone3 is refused by every filter of docker's, and C libraries then take clone; that is no news.
    """
    if errno in (EPERM, EACCES, EROFS) and number in NAMES:
        return True
    return errno in (EPERM, EACCES, ENOSYS) and NAMES.get(number) != "clone3" and filtered(number, arguments, filters)


def filtered(number: int, arguments: list[int], filters: "list[Filter]") -> bool:
    """Tell whether one of the filters refuses a call with these very arguments."""
    words = b"".join(value.to_bytes(8, "little") for value in arguments)
    return any(seccomp.decide(each.program, number, words) >> 16 not in ALLOW for each in filters)


def explain(
    thread: int, number: int, arguments: list[int], errno: int, filters: "list[Filter]", *, netlink: bool = False
) -> "Refused | None":
    """Find the layer that refused; None when the process is gone already."""
    name = NAMES.get(number, f"system call {number}")
    try:
        status = parse_status(read(f"/proc/{thread}/status"))
    except OSError as problem:
        if problem.errno in (ENOENT, ESRCH):
            return None
        raise
    shown = f"{name}({', '.join(_arguments(thread, name, arguments))})"
    layers: list[str] = []
    options: list[str] = []
    if not netlink and filtered(number, arguments, filters):
        layers.append("the container's seccomp filter")
        options += UNCONFINED
    need = "NET_ADMIN" if netlink else _need(thread, name, arguments, errno)
    if need and not status["CapEff"][0] >> NUMBERS[need] & 1 and errno != EROFS:
        layers.append(f"the capability {need} is missing")
        options += ["--cap-add", need]
    if errno == EROFS:
        return _read_only(thread, name, arguments, shown)
    _modules(thread, name, layers, options)
    if not layers and errno == EPERM and _is_device(thread, name, arguments):
        layers.append("the container's cgroup, which lists the devices that may be used")
        options.append("--no-join-cgroup")
    if not layers:
        layers.append("the kernel or the file system itself, and no restriction that an entry could lift")
    return Refused(shown, errno, layers, options)


def _modules(thread: int, name: str, layers: list[str], options: list[str]) -> None:
    """Add the security module where nothing else refused, or where docker's profile is known to refuse it, too."""
    module = lsm.active()
    if not module or (layers and not (module == "apparmor" and name in MOUNTS)):
        return
    try:
        label = read(f"/proc/{thread}/attr/current").rstrip(b"\0\n").decode("ascii", "replace").partition(" (")[0]
    except OSError as problem:
        if problem.errno in (EINVAL, ENOENT, ESRCH):
            return
        raise
    if label and label != "unconfined":
        layers.append(f"{'AppArmor' if module == 'apparmor' else 'SELinux'} ({printable(label)})")
        options += ["--security-opt", LABELS[module]]


# --- what a call needs ------------------------------------------------------------------------------------------------


def _need(thread: int, name: str, arguments: list[int], errno: int) -> str:
    """Name the capability that a call with these arguments asks for; '' for none."""
    need = TABLE.get(name, (0, 0, "", ""))[3]
    if need in RULES:
        return RULES[need](thread, name, arguments, errno)
    if name in ("getsockopt", "setsockopt") and errno != EPERM:
        return ""
    if errno == EACCES and need in ("CHOWN", "FOWNER", "SYS_CHROOT"):
        return "DAC_OVERRIDE"  # the path, not the act, was refused
    return need


def _for_file(thread: int, name: str, arguments: list[int], errno: int) -> str:
    """Ask for what file permissions want; what /proc shows of another process is guarded as ptrace is (proc(5))."""
    parts = _path(thread, name, arguments).split("/")
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


# --- files ------------------------------------------------------------------------------------------------------------


def _path(thread: int, name: str, arguments: list[int]) -> str:
    """Find the path that a call names, from the root that the thread sees; '' for none."""
    kinds = TABLE.get(name, (0, 0, "", ""))[2]
    if "s" not in kinds:
        return ""
    path = _string(thread, arguments[kinds.index("s")])
    if name == "mount":
        path = _string(thread, arguments[1])
    if path.startswith("/"):
        return path
    fd = arguments[0] & 0xFFFFFFFF if kinds.startswith("-") else 0xFFFFFF9C
    link = "cwd" if fd == 0xFFFFFF9C else f"fd/{fd}"  # AT_FDCWD
    try:
        return f"{posix.readlink(f'/proc/{thread}/{link}').rstrip('/')}/{path}"
    except OSError as problem:
        if problem.errno in (ENOENT, ESRCH):
            return ""
        raise


def _read_only(thread: int, name: str, arguments: list[int], shown: str) -> Refused:
    """Name the read-only mount; what lifts it for this command alone is a mount namespace of its own."""
    path = _path(thread, name, arguments)
    point = "/"
    for line in read(f"/proc/{thread}/mountinfo").decode("utf-8", "replace").splitlines():
        candidate = line.split(" ")[4]
        if (path + "/").startswith(candidate.rstrip("/") + "/") and len(candidate) >= len(point):
            point = candidate
    refused = Refused(
        shown,
        EROFS,
        [f"{printable(point)} is mounted read-only, and no option of an entry changes a mount"],
        [*UNCONFINED, "--cap-add", "SYS_ADMIN"],
    )
    remount = f'mount -o remount,bind,rw {_shell([point])} && exec "$@"'
    refused.wrapped = ["unshare", "-m", "sh", "-c", remount, "sh"]
    return refused


def _is_device(thread: int, name: str, arguments: list[int]) -> bool:
    """Tell whether a call opens or makes a device."""
    if name in ("mknod", "mknodat"):
        return True
    path = _path(thread, name, arguments) if TABLE.get(name, (0, 0, "", ""))[3] == "file" else ""
    if not path:
        return False
    try:
        mode = posix.stat(f"/proc/{thread}/root{path}").st_mode
    except OSError:
        return False
    return S_ISCHR(mode) or S_ISBLK(mode)


def set_user_id(thread: int) -> "Refused | None":
    """Tell of a program just executed whose set-user-ID bit or file capabilities were void under no_new_privs."""
    exe = f"/proc/{thread}/exe"
    try:
        status = parse_status(read(f"/proc/{thread}/status"))
        info = posix.stat(exe)
        gains = info.st_mode & S_ISUID and info.st_uid != status["Uid"][1]
        if status["NoNewPrivs"] != [1] or not (gains or _has_capabilities(exe)):
            return None
        name = posix.readlink(exe)
    except OSError as problem:
        if problem.errno in (ENOENT, ESRCH):
            return None
        raise
    layer = "no_new_privs: what the file would give (set-user-ID, capabilities) is not given"
    call = f'execve("{printable(name)}") gained nothing'
    return Refused(call, EPERM, [layer], ["--security-opt", "no-new-privileges=false"])


def _has_capabilities(path: str) -> bool:
    try:
        return bool(posix.getxattr(path, "security.capability"))
    except OSError as problem:
        if problem.errno in (ENODATA, EOPNOTSUPP):
            return False
        raise


# --- the command's memory ---------------------------------------------------------------------------------------------


def memory(thread: int, address: int, size: int) -> bytes:
    """Read the command's memory; shorter, or nothing, where it has none."""
    try:
        fd = posix.open(f"/proc/{thread}/mem", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return posix.pread(fd, size, address) if address < 1 << 63 else b""
    except OSError:
        return b""
    finally:
        posix.close(fd)


def _string(thread: int, address: int) -> str:
    """Read a string of the command's, up to the end of its page."""
    found = b""
    while b"\0" not in found and len(found) < 4096:
        part = memory(thread, address + len(found), 256 - (address + len(found)) % 256)
        if not part:
            break
        found += part
    return found.partition(b"\0")[0].decode("utf-8", "replace")


def _arguments(thread: int, name: str, arguments: list[int]) -> "list[str]":
    """Show a call's first arguments."""
    shown = []
    for kind, value in zip(TABLE.get(name, (0, 0, "", ""))[2], arguments, strict=False):
        if kind == "s":
            shown.append(f'"{printable(_string(thread, value))}"')
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
