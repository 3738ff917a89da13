"""Say why an entry does not happen: one sentence, perhaps a hint, an exit status."""


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
