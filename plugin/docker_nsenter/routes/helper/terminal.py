"""Keep the caller's terminal raw while a helper's command has one of its own: by termios, which every Unix has."""

import os
import signal
import sys
import termios
from errno import EIO, ENOENT, ENOTTY, ESRCH

from ...enter.linux.procfs import read

# cfmakeraw(3): what each of the four flags loses, and gains
WITHOUT = (
    termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
    | termios.ICRNL | termios.IXON,
    termios.OPOST,
    termios.CSIZE | termios.PARENB,
    termios.IEXTEN | termios.ECHONL | termios.ECHO | termios.ICANON | termios.ISIG,
)  # fmt: skip
WITH = (0, 0, termios.CS8, 0)
FLAGS = 4
HUNG_UP = (EIO, ENOTTY)  # ENOTTY: another session's, too, without jobs


class Terminal:
    """Hold the caller's terminal settings."""

    def __init__(self, fd: int) -> None:
        """Remember the settings of `fd`; a descriptor that is no terminal is left alone."""
        self._fd = fd
        self._saved = termios.tcgetattr(fd) if os.isatty(fd) else []
        self._mode = self._saved
        self.taken = False
        self._above = _above()

    def ours(self) -> bool:
        """Tell whether the terminal is this job's to read and to set: a job in the background leaves it alone."""
        try:
            return not self._saved or os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError as problem:
            if problem.errno not in HUNG_UP:
                raise
            return True

    def has_jobs(self) -> bool:
        """Tell whether somebody above would see this job stop, and could continue it (an orphaned group: nobody)."""
        try:
            if sys.platform == "linux":
                return bool(self._above) and os.getsid(self._above) == os.getsid(0)
            return os.getpgid(os.getsid(0)) != os.getpgrp()  # a shell with jobs leads the session, and not this group
        except OSError as problem:
            if problem.errno != ESRCH:
                raise
            return False

    def raw(self) -> bool:
        """Pass every key on as it is, unless they are another job's or pass already; tell whether that is new."""
        if not self._saved or self.taken or not self.ours():
            return False
        mode = self._saved = termios.tcgetattr(self._fd)
        flags = [flag & ~less | more for flag, less, more in zip(mode, WITHOUT, WITH, strict=False)]
        characters = list(mode[-1])
        characters[termios.VMIN], characters[termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSADRAIN, [*flags, *mode[FLAGS:-1], characters])
        self._mode = termios.tcgetattr(self._fd)
        self.taken = True
        return True

    def restore(self) -> None:
        """Give the terminal back as it was, unless it has hung up or somebody else has set it since.

        A shell whose foreground job was killed sets its terminal itself; after that ours would be the wrong one.
        """
        if not self._saved or not self.taken:
            return
        # From the background the kernel would stop us (SIGTTOU) before the settings are back.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        try:
            if termios.tcgetattr(self._fd)[:FLAGS] == self._mode[:FLAGS]:
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)
        except termios.error as problem:
            if problem.args[0] not in HUNG_UP:
                raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTTOU])
        self.taken = False


def _above() -> int:
    """Find the process that watches our job: the first above us that is of another group; 0 for none."""
    pid, group = os.getppid(), os.getpgrp()
    try:
        while sys.platform == "linux" and pid and os.getpgid(pid) == group:
            pid = int(read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
    except OSError as problem:
        if problem.errno not in (ENOENT, ESRCH):
            raise
        return 0
    return pid


def window_size() -> bytes:
    """Read the caller's window size as Linux's struct winsize; empty when no standard descriptor is a terminal."""
    for fd in (0, 1, 2):
        if os.isatty(fd):
            size = os.get_terminal_size(fd)
            return size.lines.to_bytes(2, "little") + size.columns.to_bytes(2, "little") + bytes(4)
    return b""
