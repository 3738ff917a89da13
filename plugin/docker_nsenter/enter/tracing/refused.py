"""Hold what was refused, in words, with what lifts it and what that gives away."""

import posix

from ..hints import shell_line, worded
from ..linux.capabilities import NUMBERS
from . import risk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..hints import Line
    from ..plan import Plan


class Scene:
    """Hold what a refusal must know of the entry."""

    def __init__(self, plan: "Plan", held: int) -> None:
        """Take it from the Plan; `held` are the capabilities that an entry of this caller's can add."""
        self.held = held
        why = plan["why"]
        self.again = why["again"] if why else []  # the words of the line that was typed
        self.updates = why is not None and why["updates"]  # the engine has docker update
        self.joined = set(plan["namespaces"])
        self.container = plan["target"]["container"]


class Refused:
    """Hold one refused call: as text, its errno, why, and the options that lift it."""

    def __init__(self, call: str, errno: int, layers: list[str], options: list[str]) -> None:
        """Take the reasons from the first layer that refuses to the last that would."""
        self.call = call
        self.reason = posix.strerror(errno) if errno else "the process was ended"
        self.layers = layers
        self.options = options
        self.wrapped: list[str] = []  # words before the command that lift it where no option can
        self.update: list[str] | None = None  # docker update's words, where the container's own limit is to be raised
        self.risk = risk.HARMLESS
        self.own_users = False  # the command's user namespace is not the machine's
        self.count = 1

    def key(self) -> tuple[str, ...]:
        """Tell what is the same but for its arguments: the call and the cause."""
        return (self.call.partition("(")[0], self.reason, *self.layers, "", *self.options)

    def lifted(self) -> bool:
        """Tell whether there is a line to paste."""
        return bool(self.options or self.wrapped or self.update)

    def text(self, scene: Scene) -> str:
        """Say what was refused, and why."""
        more = f" and {self.count - 1} more like it" if self.count > 1 else ""
        by = shell_line(self.options)
        if self.update:
            by = shell_line(["docker", "update", *self.update])
        elif self.wrapped:
            by = " and ".join(
                [by, "the hint's words before the command"] if by else ["the hint's words before the command"]
            )
        lacks = [word for word in self.options if word in NUMBERS and not scene.held >> NUMBERS[word] & 1]
        if lacks:
            self.options, self.wrapped, self.update = [], [], None
        self.risk = risk.of(self.options, scene.joined, own_users=self.own_users)
        lifted = f"; lifted by {by} ({self.risk})" if self.lifted() else ""
        lifted = f"; {' and '.join(lacks)} would lift it, which you lack" if lacks else lifted
        return f"{self.call}{more}: {self.reason}: {', and behind that '.join(self.layers)}{lifted}"

    def line(self, again: list[str]) -> str:
        """Write the line that was typed with the options added; `again` is split at the container by an empty word."""
        at = again.index("")
        words = again[:at] + again[at + 1 :]
        line: Line = {"words": words, "options": words.index("nsenter") + 1, "container": at}
        if self.update:
            return worded(line, {"docker": ["update", *self.update, words[at]]})
        command = words[at + 1 :]
        if self.wrapped:
            command = [*self.wrapped, *(command[1:] if command[:1] == ["--"] else command)]
        without = ["-u", "--user"] if "--user" in self.options else []
        return worded(line, {"without": without, "add": self.options, "command": command})
