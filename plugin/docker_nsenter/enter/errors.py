"""Say why an entry does not happen: one sentence, perhaps a hint, an exit status."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hints import Change

EXEC: "Change" = {"exec": True}
UNCONFINED: "Change" = {"add": ["--security-opt", "seccomp=unconfined"]}
MOUNT: "Change" = {"add": ["--mount"]}
ROOT: "Change" = {"without": ["-w", "--workdir"], "add": ["-w", "/"]}
CHANGES: "tuple[Change, ...]" = ({}, UNCONFINED, MOUNT, ROOT)  # what the installer tells the supervisor by number
CANNOT_BE = "the process that starts the command sent an invalid report"
reports = 2  # where a EntryError is said: standard error, or what collects for many entries


class EntryError(Exception):
    """End the entry before the command starts."""

    hint = ""  # written by hints.py, once nobody holds power any more

    def __init__(self, sentence: str, change: "Change | None" = None, status: int = 125) -> None:
        """Take the sentence without a full stop, and what to change in the line that was typed."""
        super().__init__(sentence)
        self.sentence = sentence
        self.change: Change = change or {}
        self.status = status


def printable(text: str, most: int = 400) -> str:
    """Replace what a hostile name could do to a terminal: control characters, and too many characters."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def say(text: str, to: int = 2) -> None:
    """Write a line to standard error; a closed one changes nothing."""
    try:
        posix.write(to, f"docker nsenter: {text}\n".encode("utf-8", "replace"))
    except OSError:
        return
