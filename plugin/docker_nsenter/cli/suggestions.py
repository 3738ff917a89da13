"""Show the right line to who types nsenter's options, docker run's, or a mistyped one: a hint that can be pasted."""

from ..errors import CliError, again, near
from .grammar import FLAGS, VALUES

# nsenter's letters for what has a name here
LETTERS = {"m": "mount", "u": "uts", "i": "ipc", "n": "net", "p": "pid", "C": "cgroup", "U": "userns", "T": "time"}
USUAL = frozenset("muinp")  # who asks for these five wants the whole container
OURS = frozenset("uiT")  # letters with a sense of docker's
SHARED = ("--pid", "--net", "--network", "--uts", "--ipc", "--userns", "--cgroupns")
# docker's own options, and whether they take a value
DOCKERS = {"--context": True, "--host": True, "-H": True, "--config": True, "--log-level": True, "-D": False,
           "--debug": False, "--tls": False, "--tlsverify": False}  # fmt: skip

# option: (does it take a value, sentence, what to type instead; {0} is the line without it, {1} its value)
STRANGERS: "dict[str, tuple[bool, str, str]]" = {
    "-v": (True, "you can't add mounts to a running container", ""),
    "--volume": (True, "you can't add mounts to a running container", ""),
    "--volumes-from": (True, "you can't add mounts to a running container", ""),
    "--publish": (True, "you can't publish ports of a running container", ""),
    "--expose": (True, "you can't publish ports of a running container", ""),
    "--name": (False, "name the container without an option", "{0}"),
    "--target": (False, "name the container without an option", "{0}"),
    "--container": (False, "name the container without an option", "{0}"),
    "--rm": (False, "not needed, nothing is left behind", "{0}"),
    "--no-fork": (False, "not needed, the command always runs as a new process", "{0}"),
    "--fork": (False, "not needed, the command always runs as a new process", "{0}"),
    "-f": (False, "not needed, the command always runs as a new process", "{0}"),
    "-F": (False, "not needed, the command always runs as a new process", "{0}"),
    "--entrypoint": (True, "the command goes after the container", "{0} {1}"),
    "-c": (True, "the command goes after the container", "{0} sh -c {1}"),
    "--detach-keys": (True, "there are no detach keys: ^P^Q goes to the command", "{0}"),
    "-S": (True, "use -u for the user, as in docker exec", "-u {1}"),
    "--setuid": (True, "use -u for the user, as in docker exec", "-u {1}"),
    "-G": (True, "give the group with the user, as in docker exec", "-u 0:{1}"),
    "--setgid": (True, "give the group with the user, as in docker exec", "-u 0:{1}"),
    "-V": (False, "there is no short option for the version", "docker nsenter --version"),
}


def judge(words: list[str]) -> None:
    """Raise CliError with a better line when this one can't be meant."""
    _nsenters(words)
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-", "--"):
        word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
        if word in VALUES:
            if following.startswith("-"):
                right = f"{word}={following}" if word.startswith("--") else f"{word}{following}"
                raise CliError(
                    f"{word} takes a value, and {following} looks like an option",
                    _line([*words[:at], right, *words[at + 2 :]]),
                )
            at += 1
        else:
            _habit(words, at, following)
        at += 1


def behind(container: str, command: list[str], words: list[str]) -> None:
    """Refuse an option of ours that was typed behind the container, where it would be the name of a program."""
    name = command[0].partition("=")[0]
    if _letters(name) and not set(name[1:]) <= OURS:
        flags = [f"--{LETTERS[letter]}" for letter in name[1:] if letter in LETTERS]
        command = [*(flags if len(flags) > 1 else [f"{flags[0]}-only"]), *command[1:]]
        name = flags[0]
    if name not in FLAGS and name not in VALUES and not (name[1:2] != "-" and _cluster(name)):
        return
    before = words[: len(words) - len(command) - 1]
    at = 0
    while at < len(command) and command[at].startswith("-"):
        at += 2 if command[at] in VALUES else 1
    right = [*before, *command[:at], container, *command[at:]]
    raise CliError(f"options go before the container: here {command[0]} would be run as a program", _line(right))


def _line(words: list[str], dockers: "list[str] | None" = None) -> str:
    return again(words=words, globally=dockers or [])


def _letters(word: str) -> bool:
    """Tell whether a word is a cluster of nsenter's letters for namespaces."""
    return word[:1] == "-" and len(word) > 1 and set(word[1:]) <= set(LETTERS)


def _cluster(word: str) -> bool:
    return len(word) > 1 and all(f"-{letter}" in FLAGS for letter in word[1:])


def _nsenters(words: list[str]) -> None:
    """Translate a line of nsenter's: letters for namespaces, perhaps -t PID."""
    letters, target, at = "", "", 0
    passed: list[str] = []
    while at < len(words):
        word = words[at]
        number = words[at + 1] if word in ("-t", "--target") and at + 1 < len(words) else word.partition("=")[2]
        if word in ("-t", "--target") or word.startswith("--target="):
            if not number.isdigit():
                break
            target, at = number, at + (1 if "=" not in word else 0)
        elif word[:2] == "-t" and word[2:].isdigit():
            target = word[2:]
        elif word[:1] == "-" and word[1:2] != "-" and len(word) > 1 and set(word[1:]) <= {*LETTERS, "a"}:
            letters += word[1:]
        elif word in FLAGS and word.startswith("--"):
            passed.append(word)
        else:
            break
        at += 1
    rest = words[at:]
    published = letters.endswith("p") and rest and (":" in rest[0] or rest[0].isdigit()) and not target
    if not target and (published or not set(letters) - OURS - {"a"}):
        return
    names = [f"--{name}" for letter, name in LETTERS.items() if letter in letters]
    if "a" in letters or set(letters) >= USUAL:
        names = []
    elif len(names) == 1 and not passed:
        names = [f"{names[0]}-only"]
    names += passed
    sentence = f"use pid:{target} for a process" if target else "namespaces have no short options here"
    if not target and (not rest or rest[0].startswith("-")):
        raise CliError(f"{sentence}: {' '.join([*names, *rest])} CONTAINER")
    raise CliError(sentence, _line([*names, *([f"pid:{target}"] if target else []), *rest]))


def _habit(words: list[str], at: int, following: str) -> None:
    """Refuse one option that has another sense elsewhere, or none anywhere."""
    word = words[at]
    name, equals, value = word.partition("=")
    shown, after = (value, words[at + 1 :]) if equals else (following, words[at + 2 :])
    before = words[:at]
    if name in ("-t", "--tty") and shown.isdigit():
        raise CliError(f"use pid:{shown} for a process", _line([*before, f"pid:{shown}", *after]))
    if name in SHARED and shown == "host":
        raise CliError(
            f"{name} joins the container's namespace; use --no-{name[2:]} to stay in the host's",
            _line([*before, f"--no-{name[2:]}", *after]),
        )
    if name == "--mount" and shown.startswith(("type=", "src=", "source=")):
        raise CliError(
            "you can't add mounts to a running container; --mount joins its mount namespace", _line([*before, *after])
        )
    if name == "--cgroup" and shown.startswith("/"):
        raise CliError(
            "--cgroup joins the container's cgroup namespace; --no-join-cgroup keeps your own cgroups",
            _line([*before, "--no-join-cgroup", *after]),
        )
    if name in DOCKERS:
        takes = DOCKERS[name] and not equals
        own, rest = words[at : at + 1 + takes], words[at + 1 + takes :]
        raise CliError(f"{name} is an option of docker itself: it goes before nsenter", _line([*before, *rest], own))
    if name == "--json":
        right = _line([*before, "--format", "json", *words[at + 1 :]])
        raise CliError("there is no --json: use --format json", right)
    if equals and name in FLAGS:
        right = _switched(name, on=value.lower() not in ("0", "f", "false"))
        raise CliError(f"{name} takes no value", _line([*before, right, *words[at + 1 :]]))
    if name in STRANGERS or name == "-p":
        _stranger(words, at)
    known = (
        word in FLAGS or name in VALUES or name in ("-h", "--help", "--version") or _cluster(word) or word[:2] in VALUES
    )
    if not known:
        _unknown(words, at)


def _switched(name: str, *, on: bool) -> str:
    """Spell a switch that is on or off."""
    parameter, setting = FLAGS[name]
    wanted = setting if on else not setting
    return next((word for word, row in FLAGS.items() if row == (parameter, wanted) and word[:2] == "--"), "")


def _stranger(words: list[str], at: int) -> None:
    """Refuse an option of a neighbour's, with the line that does the same or as much as can be done."""
    name, equals, value = words[at].partition("=")
    takes, sentence, right = STRANGERS.get(name) or STRANGERS["--publish"]
    after = words[at + 1 :]
    if takes and not equals and after and not (name == "-v" and ":" not in after[0]):
        value, after = after[0], after[1:]
    elif name == "--name" and equals:
        after = [value, *after]
    if name == "-v" and not value:  # no mount: the version
        name, (takes, sentence, right) = "-V", STRANGERS["-V"]
    if right == "docker nsenter --version":
        raise CliError(f"{words[at]}: {sentence}", _line(["--version"]))
    if right.startswith("-u"):
        raise CliError(f"{words[at]}: {sentence}", _line([*words[:at], *right.format("", value).split(" "), *after]))
    rest = [value] if "{1}" in right and value else []
    middle = ["sh", "-c"] if "sh -c" in right else []
    raise CliError(f"{words[at]}: {sentence}", _line([*words[:at], *after, *middle, *rest]))


def _unknown(words: list[str], at: int) -> None:
    """Refuse an option that does not exist, with the nearest that does."""
    name, equals, value = words[at].partition("=")
    right = nearest(name, [*FLAGS, *VALUES, "--help", "--version"])
    if not right:
        raise CliError(f"there is no option {name}", _line(["--help"]))
    raise CliError(f"there is no option {name}", _line([*words[:at], f"{right}{equals}{value}", *words[at + 1 :]]))


def nearest(word: str, choices: list[str]) -> str:
    """Guess what was meant; '' where nothing is near."""
    if len(word) < 3:
        return ""
    plain = {each.replace("-", ""): each for each in reversed(choices)}
    if word.replace("-", "") in plain:
        return plain[word.replace("-", "")]
    bare = {each.lstrip("-"): each for each in reversed(choices)}  # the dashes would make all of them alike
    found = [bare[each] for each in near(word.lstrip("-"), bare)]
    starting = [each for each in choices if each.startswith(word) and len(word) > 4]
    return starting[0] if starting else found[0] if len(found) == 1 else ""
