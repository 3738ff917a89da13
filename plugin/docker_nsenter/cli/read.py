"""Read the words behind `nsenter`: by the table where that is enough, else by typer."""

from ..errors import typed
from ..packages import add_packages
from .request import Request, parse


def read_request(words: list[str], own: "list[str] | tuple[()]" = ()) -> Request | None:
    """Return what the words ask for; None when that is help. CliError for what can't be meant.

    `own` are docker's own options, for the line that a hint shows.
    """
    plain = parse(words)
    typed([*own], words, len(plain[2]) if plain and plain[1] else None)
    if plain is not None:
        if plain[2] and plain[2][0].startswith("-") and plain[2][0] != "--":
            from . import suggestions

            suggestions.behind(plain[1], plain[2], words)
        return Request(*plain)
    from . import help

    if help.wanted(words):
        return None
    add_packages()
    from . import options

    try:
        return options.request_of(words)
    except options.HelpWanted:
        return None


def show_help(words: list[str]) -> int:
    """Print the help or the version that a line asks for, which needs no engine and no typer."""
    from . import help

    asked = next((word for word in words if word in help.ASKING), "--help")
    return help.show_version() if asked == "--version" else help.show(brief=asked == "-h")
