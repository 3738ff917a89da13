"""Say what a remedy gives away: a command may be hostile, and choose what it lets be refused."""

HARMLESS = "harmless"
SURFACE = "risk: more of the kernel is open to the command"
ROOT = "risk: as good as root on the host"
# What docker gives to every container, where it holds for nothing but the container's own
DEFAULT = frozenset(
    ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW")
    + ("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")
)
# With these, root of a container has become root of the machine (capabilities(7)); the clock is the whole machine's
POWERFUL = frozenset(("BPF", "DAC_READ_SEARCH", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_RAWIO", "SYS_TIME"))
OF_THE_NETWORK = frozenset(("NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"))
ORDER = (HARMLESS, SURFACE, ROOT)


def of(options: list[str], joined: "set[str]", *, own_users: bool) -> str:
    """Name the greatest risk of some options, for an entry that has `joined` these namespaces.

    `own_users` tells that the command's user namespace is not the machine's: then none is over the machine.
    """
    found = HARMLESS
    for option, value in zip(options, [*options[1:], ""], strict=False):
        found = max(found, _one(option, value, joined, own_users=own_users), key=ORDER.index)
    return found


def _one(option: str, value: str, joined: "set[str]", *, own_users: bool) -> str:
    whole = {"mnt", "pid"} <= joined
    if option == "--cap-add":
        return _capability(value, joined, own_users=own_users)
    if option == "--user" and not whole and not own_users:
        return ROOT
    if option == "--no-join-cgroup":  # its list of devices is all that keeps MKNOD from the machine's disks
        return SURFACE if own_users else ROOT
    if option == "--security-opt" and not value.startswith("no-new-privileges"):
        return SURFACE
    return HARMLESS


def _capability(name: str, joined: "set[str]", *, own_users: bool) -> str:
    if own_users:
        return HARMLESS if name in DEFAULT else SURFACE
    if name in OF_THE_NETWORK:
        return SURFACE if "net" in joined and name == "NET_ADMIN" else HARMLESS if "net" in joined else ROOT
    if name in POWERFUL or not {"mnt", "pid"} <= joined:  # over the host's own files or processes
        return ROOT
    return HARMLESS if name in DEFAULT else SURFACE
