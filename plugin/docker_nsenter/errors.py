"""Say what went wrong as a person needs it: one sentence, one hint, one exit status."""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


SYSTEM = "/usr/local/lib/docker/cli-plugins"
# Where docker looks for the plugins of a machine
SYSTEM_PLACES = (SYSTEM, *(f"/usr/{name}/docker/cli-plugins" for name in ("local/libexec", "lib", "libexec")))


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
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def report(problem: Problem) -> int:
    """Write the sentence and the hint to standard error and return the status; a closed one changes nothing."""
    text = f"docker nsenter: {printable(problem.sentence)}\n"
    if problem.usage:
        text += f"\nUsage:  {problem.usage}\n\n"
    if problem.hint:
        text += f"hint: {printable(problem.hint)}\n"
    try:
        posix.write(2, text.encode("utf-8", "replace"))
    except OSError:
        return problem.status
    return problem.status


def shell_line(words: list[str]) -> str:
    """Write words as a shell reads them: a line to paste."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    plain = word and all(letter.isalnum() or letter in "_-.,/:=@+%^" for letter in word)
    return word if plain else "'" + word.replace("'", "'\\''") + "'"


def instead(wrong: str, right: str) -> str:
    """Write the line that was typed with another word in the place of a wrong one."""
    words = sys.argv[1:]
    if "nsenter" not in words or wrong not in words:
        return shell_line(["docker", "nsenter", right])
    at = words.index(wrong, words.index("nsenter"))
    return shell_line(["docker", *words[:at], right, *words[at + 1 :]])


def near(word: str, choices: "Iterable[str]") -> list[str]:
    """List the choices that are nearest to a word, if as few as two letters differ; in a short word, one."""
    found: dict[int, list[str]] = {}
    for each in choices:
        if abs(len(each) - len(word)) <= 2:
            found.setdefault(_distance(word, each), []).append(each)
    least = min(found, default=9)
    return sorted(found[least]) if least <= (2 if len(word) > 4 else 1) and least < len(word) - 1 else []


def _distance(one: str, other: str) -> int:
    """Count the letters to add, leave out, replace or exchange with the next (optimal string alignment)."""
    before: list[int] = []
    last, row = before, list(range(len(other) + 1))
    for i, letter in enumerate(one):
        before, last, row = last, row, [i + 1]
        for j, wanted in enumerate(other):
            least = min(last[j + 1] + 1, row[j] + 1, last[j] + (letter != wanted))
            if i and j and letter == other[j - 1] and one[i - 1] == wanted:
                least = min(least, before[j - 1] + 1)
            row.append(least)
    return row[-1]


def as_root() -> str:
    """Write the line that was typed, for root; and what must come first, where root's docker would find no plugin."""
    words = sys.argv[1:] if "nsenter" in sys.argv[1:] else ["nsenter", *sys.argv[1:]]
    line = shell_line(["sudo", "docker", *words])
    package = __file__.rpartition("/")[0]
    if posix.stat(package).st_uid == 0 or any(_is_there(f"{place}/docker-nsenter") for place in SYSTEM_PLACES):
        return line
    return f"install the plugin for root, too (yours is in {package}), then: {line}"


def _is_there(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True
