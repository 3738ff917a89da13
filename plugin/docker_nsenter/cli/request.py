"""Hold what the user asked for, and read plain command lines without typer's 60 to 170 ms.

options.py is the one source of the grammar; grammar.py is generated from it. `parse` takes only lines that mean exactly
what they say; for anything else it returns None, and options.py decides and words the error.
"""

from ..errors import LINE, CliError, again
from .grammar import DEFAULTS, FLAGS, VALUES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .forwards import Forward

    Namespace = tuple[str, tuple[str, ...], str]

# option word, other spellings, the kernel's name; in the order of the Plan
NAMESPACES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("userns", (), "user"),
    ("mount", (), "mnt"),
    ("uts", (), "uts"),
    ("ipc", (), "ipc"),
    ("net", ("network",), "net"),
    ("pid", (), "pid"),
    ("cgroup", ("cgroupns",), "cgroup"),
    ("time", (), "time"),
)
KERNEL_NAMES = tuple(row[2] for row in NAMESPACES)
MOST_AT_ONCE = 100
FOR_FORWARD = {"forward", "at_start", "route", "helper_image"}
FOR_SEVERAL = ("filter", "parallel", "fail_fast", "no_prefix")
PROFILES = ("general", "baseline", "restricted", "netadmin", "sysadmin")  # kubectl debug's; profiles.py has them


class Request:
    """Say what the user asked for, before any look at the engine."""

    debug = False  # docker's own -D

    def __init__(self, values: "dict[str, Any]", container: str, command: list[str]) -> None:
        """Take the options' values by parameter name; CliError when they contradict each other."""
        self.values = values
        self.container = container
        self.command = command[1:] if command[:1] == ["--"] else command
        self.namespaces = _namespaces(values)
        self.privileged: bool | None = values["privileged"]
        self.cap_add = _split_commas(values["cap_add"])
        self.cap_drop = _split_commas(values["cap_drop"])
        self.security_opt: list[str] = list(values["security_opt"])
        self.profile: str | None = values["profile"]
        if self.profile is not None:
            _one_of("--profile", self.profile, PROFILES)
        self.join_cgroup: bool = values["join_cgroup"]
        self.user: str | None = values["user"]
        self.workdir: str | None = values["workdir"]
        self.shell: str | None = values["shell"]
        self.tools: str | None = values["tools"]
        self.env: list[str] = list(values["env"])
        self.env_file: list[str] = list(values["env_file"])
        self.env_from: str = _one_of("--env-from", values["env_from"], ("config", "pid", "none"))
        self.tty: bool | None = values["tty"]
        self.interactive: bool = values["interactive"]
        self.detach: bool = values["detach"]
        self.record: str | None = values["record"]
        self.record_input: bool = values["record_input"]
        self.at_exit: bool = values["at_exit"]
        self.at_start: bool = values["at_start"]
        self.forward = _forwards(values["forward"])
        self.dry_run: bool = values["dry_run"]
        self.verbose: bool = values["verbose"]
        self.listing: bool = values["listing"] or values["inspect"]
        self.format: str = _one_of("--format", values["format"], ("table", "json"))
        self.route: str = _one_of("--route", values["route"], ("auto", "local", "helper"))
        self.helper_image: str | None = values["helper_image"]
        self._refuse_contradictions()
        self.why: list[str] = _to_type_again() if values["why"] else []
        self._take_several()

    def _refuse_contradictions(self) -> None:
        """Raise CliError where two options can't both be meant."""
        self.several = bool(self.values["filter"]) or not set(",*?[").isdisjoint(self.container)  # in no name
        _refuse_idle(self.values, self.command, listing=self.listing, several=self.several)
        if self.values["why"] and self.detach:
            raise CliError("--why watches the command until it ends, so it can't be combined with --detach")
        if self.record_input and self.record is None:
            raise CliError(
                "--record-input adds the keys to a recording, and there is none", again(add=["--record", "FILE"])
            )
        if self.record is not None and self.detach:
            raise CliError("--record follows the command until it ends, so it can't be combined with --detach")
        if self.at_exit:
            for given, word in ((self.at_start, "--at-start"), (self.detach, "--detach"), (self.forward, "--forward")):
                if given:
                    raise CliError(
                        f"--at-exit holds the container while you are in it: it can't be combined with {word}"
                    )
        if self.at_exit and self.values["why"]:
            raise CliError("--at-exit and --why both trace: they can't be combined")
        if self.forward and self.detach:
            raise CliError("--forward lasts until the command ends, so it can't be combined with --detach")

    def _take_several(self) -> None:
        """Take what several containers are given, and refuse what they can't have, as compose's maintainers ruled."""
        self.filter: list[str] = list(self.values["filter"])
        self.parallel = _count(self.values["parallel"])
        self.fail_fast: bool = self.values["fail_fast"]
        self.prefix: bool = not self.values["no_prefix"]
        if self.listing or not self.several:
            return
        single = (
            (self.tty, "-t"),
            (self.interactive, "-i"),
            (self.detach, "-d"),
            (self.record is not None, "--record"),
            (bool(self.forward), "--forward"),
            (self.at_exit, "--at-exit"),
            (self.at_start, "--at-start"),
        )
        for given, word in single:
            if given:
                raise CliError(f"{word} works for one container, not for several")
        if not self.command and not self.dry_run:
            raise CliError("no command given: a shell can't run in several containers at once")


def _refuse_idle(values: "dict[str, Any]", command: list[str], *, listing: bool, several: bool) -> None:
    """Refuse an option that would do nothing beside the others: who typed it thinks that it does something."""
    given = {name for name, value in values.items() if value != DEFAULTS[name]}
    given -= {"dry_run", "format", "verbose"} if values["dry_run"] and not listing else set()
    word = "inspect" if values["inspect"] else "list"
    if listing and (command or values["dry_run"]):
        hint = again(without=["--list", "--inspect"], add=[] if values["dry_run"] else ["--dry-run"])
        raise CliError(f"--{word} only shows containers: it takes no command and no --dry-run", hint)
    if listing:
        idle, reason = given - {"listing", "inspect", "format"}, f"--{word} shows containers as they are"
    elif values["dry_run"] and given & {"why"}:
        idle, reason = {"why"}, "--dry-run runs nothing"
    elif several:
        idle, reason = given & {"verbose"}, "only --dry-run has rows to show"
    elif given & {"forward"} and not command and given - FOR_FORWARD - {*FOR_SEVERAL}:
        idle, reason = given - FOR_FORWARD - {*FOR_SEVERAL}, "--forward without a command only carries connections"
    elif given & {*FOR_SEVERAL}:
        idle, reason = given & {*FOR_SEVERAL}, "one container is named"
    else:
        idle, reason = given & {"format", "verbose"}, "only what is shown has a form, by --list, --inspect or --dry-run"
    if not idle:
        return
    name = sorted(idle)[0]
    spelled = [word for word, row in {**FLAGS, **VALUES}.items() if row[0] == name]
    raise CliError(f"{reason}, so {spelled[0]} does nothing here", again(without=spelled))


def _to_type_again() -> list[str]:
    """Write the line without --why; an empty word stands where options may be added, before the container."""
    words, at = LINE["words"], LINE["container"]
    return [*(word for word in words[:at] if word != "--why"), "", *words[at:]]


def _forwards(words: list[str]) -> "list[Forward]":
    """Read --forward's words, by code that other lines do without."""
    if not words:
        return []
    from . import forwards

    return forwards.read(words)


def _split_commas(words: list[str]) -> list[str]:
    return [part for word in words for part in word.split(",") if part]


def _count(word: "str | None") -> int:
    """Read how many at once; 0 where that was not said."""
    if word is None:
        return 0
    if not word.isascii() or not word.isdigit() or not 0 < int(word[:4]) <= MOST_AT_ONCE:
        raise CliError(f"--parallel takes a number from 1 to {MOST_AT_ONCE}, not {word!r}")
    return int(word)


def _one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        from .suggestions import nearest

        near = nearest(value, [*choices])
        sentence = f"{option} takes {', '.join(choices[:-1])} or {choices[-1]}, not {value!r}"
        raise CliError(sentence, again(swap=([option], value, near)) if near else "")
    return value


def _namespaces(values: "dict[str, Any]") -> tuple[str, ...]:
    """Resolve the flags to the kernel's names: only those given, all but those, exactly one, or all."""
    chosen = [row for row in NAMESPACES if values[row[0]]]
    without = [row for row in NAMESPACES if values[f"no_{row[0]}"]]
    only = [row for row in NAMESPACES if values[f"{row[0]}_only"]]
    if len(only) > 1 or (only and (chosen or without or values["all"])):
        raise CliError(
            f"--{only[0][0]}-only joins only one namespace: it can't be combined with others", _joined(only, chosen)
        )
    if only:
        return (only[0][2],)
    if chosen and (without or values["all"]):
        other = f"--no-{without[0][0]}" if without else "--all"
        raise CliError(f"--{chosen[0][0]} joins only the namespaces you name, so {other} contradicts it")
    if chosen:
        return tuple(row[2] for row in chosen)
    return tuple(row[2] for row in NAMESPACES if row not in without)


def _joined(only: "list[Namespace]", chosen: "list[Namespace]") -> str:
    """Write the line that joins all that are named, and only those."""
    from ..enter.hints import PARTIAL  # only where something goes wrong

    return again(without=PARTIAL, add=[f"--{row[0]}" for row in NAMESPACES if row in only + chosen])


def parse(words: list[str]) -> "tuple[dict[str, Any], str, list[str]] | None":
    """Read a plain line into (values, container, command); None for whatever typer should judge."""
    values: dict[str, Any] = {
        name: list(value) if isinstance(value, list) else value for name, value in DEFAULTS.items()
    }
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.startswith("-"):
            return (values, word, words[at:]) if _plain_name(word) else None
        name, equals, value = word.partition("=")
        if word in FLAGS:
            parameter, setting = FLAGS[word]
            values[parameter] = setting
        elif word in VALUES or (equals and name.startswith("--") and name in VALUES):
            if word in VALUES:
                if at >= len(words) or words[at].startswith("-"):
                    return None
                name, value = word, words[at]
                at += 1
            parameter, many = VALUES[name]
            if many:
                values[parameter].append(value)
            else:
                values[parameter] = value
        elif not _cluster(word, values):
            return None
    return (values, "", []) if values["listing"] else None


def _plain_name(word: str) -> bool:
    """Tell whether a word can only be CONTAINER; `--pid host`, `-t 123`, `--cgroup /x` are a neighbour's habits."""
    return bool(word) and word != "host" and not word.isdigit() and "=" not in word and not word.startswith("/")


def _cluster(word: str, values: "dict[str, Any]") -> bool:
    """Take a cluster of flags such as -it."""
    letters = [f"-{letter}" for letter in word[1:]]
    if word.startswith("--") or len(letters) < 2 or not all(letter in FLAGS for letter in letters):
        return False
    for letter in letters:
        parameter, setting = FLAGS[letter]
        values[parameter] = setting
    return True
