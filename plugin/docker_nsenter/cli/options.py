"""The command line: the typer app is the one source of the grammar, of the help and of usage errors."""

import inspect
from typing import Annotated, Any

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


def option(*words: str, panel: str, text: str, metavar: "str | None" = None, **more: Any) -> Any:
    """Describe one option."""
    return typer.Option(*words, rich_help_panel=panel, help=text, metavar=metavar, show_default=False, **more)


def enter(
    container: Annotated[str | None, typer.Argument()] = None,
    command: Annotated[list[str] | None, typer.Argument()] = None,
    privileged: Annotated[
        bool | None,
        option(
            "--privileged/--drop-caps",
            panel=RULES,
            text="Keep all of your capabilities / Keep only the container's capabilities (the default)",
        ),
    ] = None,
    cap_add: Annotated[
        list[str], option("--cap-add", panel=RULES, text="Add a capability (SYS_PTRACE, ALL)", metavar="CAP")
    ] = [],
    cap_drop: Annotated[list[str], option("--cap-drop", panel=RULES, text="Drop a capability", metavar="CAP")] = [],
    security_opt: Annotated[
        list[str],
        option(
            "--security-opt",
            panel=RULES,
            text="seccomp=unconfined, apparmor=unconfined|PROFILE, label=disable, no-new-privileges[=BOOL]",
            metavar="OPT",
        ),
    ] = [],
    profile: Annotated[
        str | None,
        option(
            "--profile",
            panel=RULES,
            text="Start from a preset, named as in kubectl debug; other options override it",
            metavar="general|baseline|restricted|netadmin|sysadmin",
        ),
    ] = None,
    join_cgroup: Annotated[
        bool,
        option(
            "--join-cgroup/--no-join-cgroup",
            panel=RULES,
            text="Apply the container's cgroup limits (default: yes) / Keep your own cgroup limits",
        ),
    ] = True,
    user: Annotated[
        str | None, option("--user", "-u", panel=PROCESS, text="Run as this user: NAME|UID[:GROUP|GID]", metavar="USER")
    ] = None,
    workdir: Annotated[
        str | None, option("--workdir", "-w", panel=PROCESS, text="Start in this directory", metavar="DIR")
    ] = None,
    env: Annotated[
        list[str], option("--env", "-e", panel=PROCESS, text="Set a variable, NAME=VALUE", metavar="ENV")
    ] = [],
    env_file: Annotated[
        list[str], option("--env-file", panel=PROCESS, text="Read variables from a file", metavar="FILE")
    ] = [],
    env_from: Annotated[
        str,
        option(
            "--env-from",
            panel=PROCESS,
            text="Take variables from the container's settings (config, the default), from its process (pid), or none",
            metavar="config|pid|none",
        ),
    ] = "config",
    shell: Annotated[
        str | None, option("--shell", panel=PROCESS, text="Shell to run if there is no COMMAND", metavar="NAME")
    ] = None,
    tools: Annotated[
        str | None,
        option(
            "--tools",
            panel=PROCESS,
            text="Use a shell and programs from this machine (host), an image, a directory (./DIR) or one static "
            "program (/bin/busybox); only this session sees them",
            metavar="host|IMAGE|PATH",
        ),
    ] = None,
    tty: Annotated[
        bool | None,
        option(
            "--tty/--no-tty",
            "-t/-T",
            panel=PROCESS,
            text="Allocate a terminal, or none with -T (default: if you run it from one) / Allocate no terminal",
        ),
    ] = None,
    interactive: Annotated[
        bool, option("--interactive", "-i", panel=PROCESS, text="Keep standard input open, even without a terminal")
    ] = False,
    detach: Annotated[bool, option("--detach", "-d", panel=PROCESS, text="Run the command in the background")] = False,
    forward: Annotated[
        list[str],
        option(
            "--forward",
            panel=PROCESS,
            text="Reach a port or unix socket of the container at one of yours (127.0.0.1), until ^C or while COMMAND "
            "runs",
            metavar="[BIND:]PORT:[HOST:]PORT",
        ),
    ] = [],
    at_exit: Annotated[
        bool,
        option(
            "--at-exit",
            panel=PROCESS,
            text="Wait until CONTAINER is about to end, hold it there, and enter; it ends when you leave",
        ),
    ] = False,
    at_start: Annotated[
        bool, option("--at-start", panel=PROCESS, text="Wait until CONTAINER runs, and enter at once")
    ] = False,
    record: Annotated[
        str | None,
        option(
            "--record",
            panel=PROCESS,
            text="Record the output in a new file on this machine, for asciinema",
            metavar="FILE",
        ),
    ] = None,
    record_input: Annotated[
        bool, option("--record-input", panel=PROCESS, text="Also record what is typed, passwords included")
    ] = False,
    filter: Annotated[
        list[str],
        option(
            "--filter",
            panel=MANY,
            text="Enter only those that docker ps --filter shows (label=tier=edge, name=web)",
            metavar="KEY=VALUE",
        ),
    ] = [],
    parallel: Annotated[
        str | None,
        option("--parallel", panel=MANY, text="Enter at most N at once (default: twice the processors)", metavar="N"),
    ] = None,
    fail_fast: Annotated[
        bool, option("--fail-fast", panel=MANY, text="When one fails, end the others and start no more")
    ] = False,
    no_prefix: Annotated[
        bool, option("--no-prefix", panel=MANY, text="Print lines without the container's name")
    ] = False,
    dry_run: Annotated[bool, option("--dry-run", panel=LOOK, text="Show what would happen, and run nothing")] = False,
    why: Annotated[
        bool, option("--why", panel=LOOK, text="Run COMMAND, and say which restriction refused it and what lifts it")
    ] = False,
    listing: Annotated[
        bool, option("--list", panel=LOOK, text="List the running containers and what restricts them")
    ] = False,
    inspect: Annotated[bool, option("--inspect", panel=LOOK, text="Show everything about CONTAINER")] = False,
    verbose: Annotated[
        bool, option("--verbose", panel=LOOK, text="With --dry-run: also show the rows that do not differ")
    ] = False,
    format: Annotated[
        str, option("--format", panel=LOOK, text="Print a table or JSON (default: table)", metavar="table|json")
    ] = "table",
    route: Annotated[
        str,
        option(
            "--route",
            panel=ROUTE,
            text="Start the command from this machine, or from a helper container on the engine (default: whichever works)",
            metavar="auto|local|helper",
        ),
    ] = "auto",
    helper_image: Annotated[
        str | None,
        option(
            "--helper-image",
            panel=ROUTE,
            text="Image for a helper on another machine; it must have Python",
            metavar="IMAGE",
        ),
    ] = None,
    **namespaces: bool,
) -> dict[str, Any]:
    """Return the values; the caller makes a Request of them."""
    return {}


class HelpWanted(Exception):
    """Leave typer: the line asks for help or for the version, whatever else it says."""


def _want_help(value: bool) -> None:
    if value:
        raise HelpWanted


def _signature() -> inspect.Signature:
    """Add the namespaces' options, three a row of the table, to the function's own parameters."""
    own = [
        each for each in inspect.signature(enter, eval_str=True).parameters.values() if each.kind != each.VAR_KEYWORD
    ]
    for name, words, text in (
        ("help", ("--help", "-h"), "Show this help; -h shows a short version"),
        ("version", ("--version",), "Show the version"),
    ):
        asked = option(*words, panel=LOOK, text=text, is_eager=True, callback=_want_help)
        wanted = Annotated[bool, asked]
        own.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=wanted))
    added = [_flag("all", ["--all", "-a"], "Join all of them (the default)")]
    for word, aliases, _ in NAMESPACES:
        spelled, sense = [word, *aliases], SENSES[word]
        added.append(_flag(word, [f"--{each}" for each in spelled], sense[:1].upper() + sense[1:]))
        added.append(_flag(f"no_{word}", [f"--no-{each}" for each in spelled], f"Join all but {sense}"))
        added.append(_flag(f"{word}_only", [f"--{each}-only" for each in spelled], f"Join only {sense}"))
    return inspect.Signature([*own, *added])


def _flag(name: str, words: list[str], text: str) -> inspect.Parameter:
    kind = Annotated[bool, option(*words, panel=SPACES, text=text)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)


def build() -> Any:
    """Build typer's command; its callback returns the parameters' values."""

    def collect(**values: Any) -> dict[str, Any]:
        return values

    collect.__signature__ = _signature()  # type: ignore[attr-defined]
    collect.__annotations__ = {name: each.annotation for name, each in _signature().parameters.items()}
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
