"""Say what went wrong as a person needs it: one sentence, one hint, one exit status."""

import os


class Problem(Exception):
    """End with one sentence, at most one hint, and an exit status."""

    def __init__(self, sentence: str, hint: str = "", status: int = 125, *, usage: str = "") -> None:
        """Take the sentence without a full stop, a line that works when pasted, and for usage errors the usage."""
        super().__init__(sentence)
        self.usage = usage
        self.sentence = sentence
        self.hint = hint
        self.status = status


def printable(text: str) -> str:
    """Replace what could control a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def report(problem: Problem) -> int:
    """Write the sentence and the hint to standard error and return the status; a closed one changes nothing."""
    text = f"docker nsenter: {printable(problem.sentence)}\n"
    if problem.usage:
        text += f"\nUsage:  {problem.usage}\n\n"
    if problem.hint:
        text += f"hint: {printable(problem.hint)}\n"
    try:
        os.write(2, text.encode("utf-8", "replace"))
    except OSError:
        return problem.status
    return problem.status
