"""Keep the container's programs from the host's abstract unix sockets where they have the host's network.

Those sockets have no file whose owner or mode could refuse: who is in the network namespace may connect, as in
CVE-2020-15257. A Landlock domain forbids those of outside (ABI 6, Linux 6.12). Any domain also forbids to trace what is
outside of it.
"""

import posix

from . import syscalls

CREATE_RULESET_VERSION = 1
SCOPE_ABSTRACT_UNIX_SOCKET = 1
FIRST_ABI = 6
ENOSYS, EOPNOTSUPP = 38, 95


def scope_sockets() -> None:
    """Begin a domain for this process and its children, where the kernel has it; needs CAP_SYS_ADMIN here."""
    try:
        if syscalls.landlock_create_ruleset(0, 0, CREATE_RULESET_VERSION) < FIRST_ABI:
            return
    except OSError as problem:
        if problem.errno in (ENOSYS, EOPNOTSUPP):
            return
        raise
    rules = bytearray(16) + SCOPE_ABSTRACT_UNIX_SOCKET.to_bytes(8, "little")  # no file or port is handled
    fd = syscalls.landlock_create_ruleset(rules, len(rules), 0)
    try:
        syscalls.landlock_restrict_self(fd, 0)
    finally:
        posix.close(fd)
