"""Keep the caller's terminal raw while the command has a pty of its own, and give it back whatever happens."""

import posix
from _signal import SIG_BLOCK, SIG_UNBLOCK, SIGTTOU, pthread_sigmask
from fcntl import ioctl

from . import kernel

# struct termios (asm-generic/termbits.h): iflag, oflag, cflag, lflag of 4 bytes each, a line discipline, 19 characters
SIZE, MODES = 36, 16
CHARACTERS, VTIME, VMIN = 17, 5, 6
# cfmakeraw(3): what each of the four flags loses, and gains
WITHOUT = (
    0o2753,  # IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON
    0o1,  # OPOST
    0o460,  # CSIZE PARENB
    0o100113,  # IEXTEN ECHONL ECHO ICANON ISIG
)
WITH = (0, 0, 0o60, 0)  # CS8


class Terminal:
    """Hold the caller's terminal settings."""

    def __init__(self, fd: int) -> None:
        """Remember the settings of `fd`; a descriptor that is no terminal is left alone."""
        self._fd = fd
        self._saved = ioctl(fd, kernel.TCGETS, bytes(SIZE)) if posix.isatty(fd) else b""
        self._mode = self._saved
        self._raw = False

    def raw(self) -> None:
        """Pass every key on as it is."""
        if not self._saved:
            return
        flags = [int.from_bytes(self._saved[at : at + 4], "little") for at in range(0, MODES, 4)]
        kept = (flag & ~less | more for flag, less, more in zip(flags, WITHOUT, WITH, strict=True))
        mode = bytearray(b"".join(flag.to_bytes(4, "little") for flag in kept) + self._saved[MODES:])
        mode[CHARACTERS + VMIN], mode[CHARACTERS + VTIME] = 1, 0
        ioctl(self._fd, kernel.TCSETSW, bytes(mode))
        self._mode = ioctl(self._fd, kernel.TCGETS, bytes(SIZE))
        self._raw = True

    def restore(self) -> None:
        """Give the terminal back as it was, unless it has hung up or somebody else has set it since.

        A shell whose foreground job was killed sets its terminal itself; after that ours would be the wrong one.
        """
        if not self._saved or not self._raw:
            return
        # From the background the kernel would stop us (SIGTTOU) before the settings are back.
        pthread_sigmask(SIG_BLOCK, [SIGTTOU])
        try:
            if ioctl(self._fd, kernel.TCGETS, bytes(SIZE))[:MODES] == self._mode[:MODES]:
                ioctl(self._fd, kernel.TCSETSW, self._saved)
        except OSError as problem:
            if problem.errno not in (5, 25):  # EIO, ENOTTY: hung up
                raise
        finally:
            pthread_sigmask(SIG_UNBLOCK, [SIGTTOU])
        self._raw = False
