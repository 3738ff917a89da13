"""Hold exactly the capabilities that the Plan grants: bounding, permitted, effective, inheritable, ambient."""

from . import syscalls


def drop_bounding(keep: int) -> None:
    """Drop every capability that the kernel knows and `keep` lacks from the bounding set."""
    for number in range(64):
        if not keep >> number & 1:
            try:
                syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
            except OSError as problem:
                if problem.errno != 22:  # EINVAL: past the kernel's last capability
                    raise
                return


def give_up(keep: int) -> None:
    """Hold these for good: nothing that this process does or executes could bring any more."""
    drop_bounding(0)
    hold(keep)


def hold(mask: int) -> None:
    """Hold these and no others from now on; needs no right to."""
    set_process(mask, mask, 0)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


def set_process(effective: int, permitted: int, inheritable: int) -> None:
    """Set the three sets of this thread by capset(2), version 3 of its structures."""
    words = bytearray()
    for shift in (0, 32):
        for mask in (effective, permitted, inheritable):
            words += (mask >> shift & 0xFFFFFFFF).to_bytes(4, "little")
    syscalls.capset(words)


def set_ambient(mask: int) -> None:
    """Clear the ambient set, then raise what `mask` says; each must be permitted and inheritable."""
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(64):
        if mask >> number & 1:
            syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, number)
