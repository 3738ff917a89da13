"""signal(7): a stop and the continuing after it are noted in the order in which they came."""

from _signal import SIGCONT, SIGTSTP

from . import syscalls

SIZE, MASK = 32, 24  # struct sigaction of 64 bits (asm-generic/signal.h): handler, flags, restorer, mask


def in_turn() -> None:
    """Let the handlers of SIGTSTP and SIGCONT wait for each other; Python's signal() can't say so, and forgets it.

    A signal that comes after the kernel has taken another one, and before that one's handler has noted it, is handled
    first: fg would be seen before the ^Z that it follows, and the command stay stopped. What waits meanwhile is right,
    for of these two the kernel keeps only the last.
    """
    mask = 1 << SIGTSTP - 1 | 1 << SIGCONT - 1
    for number in (SIGTSTP, SIGCONT):
        action = bytearray(SIZE)
        syscalls.rt_sigaction(number, 0, action)
        action[MASK:] = (int.from_bytes(action[MASK:], "little") | mask).to_bytes(SIZE - MASK, "little")
        syscalls.rt_sigaction(number, action, 0)
