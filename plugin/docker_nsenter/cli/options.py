"""The command line: the typer app is the one source of the grammar, of the help and of usage errors."""

from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

try:
    from typer._click.exceptions import ClickException
except ImportError:  # typer before 0.26 uses the click package
    from click.exceptions import ClickException  # type: ignore[import-not-found,no-redef,assignment,unused-ignore]

from ..errors import CliError, again, typed
from . import suggestions
from .grammar import VALUES
from .request import NAMESPACES, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    Option = tuple[str, object, object, list[str], str, str | None]

USAGE = "docker nsenter [OPTIONS] CONTAINER [COMMAND [ARG...]]"
SUMMARY = (
    "Debug a running container with your own tools, under its own restrictions.",
    "CONTAINER is a name, an ID prefix, a compose service ([PROJECT/]SERVICE[/N]), a swarm task (SERVICE[.SLOT]), "
    "or pid:N (a process on this machine, without an engine). "
    "Several are a list (web,db) or a pattern in quotes ('shop/*', '*'): COMMAND runs in each. "
    "COMMAND defaults to a shell. Options go before CONTAINER.",
)
# -h: what people use, in so few words that all of it is one screen
USUAL = (
    ("--tools", "Use this machine's programs, or an image's"),
    ("--net-only", "Join only the network"),
    ("--user", "Run as this user (NAME, UID or UID:GID)"),
    ("--workdir", "Start in this directory"),
    ("--env", "Set a variable, NAME=VALUE"),
    ("--cap-add", "Add a capability, such as SYS_PTRACE"),
    ("--why", "Run the command, and say what refused it"),
    ("--dry-run", "Show what would happen, and run nothing"),
    ("--list", "List the running containers"),
    ("--inspect", "Show everything about one container"),
)
EXAMPLES = (
    ("docker nsenter web", "open a shell (sudo may be needed)"),
    ("docker nsenter --tools host web", "the same, with this machine's programs"),
    ("docker nsenter --net-only web ss -tln", "show its listening ports"),
    ("docker nsenter --why web touch /sys/x", "find out why permission is denied"),
    ("docker nsenter --inspect web", "show its capabilities, limits and more"),
)
MORE = "All options: docker nsenter --help, or man docker-nsenter"
# The man page's own parts: what a screen of help has no room for
TOOLS = (
    ("docker nsenter --tools host web htop", "run this machine's htop in a container that has none"),
    ("docker nsenter --tools alpine web apk info", "use the programs of an image, pulled if it is missing"),
    ("docker nsenter --tools ./root web gdb -p 1", "use the programs of a root filesystem in ./root"),
    ("docker nsenter --tools /bin/busybox web vi /etc/hosts", "use one static program and its applets"),
    (
        "docker nsenter --cap-add SYS_PTRACE --tools host web strace -p 1",
        "add a capability that the container does not have",
    ),
)
DATE = "2026-11-25"
VARIABLES = (
    (
        "DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CONFIG, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY, DOCKER_API_VERSION",
        "the same as for docker(1)",
    ),
    ("DOCKER_NSENTER_TIMEOUT", "seconds to wait for the engine to answer (default: 10)"),
    ("NO_COLOR", "if it is not empty, the output has no colour"),
    ("COLUMNS", "width of the help (default: the width of the terminal)"),
)
FILES = (
    ("~/.docker/cli-plugins/docker-nsenter", "the plugin for one user"),
    (
        "/usr/local/lib/docker/cli-plugins/docker-nsenter",
        "the plugin for all users and for sudo, owned by root",
    ),
    ("/etc/docker-nsenter/config.json", "what must be logged or recorded on this machine"),
)
SEE_ALSO = (
    ("docker", 1),
    ("docker-exec", 1),
    ("nsenter", 1),
    ("namespaces", 7),
    ("capabilities", 7),
    ("seccomp", 2),
    ("cgroups", 7),
)
STATUSES = (
    ("0-255", "the command's own exit status"),
    ("128+n", "signal n ended the command"),
    ("125", "nothing ran: a usage or engine error, or a restriction that can't be applied"),
    ("126", "the command can't be executed"),
    ("127", "the command is not found"),
)
SPACES, RULES, PROCESS, MANY, LOOK, ROUTE = (
    "Namespaces to join (default: all)",
    "Restrictions",
    "Process",
    "Several containers",
    "Look and explain",
    "Route",
)
PANELS = (SPACES, RULES, PROCESS, MANY, LOOK, ROUTE)
# What each namespace holds, in the user's words
SENSES = {
    "userns": "the user and group IDs",
    "mount": "the files",
    "uts": "the host name",
    "ipc": "shared memory and message queues",
    "net": "the network (interfaces, ports, routes)",
    "pid": "the processes",
    "cgroup": "the view of the cgroup tree",
    "time": "the clocks since boot (monotonic, boottime)",
}
ASKED = (
    ("help", ["--help", "-h"], "Show this help; -h shows a short version"),
    ("version", ["--version"], "Show the version"),
)
# By panel: the name of the value, its type and its default, how it is spelled, what it does, what its value is called
OPTIONS: "dict[str, tuple[Option, ...]]" = {
    RULES: (
        (
            "privileged",
            bool | None,
            None,
            ["--privileged/--drop-caps"],
            "Keep all of your capabilities / Keep only the container's capabilities (the default)",
            None,
        ),
        ("cap_add", list[str], [], ["--cap-add"], "Add a capability (SYS_PTRACE, ALL)", "CAP"),
        ("cap_drop", list[str], [], ["--cap-drop"], "Drop a capability", "CAP"),
        (
            "security_opt",
            list[str],
            [],
            ["--security-opt"],
            "seccomp=unconfined, apparmor=unconfined|PROFILE, label=disable, no-new-privileges[=BOOL]",
            "OPT",
        ),
        (
            "profile",
            str | None,
            None,
            ["--profile"],
            "Start from a preset, named as in kubectl debug; other options override it",
            "general|baseline|restricted|netadmin|sysadmin",
        ),
        (
            "join_cgroup",
            bool,
            True,
            ["--join-cgroup/--no-join-cgroup"],
            "Apply the container's cgroup limits (default: yes) / Keep your own cgroup limits",
            None,
        ),
    ),
    PROCESS: (
        ("user", str | None, None, ["--user", "-u"], "Run as this user: NAME|UID[:GROUP|GID]", "USER"),
        ("workdir", str | None, None, ["--workdir", "-w"], "Start in this directory", "DIR"),
        ("env", list[str], [], ["--env", "-e"], "Set a variable, NAME=VALUE", "ENV"),
        ("env_file", list[str], [], ["--env-file"], "Read variables from a file", "FILE"),
        (
            "env_from",
            str,
            "config",
            ["--env-from"],
            "Take variables from the container's settings (config, the default), from its process (pid), or none",
            "config|pid|none",
        ),
        ("shell", str | None, None, ["--shell"], "Shell to run if there is no COMMAND", "NAME"),
        (
            "tools",
            str | None,
            None,
            ["--tools"],
            "Use a shell and programs from this machine (host), an image, a directory (./DIR) or one static "
            "program (/bin/busybox); only this session sees them",
            "host|IMAGE|PATH",
        ),
        (
            "tty",
            bool | None,
            None,
            ["--tty/--no-tty", "-t/-T"],
            "Allocate a terminal, or none with -T (default: if you run it from one) / Allocate no terminal",
            None,
        ),
        (
            "interactive",
            bool,
            False,
            ["--interactive", "-i"],
            "Keep standard input open, even without a terminal",
            None,
        ),
        ("detach", bool, False, ["--detach", "-d"], "Run the command in the background", None),
        (
            "forward",
            list[str],
            [],
            ["--forward"],
            "Reach a port or unix socket of the container at one of yours (127.0.0.1), until ^C or while COMMAND runs",
            "[BIND:]PORT:[HOST:]PORT",
        ),
        (
            "at_exit",
            bool,
            False,
            ["--at-exit"],
            "Wait until CONTAINER is about to end, hold it there, and enter; it ends when you leave",
            None,
        ),
        ("at_start", bool, False, ["--at-start"], "Wait until CONTAINER runs, and enter at once", None),
        (
            "record",
            str | None,
            None,
            ["--record"],
            "Record the output in a new file on this machine, for asciinema",
            "FILE",
        ),
        ("record_input", bool, False, ["--record-input"], "Also record what is typed, passwords included", None),
    ),
    MANY: (
        (
            "filter",
            list[str],
            [],
            ["--filter"],
            "Enter only those that docker ps --filter shows (label=tier=edge, name=web)",
            "KEY=VALUE",
        ),
        ("parallel", str | None, None, ["--parallel"], "Enter at most N at once (default: twice the processors)", "N"),
        ("fail_fast", bool, False, ["--fail-fast"], "When one fails, end the others and start no more", None),
        ("no_prefix", bool, False, ["--no-prefix"], "Print lines without the container's name", None),
    ),
    LOOK: (
        ("dry_run", bool, False, ["--dry-run"], "Show what would happen, and run nothing", None),
        ("why", bool, False, ["--why"], "Run COMMAND, and say which restriction refused it and what lifts it", None),
        ("listing", bool, False, ["--list"], "List the running containers and what restricts them", None),
        ("inspect", bool, False, ["--inspect"], "Show everything about CONTAINER", None),
        ("verbose", bool, False, ["--verbose"], "With --dry-run: also show the rows that do not differ", None),
        ("format", str, "table", ["--format"], "Print a table or JSON (default: table)", "table|json"),
    ),
    ROUTE: (
        (
            "route",
            str,
            "auto",
            ["--route"],
            "Start the command from this machine, or from a helper container on the engine (default: whichever works)",
            "auto|local|helper",
        ),
        (
            "helper_image",
            str | None,
            None,
            ["--helper-image"],
            "Image for a helper on another machine; it must have Python",
            "IMAGE",
        ),
    ),
}


class HelpWanted(Exception):
    """Leave typer: the line asks for help or for the version, whatever else it says."""


def _want_help(value: bool) -> None:
    if value:
        raise HelpWanted


def _parameters() -> "Iterator[Parameter]":
    """Yield what typer reads an option from; the namespaces' are three a row of their table."""
    for argument, type_ in (("container", str | None), ("command", list[str] | None)):
        wanted = Annotated[type_, typer.Argument()]  # type: ignore[valid-type]
        yield Parameter(argument, Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=wanted)
    for panel, rows in OPTIONS.items():
        for name, kind, default, words, text, metavar in rows:
            yield _parameter(name, kind, default, *words, panel=panel, text=text, metavar=metavar)
    for name, words, text in ASKED:
        yield _parameter(name, bool, False, *words, panel=LOOK, text=text, is_eager=True, callback=_want_help)
    yield _flag("all", ["--all", "-a"], "Join all of them (the default)")
    for word, aliases, _ in NAMESPACES:
        spelled, sense = [word, *aliases], SENSES[word]
        yield _flag(word, [f"--{each}" for each in spelled], sense[:1].upper() + sense[1:])
        yield _flag(f"no_{word}", [f"--no-{each}" for each in spelled], f"Join all but {sense}")
        yield _flag(f"{word}_only", [f"--{each}-only" for each in spelled], f"Join only {sense}")


def _flag(name: str, words: list[str], text: str) -> Parameter:
    return _parameter(name, bool, False, *words, panel=SPACES, text=text)


def _parameter(name: str, kind: object, default: object, *words: str, panel: str, text: str, **more: Any) -> Parameter:
    """Describe one option."""
    found = typer.Option(*words, rich_help_panel=panel, help=text, show_default=False, **more)
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, found])


def build() -> Any:
    """Build typer's command; its callback returns the parameters' values."""

    def collect(**values: Any) -> dict[str, Any]:
        return values

    parameters = list(_parameters())
    collect.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    collect.__annotations__ = {each.name: each.annotation for each in parameters}
    settings = {"allow_interspersed_args": False, "help_option_names": []}
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(context_settings=settings)(collect)
    return get_command(app)


def read(words: list[str]) -> tuple[dict[str, Any], str, list[str]]:
    """Read any line as typer does: (values, container, command); CliError for a usage error."""
    suggestions.judge(words)
    try:
        values = build().main(args=words, prog_name="docker nsenter", standalone_mode=False)
    except ClickException as problem:
        raise usage(problem.format_message()) from None
    values.pop("help")
    values.pop("version")
    values = {name: list(value) if isinstance(value, tuple | list) else value for name, value in values.items()}
    container, command = values.pop("container"), values.pop("command") or []
    if container is None and not values["listing"]:
        raise _nameless(words)
    if container == "":
        raise usage("the name of the container is empty")
    return values, container or "", command


def _nameless(words: list[str]) -> CliError:
    """Say that no container is named, and where it may have gone."""
    if len(words) > 1 and words[-2] in VALUES:
        return CliError(f"no container given: {words[-1]} is the value of {words[-2]}", again(docker=["ps"]))
    return usage("no container given")


def request_of(words: list[str]) -> Request:
    """Read any line into a Request."""
    values, container, command = read(words)
    typed(None, words, len(command) if container else None)
    if command and command[0].startswith("-") and command[0] != "--":
        suggestions.behind(container, command, words)
    return Request(values, container, command)


def usage(message: str) -> CliError:
    """Word a usage error as docker's own commands do."""
    text = message.rstrip(".")
    sentence = text[:1].lower() + text[1:]
    return CliError(sentence, again(words=["--help"]), usage=USAGE)
