"""Turn wait statuses into exit statuses and words (wait(2))."""

import posix


def exit_status(status: int) -> int:
    """Turn a wait status into docker's exit status: the command's own, or 128 plus the signal's number."""
    return posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else 128 + posix.WTERMSIG(status)


def describe(status: int) -> str:
    """Put a wait status in words."""
    if posix.WIFSIGNALED(status):
        return f"signal {posix.WTERMSIG(status)}"
    return f"status {posix.WEXITSTATUS(status)}"
