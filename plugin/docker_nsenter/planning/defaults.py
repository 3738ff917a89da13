"""Know what docker gives a container by default, and what --cap-add, --cap-drop and --privileged make of that."""

from ..enter.linux.capabilities import ALL, NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..engine.containers import Container

# moby/oci/caps/defaults.go, unchanged since Docker 1.2 but for the order
NAMES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
)
CAPABILITIES = sum(1 << NUMBERS[name] for name in NAMES)


def granted(container: "Container", ceiling: int) -> int:
    """Work out the capabilities that docker starts a process of the container with; `ceiling` is all that there are.

    Words are kept as docker keeps them: with or without CAP_, and ALL (moby/oci/caps/utils.go TweakCapabilities).
    """
    if container.privileged:
        return ceiling
    add, drop = _mask(container.cap_add), _mask(container.cap_drop)
    if drop == ALL:
        return add & ceiling if add != ALL else ceiling
    return ((CAPABILITIES | add) & ~drop) & ceiling


def _mask(words: list[str]) -> int:
    """Turn docker's words into a set; a name that this plugin does not know is not counted."""
    plain = [word.upper().removeprefix("CAP_") for word in words]
    return ALL if "ALL" in plain else sum(1 << NUMBERS[name] for name in set(plain) if name in NUMBERS)
