"""Say why an entry does not happen: one sentence, perhaps a hint, an exit status."""

import posix


class Refusal(Exception):
    """End the entry before the command starts."""

    def __init__(self, sentence: str, hint: str = "", status: int = 125) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.status = status


def printable(text: str) -> str:
    """Replace what a hostile name could do to a terminal: control characters, and more than 400 characters."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= 400 else shown[:399] + "…"


def say(text: str) -> None:
    """Write a line to standard error; a closed one changes nothing."""
    try:
        posix.write(2, f"docker nsenter: {text}\n".encode("utf-8", "replace"))
    except OSError:
        return
