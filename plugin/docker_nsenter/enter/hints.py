"""Word every hint: the line that was typed, whole, with docker's own options, quoted, and with its change.

What raises an error says only the change; who reports it has the line: stage 1 in errors.py, stage 2 in the Plan. That
one gives up all power first.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from .errors import EntryError

    class Line(TypedDict):
        """Hold the words up to the end, where the options begin (behind `nsenter`), and where CONTAINER stands.

        No words stand for a line that is too long to be shown again.
        """

        words: list[str]
        options: int
        container: int

    class Change(TypedDict, total=False):
        """Say what to change: the keys are taken in the order of `worded`'s lines."""

        full: bool  # without all that makes an entry other than a full one with the container's restrictions
        without: list[str]  # options, as they may be spelled
        swap: tuple[list[str], str, str]  # in the value of these options one word for another
        add: list[str]  # options
        container: str  # in the place of CONTAINER
        command: list[str]  # in the place of COMMAND
        words: list[str]  # in the place of all behind `nsenter`
        globally: list[str]  # docker's own options to add
        before: list[str]  # words before the line: sudo
        exec: bool  # the same by docker exec
        docker: list[str]  # another command of docker's, for the same engine


# Options that take a value; a test holds it against the grammar
VALUES = frozenset(
    [
        "--cap-add",
        "--cap-drop",
        "--security-opt",
        "--profile",
        "--user",
        "-u",
        "--workdir",
        "-w",
        "--env",
        "-e",
        "--env-file",
        "--env-from",
        "--shell",
        "--tools",
        "--record",
        "--format",
        "--route",
        "--helper-image",
        "--filter",
        "--forward",
        "--parallel",
    ]
)
NAMESPACES = ["userns", "mount", "uts", "ipc", "net", "network", "pid", "cgroup", "cgroupns", "time"]
# All that makes an entry other than a full one with the container's own restrictions
PARTIAL = [f"--{form.format(name)}" for name in NAMESPACES for form in ("{}", "no-{}", "{}-only")]
RELAXED = ["--privileged", "--no-join-cgroup", "--security-opt", "--cap-add", "--profile"]
# What docker exec has, too
EXECS = [
    "-u",
    "--user",
    "-w",
    "--workdir",
    "-e",
    "--env",
    "--env-file",
    "-i",
    "--interactive",
    "-t",
    "--tty",
    "-d",
    "--detach",
    "--privileged",
]
LONGEST = 3000  # bytes that a hint may have
PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.,/:=@+%^")
ESCAPES = {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def word(refusal: "EntryError", line: "Line") -> "EntryError":
    """Write an error's hint, now that the line is known."""
    refusal.hint = refusal.hint or (worded(line, refusal.change) if refusal.change else "")
    return refusal


def worded(line: "Line", change: "Change") -> str:
    """Write the line with the change, for a shell to read; '' where there is none, or none that can be shown."""
    own, options, container, command = _parts(line)
    if not own:
        return ""
    if "docker" in change:
        return _shown([*own[:-1], *change["docker"]])
    options = _left(options, [*change.get("without", []), *([*PARTIAL, *RELAXED] if "full" in change else [])])
    if "swap" in change:
        options = _swapped(options, *change["swap"])
    added = change.get("add", [])
    if added and not container:
        return ""  # nowhere to put them
    end = ["--"] if options[-1:] == ["--"] else []
    options = [*options[: len(options) - len(end)], *added, *end]
    container = [change["container"]] if "container" in change else container
    command = change.get("command", command)
    rest = change.get("words", [*options, *container, *command])
    own = [*own[:-1], *change.get("globally", []), own[-1]]
    if change.get("exec"):
        own[-1], rest = "exec", _for_exec(options, container, command)
    before = change.get("before", [])
    return _shown([*(before if own[0] != "sudo" else []), *own, *rest])


def _parts(line: "Line") -> tuple[list[str], list[str], list[str], list[str]]:
    words, begin, at = line["words"], line["options"], line["container"]
    return words[:begin], words[begin:at], words[at : at + 1], words[at + 1 :]


def _left(options: list[str], without: list[str]) -> list[str]:
    """Leave options out, in every spelling: `--name value`, `--name=value`, `-nvalue`, a letter of a cluster."""
    left: list[str] = []
    at = 0
    while at < len(options):
        word = options[at]
        at += 1
        name, equals, _ = word.partition("=")
        letter = word[:2] if word[:1] == "-" and word[1:2] != "-" else ""
        taken = [word]
        if word in VALUES:
            taken, at = options[at - 1 : at + 1], at + 1
        if name in without or (letter in without and letter in VALUES):
            continue
        if letter and letter not in VALUES and len(word) > 2:
            kept = "".join(each for each in word[1:] if f"-{each}" not in without)
            taken = [f"-{kept}"] if kept else []
        left += taken
    return left


def _swapped(options: list[str], names: list[str], old: str, new: str) -> list[str]:
    """Exchange one word of the values of some options; a value may be a list with commas."""
    found = [*options]
    for at, word in enumerate(options):
        before = options[at - 1] if at else ""
        name, equals, value = word.partition("=")
        start = ""
        if before in names and word != before:
            value = word
        elif name in names and equals:
            start = f"{name}="
        elif word[:2] in names and word[1:2] != "-" and len(word) > 2:
            start, value = word[:2], word[2:]
        else:
            continue
        parts = [new if part == old else part for part in value.split(",")]
        found[at] = start + (new if value == old else ",".join(parts))
    return found


def _for_exec(options: list[str], container: list[str], command: list[str]) -> list[str]:
    """Keep what docker exec has; a terminal, input and a shell are chosen here, and have to be said there."""
    kept, at = [], 0
    while at < len(options):
        word = options[at]
        taken = options[at : at + 1 + (word in VALUES)]
        at += len(taken)
        name = word.partition("=")[0]
        cluster = word[:1] == "-" and word[1:2] != "-" and word[:2] not in VALUES
        if cluster and set(word[1:]) & set("itd"):
            kept.append("-" + "".join(each for each in word[1:] if each in "itd"))
        elif name in EXECS or (word[:2] in VALUES and word[1:2] != "-"):
            kept += taken
    chosen = any(word in EXECS[6:] or (word[1:2] in "itd" and word not in VALUES) for word in kept if word[:1] == "-")
    if not chosen and (not posix.isatty(0) or posix.isatty(1)):
        kept.insert(0, "-it" if posix.isatty(0) else "-i")
    command = command[1:] if command[:1] == ["--"] else command
    return [*kept, *container, *(command or ["sh"])]


def _shown(words: list[str]) -> str:
    text = shell_line(words)
    return text if len(text.encode("utf-8", "replace")) <= LONGEST else ""


def shell_line(words: list[str]) -> str:
    """Write words as a shell reads them: one line to paste, that can do nothing to a terminal."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if word and PLAIN.issuperset(word):
        return word
    if word.isprintable():
        return "'" + word.replace("'", "'\\''") + "'"
    return "$'" + "".join(ESCAPES.get(each) or _escaped(each) for each in word) + "'"


def _escaped(letter: str) -> str:
    """Write what can't be shown by its bytes, as $'…' reads them (POSIX 2024; bash, zsh, busybox)."""
    if letter.isprintable():
        return letter
    how = "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass"  # a lone one may come in JSON
    return "".join(f"\\{byte:03o}" for byte in letter.encode("utf-8", how))
