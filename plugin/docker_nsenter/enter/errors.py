"""Say why an entry does not happen: one sentence, perhaps a hint, an exit status."""

import posix

from .hints import worded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hints import Change, Line

reports = 2  # where a EntryError is said: standard error, or what collects for many entries


class EntryError(Exception):
    """End the entry before the command starts."""

    hint = ""

    def __init__(self, sentence: str, change: "Change | None" = None, status: int = 125) -> None:
        """Take the sentence without a full stop, and what to change in the line that was typed."""
        super().__init__(sentence)
        self.sentence = sentence
        self.change: Change = change or {}
        self.status = status

    def word(self, line: "Line") -> "EntryError":
        """Write the hint, now that the line is known."""
        self.hint = self.hint or (worded(line, self.change) if self.change else "")
        return self


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
