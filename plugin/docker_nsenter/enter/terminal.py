"""Keep the caller's terminal raw while the command has a pty of its own, and give it back whatever happens."""

import posix
import termios
from _signal import SIG_BLOCK, SIG_UNBLOCK, SIGTTOU, pthread_sigmask

# tcgetattr's list: iflag, oflag, cflag, lflag, ispeed, ospeed, cc


class Terminal:
    """Hold the caller's terminal settings."""

    def __init__(self, fd: int) -> None:
        """Remember the settings of `fd`; a descriptor that is no terminal is left alone."""
        self._fd = fd
        self._saved = termios.tcgetattr(fd) if posix.isatty(fd) else None
        self._mode = self._saved or []
        self._raw = False

    def raw(self) -> None:
        """Pass every key on as it is (cfmakeraw(3))."""
        if self._saved is None:
            return
        mode = [*self._saved[:6], list(self._saved[6])]
        mode[0] &= ~0o2753  # IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON
        mode[1] &= ~termios.OPOST
        mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
        self._mode = termios.tcgetattr(self._fd)
        self._raw = True

    def restore(self) -> None:
        """Give the terminal back as it was, unless it has hung up or somebody else has set it since.

        A shell whose foreground job was killed sets its terminal itself; after that ours would be the wrong one.
        """
        if self._saved is None or not self._raw:
            return
        # From the background the kernel would stop us (SIGTTOU) before the settings are back.
        pthread_sigmask(SIG_BLOCK, [SIGTTOU])
        try:
            if termios.tcgetattr(self._fd)[:4] == self._mode[:4]:
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)
        except termios.error as problem:
            if problem.args[0] not in (5, 25):  # EIO, ENOTTY: hung up
                raise
        finally:
            pthread_sigmask(SIG_UNBLOCK, [SIGTTOU])
        self._raw = False
