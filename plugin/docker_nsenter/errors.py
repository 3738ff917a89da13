"""Say what went wrong as a person needs it: one sentence, one hint, one exit status."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .enter import hints

__all__ = ["LINE", "UNTYPED", "CliError", "again", "as_root", "near", "printable", "report", "shell_line", "typed"]

LINE: "hints.Line" = {"words": [], "options": 0, "container": 0}  # what was typed, as soon as it has been read
# Docker's own options for an engine that no word names: sudo drops DOCKER_HOST, and root has contexts of its own
UNTYPED: list[str] = []


SYSTEM = "/usr/local/lib/docker/cli-plugins"
# Where docker looks for the plugins of a machine
SYSTEM_PLACES = (SYSTEM, *(f"/usr/{name}/docker/cli-plugins" for name in ("local/libexec", "lib", "libexec")))


class CliError(Exception):
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


def report(problem: CliError) -> int:
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


def typed(own: "list[str] | None", rest: list[str], behind: "int | None" = None) -> None:
    """Note the line: docker's own options, the words behind `nsenter`, and how many of them CONTAINER has behind it.

    None for options that are noted already, and where CONTAINER is not known yet, or none is named.
    """
    if own is None:
        own = LINE["words"][LINE["words"].index("docker") + 1 : LINE["options"] - 1] if LINE["words"] else []
    sudo = ["sudo"] if b"SUDO_UID" in posix.environ else []
    words = [*sudo, "docker", *own, "nsenter"]
    LINE["options"] = len(words)
    LINE["words"] = words = [*words, *rest]
    LINE["container"] = len(words) - (0 if behind is None else behind + 1)


def again(**change: "Any") -> str:
    """Word the line that was typed with a change; hints.Change says which there are."""
    line = LINE if LINE["words"] else {"words": ["docker", "nsenter"], "options": 2, "container": 2}
    from .enter import hints  # only where something goes wrong

    return hints.worded(line, change)  # type: ignore[arg-type]


def shell_line(words: list[str]) -> str:
    """Write words for a shell to read; hints.shell_line."""
    from .enter import hints

    return hints.shell_line(words)


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
    """Write the line that was typed, for root; and first what makes the plugin known to root's docker."""
    line = again(before=["sudo"], globally=UNTYPED)
    package = __file__.rpartition("/")[0]
    if posix.stat(package).st_uid == 0 or any(_is_there(f"{place}/docker-nsenter") for place in SYSTEM_PLACES):
        return line
    script = package.removesuffix("/plugin/docker_nsenter") + "/scripts/install"
    return f"{shell_line(['sudo', script, '--system'])} && {line}" if _is_there(script) else ""


def _is_there(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True
