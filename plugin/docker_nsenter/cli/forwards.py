"""Read --forward's words: ssh -L's grammar, with docker's order of ports."""

from ..errors import CliError

GRAMMAR = "[BIND:]PORT:[HOST:]PORT, or a unix socket's path on either side"
LOOPBACK = "127.0.0.1"
MOST = 64


class Forward:
    """Say where to listen on the caller's machine, and what in the container that leads to."""

    def __init__(self, word: str) -> None:
        """Read one word; CliError when it is not one."""
        self.word = word
        here, rest = _side(_split(word), word, bind=True)
        alone = [word] if not rest and word == here[1] else []  # as docker's -p 80
        there, more = _side(rest or alone, word, bind=False)
        if more:
            raise _unfit(word)
        self.bind, self.port = here[0], here[1]  # a path and '', or an address and a port
        self.host, self.target_port = there

    def target(self) -> str:
        """Write the target as stage 2 reads it: a path, or HOST PORT."""
        return f"{self.host} {self.target_port}" if self.target_port else self.host

    def names_a_file(self) -> bool:
        """Tell whether the target is a file of the container's."""
        return not self.target_port

    def listens(self) -> str:
        """Write where it listens; at port 0 it is any."""
        if not self.port:
            return self.bind
        return f"{f'[{self.bind}]' if ':' in self.bind else self.bind}:{self.port}"

    def shown(self) -> str:
        """Write the target for a person."""
        if not self.target_port:
            return self.host
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.target_port}"


def read(words: list[str]) -> list[Forward]:
    """Read all of them."""
    if len(words) > MOST:
        raise CliError(f"--forward can be given {MOST} times at most")
    return [Forward(word) for word in words]


def _split(word: str) -> list[str]:
    """Split at colons, but for those inside of brackets."""
    parts, inside = [""], False
    for letter in word:
        if letter == ":" and not inside:
            parts.append("")
        elif letter in "[]":
            inside = letter == "["
        else:
            parts[-1] += letter
    return parts


def _side(parts: list[str], word: str, *, bind: bool) -> tuple[tuple[str, str], list[str]]:
    """Take one side: a path, a port, or an address and a port; return it and what is left."""
    if parts and parts[0].startswith(("/", "./") if bind else "/"):
        return (parts[0], ""), parts[1:]
    if parts and _is_port(parts[0], least=0 if bind else 1):
        return (LOOPBACK if bind else "localhost", str(int(parts[0]))), parts[1:]
    if len(parts) > 1 and _is_host(parts[0]) and _is_port(parts[1], least=0 if bind else 1):
        return (parts[0], str(int(parts[1]))), parts[2:]
    raise _unfit(word)


def _is_port(word: str, *, least: int) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 6 and least <= int(word) < 1 << 16


def _is_host(word: str) -> bool:
    return bool(word) and word.isprintable() and not set(word) & set(" /") and not word.isdigit()


def _unfit(word: str) -> CliError:
    return CliError(f"--forward takes {GRAMMAR}, not {word!r}")
