"""Keep the caller's terminal raw while the command has a pty of its own, and give it back whatever happens."""

import posix
from _signal import SIG_BLOCK, SIG_IGN, SIG_UNBLOCK, SIGSTOP, SIGTSTP, SIGTTOU, getsignal, pthread_sigmask, signal
from fcntl import ioctl

from ..linux import signals, syscalls
from ..linux.procfs import read

# struct termios (asm-generic/termbits.h): iflag, oflag, cflag, lflag of 4 bytes each, a line discipline, 19 characters
SIZE, MODES = 36, 16
CHARACTERS, VINTR, VQUIT, VTIME, VMIN, VSUSP = 17, 0, 1, 5, 6, 10
ENOTTY, ESRCH = 25, 3
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
        self._saved = ioctl(fd, syscalls.TCGETS, bytes(SIZE)) if posix.isatty(fd) else b""
        self._mode = self._saved
        self.taken = False
        self._above = _above()

    def ours(self) -> bool:
        """Tell whether the terminal is this job's to read and to set: a job in the background leaves it alone."""
        try:
            return not self._saved or posix.tcgetpgrp(self._fd) == posix.getpgrp()
        except OSError as problem:
            if problem.errno not in (5, ENOTTY):  # EIO: hung up; ENOTTY: another session's, without jobs
                raise
            return True

    def key(self, data: bytes, *numbers: int) -> bool:
        """Tell whether one of these special characters (VSUSP, …) is among what was typed while all keys pass."""
        characters = self._saved[CHARACTERS:]
        return self.taken and any(characters[at] and characters[at] in data for at in numbers)

    def has_jobs(self) -> bool:
        """Tell whether somebody above would see this job stop, and could continue it (an orphaned group: nobody)."""
        try:
            return bool(self._above) and posix.getsid(self._above) == posix.getsid(0)
        except OSError as problem:
            if problem.errno != ESRCH:
                raise
            return False

    def stop_job(self, *, others: bool) -> None:
        """Stop docker and all else of our job as ^Z does, but not this process, which has the command to reap.

        Who has no docker in its group is the one that the caller's shell watches, and has to stop.
        """
        if others:
            before = getsignal(SIGTSTP)
            signal(SIGTSTP, SIG_IGN)
            posix.kill(0, SIGTSTP)
            signal(SIGTSTP, before)
            signals.in_turn()
        if posix.getpgid(posix.getppid()) != posix.getpgrp():
            posix.kill(posix.getpid(), SIGSTOP)

    def raw(self) -> bool:
        """Pass every key on as it is, unless they are another job's or pass already; tell whether that is new."""
        if not self._saved or self.taken or not self.ours():
            return False
        self._saved = ioctl(self._fd, syscalls.TCGETS, bytes(SIZE))
        flags = [int.from_bytes(self._saved[at : at + 4], "little") for at in range(0, MODES, 4)]
        kept = (flag & ~less | more for flag, less, more in zip(flags, WITHOUT, WITH, strict=True))
        mode = bytearray(b"".join(flag.to_bytes(4, "little") for flag in kept) + self._saved[MODES:])
        mode[CHARACTERS + VMIN], mode[CHARACTERS + VTIME] = 1, 0
        ioctl(self._fd, syscalls.TCSETSW, bytes(mode))
        self._mode = ioctl(self._fd, syscalls.TCGETS, bytes(SIZE))
        self.taken = True
        return True

    def restore(self) -> None:
        """Give the terminal back as it was, unless it has hung up or somebody else has set it since.

        A shell whose foreground job was killed sets its terminal itself; after that ours would be the wrong one.
        """
        if not self._saved or not self.taken:
            return
        # From the background the kernel would stop us (SIGTTOU) before the settings are back.
        pthread_sigmask(SIG_BLOCK, [SIGTTOU])
        try:
            if ioctl(self._fd, syscalls.TCGETS, bytes(SIZE))[:MODES] == self._mode[:MODES]:
                ioctl(self._fd, syscalls.TCSETSW, self._saved)
        except OSError as problem:
            if problem.errno not in (5, 25):  # EIO, ENOTTY: hung up
                raise
        finally:
            pthread_sigmask(SIG_UNBLOCK, [SIGTTOU])
        self.taken = False


def _above() -> int:
    """Find the process that watches our job: the first above us that is of another group; 0 for none."""
    pid, group = posix.getppid(), posix.getpgrp()
    try:
        while pid and posix.getpgid(pid) == group:
            # stat would take 0.1 ms
            pid = int(read(f"/proc/{pid}/status").partition(b"\nPPid:")[2].partition(b"\n")[0])
    except OSError as problem:
        if problem.errno not in (2, ESRCH):  # ENOENT
            raise
        return 0
    return pid


def window_size() -> bytes:
    """Read the caller's window size as struct winsize; empty when no standard descriptor is a terminal."""
    for fd in (0, 1, 2):
        if posix.isatty(fd):
            return ioctl(fd, syscalls.TIOCGWINSZ, bytes(8))
    return b""


def set_window_size(master: int, size: bytes) -> None:
    """Set the size of the command's terminal; its foreground group gets SIGWINCH."""
    ioctl(master, syscalls.TIOCSWINSZ, size)
