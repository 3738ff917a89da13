"""Decide what will happen: a Request and what docker knows of the container become a Plan. Pure, but for --env-file."""

import posix

from ..cli.request import KERNEL_NAMES, Request
from ..engine.containers import Container
from ..enter.linux.capabilities import ALL, NUMBERS
from ..errors import LINE, CliError, again, shell_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..enter.hints import Line
    from ..enter.plan import Identity, Plan, PlannedCapabilities, PlannedEnvironment, PlannedRecording

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the docker CLI adds for its plugins, and we when a helper has to enter
# Who asks, as enter/validate.py has it, which refuses any other field
ASKING = ("login_uid", "caller_uid", "sudo_user", "terminal", "host", "engine", "image")
NOT_THE_CALLERS = (
    "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND",
    "DOCKER_CLI_PLUGIN_SOCKET",
    "DOCKER_NSENTER_HANDED_OVER",
    "OTEL_RESOURCE_ATTRIBUTES",
)
# Terminals that TERM=xterm does for, as it does for docker exec
COMMON = {
    *("dumb", "ansi", "linux", "vt100", "vt102", "vt220", "cygwin", "rxvt", "rxvt-unicode", "rxvt-unicode-256color"),
    *("xterm", "xterm-color", "xterm-16color", "xterm-88color", "xterm-256color"),
    *("screen", "screen-256color", "tmux", "tmux-256color"),
}
MOUNTS = (("pid", "proc"), ("net", "sys"))
LONGEST = 3000  # bytes of a line that a hint may show: hints.LONGEST, which is loaded where something goes wrong
MARK = "docker.cli.cobra.command_path="
OPTIONS = "seccomp=unconfined, apparmor=unconfined, apparmor=PROFILE, label=disable or no-new-privileges[=BOOL]"
TRUE, FALSE = ("1", "t", "true", "yes", ""), ("0", "f", "false", "no")


def make_plan(
    request: Request, container: Container, *, environ: "Mapping[str, str]", stdin_tty: bool, stdout_tty: bool
) -> "Plan":
    """Build the Plan; CliError when the request contradicts itself or the container."""
    request, more, less = _expanded(request, container)
    inside, member = "mnt" in request.namespaces, bool({"mnt", "pid"} & set(request.namespaces))
    tty = request.tty if request.tty is not None else stdin_tty and stdout_tty and not request.detach
    security = Security(request, container)
    return {
        "version": 1,
        "route": "local",
        "target": {"pid": container.pid, "container": container.id, "owner": container.owner, "name": container.name},
        "namespaces": [name for name in KERNEL_NAMES if name in request.namespaces],
        "capabilities": _capabilities(request, more, less),
        "seccomp": security.seccomp,
        "filters": [],
        "apparmor": security.apparmor if inside else security.asked_apparmor,
        "apparmor_needed": security.apparmor_needed,
        "selinux": security.selinux if inside else "",
        "no_new_privs": security.no_new_privs,
        "cgroups": member and request.join_cgroup,
        "limits": member,
        **_identity(request, container, inside=inside),
        "environment": _environment(request, container, environ, inside=inside, tty=tty),
        "directory": _directory(request, container, inside=inside),
        "command": request.command or _hosts_shell(request, environ, inside=inside),
        "connect": [],  # commands/forward.py's Plan has some
        "hold": request.at_exit,
        "shell": request.shell,
        "tty": tty,
        "stdin": request.interactive or not stdin_tty or (tty and not request.detach),
        "detach": request.detach,
        "tools": None,  # commands/enter.py adds them: an image may have to be pulled
        "mounts": [] if inside else [show for name, show in MOUNTS if name in request.namespaces],
        "debug": request.debug,
        "why": {"again": request.why, "updates": container.updates} if request.why else None,
        "typed": _shown_again(),
        "record": _recording(request, tty=tty),
        "journal": {"entry": "0" * 32, **dict.fromkeys(ASKING, ""), "image": container.image},  # and who asks: enter.py
    }


def _expanded(request: Request, container: Container) -> tuple[Request, int, int]:
    """Write --profile's options out; the capabilities that it adds and drops."""
    if not request.profile:
        return request, 0, 0
    from . import profiles

    return profiles.expand(request, container)


def _recording(request: Request, *, tty: bool) -> "PlannedRecording | None":
    """Name the file for who has another working directory, as stage 2 may have."""
    if request.record is None:
        return None
    if request.record_input and not tty:
        raise CliError("--record-input records keys, and there is no terminal to press them at", again(add=["-t"]))
    if request.record.rpartition("/")[2] in ("", ".", ".."):
        raise CliError(f"--record takes a new file, and {request.record!r} names a directory")
    file = request.record if request.record.startswith("/") else f"{posix.getcwd()}/{request.record}"
    return {"file": file, "input": request.record_input}


def _capabilities(request: Request, more: int, less: int) -> "PlannedCapabilities":
    """Choose the base and what is added and dropped; what was asked for by name wins over a profile's.

    As with docker run, what is added is not dropped, and ALL with some dropped is all but those.
    """
    add, drop = mask_of(request.cap_add, "--cap-add"), mask_of(request.cap_drop, "--cap-drop")
    drop &= ALL if add == ALL else ~add
    base = "caller" if request.privileged else "container"
    return {"base": base, "add": add | (more & ~drop), "drop": drop | (less & ~add)}


def _identity(request: Request, container: Container, *, inside: bool) -> "Identity":
    """Choose the user: the one asked for, the container's inside it, or the caller."""
    if not inside and request.user is None:
        return {"user": None, "groups": []}
    return {"user": container.user if request.user is None else request.user, "groups": container.group_add}


def _hosts_shell(request: Request, environ: "Mapping[str, str]", *, inside: bool) -> list[str]:
    """Name the caller's own shell where the host's files stay; the container's is found in stage 2."""
    return [] if inside or request.shell else [environ.get("SHELL") or "/bin/sh"]


class Security:
    """Hold what the container and --security-opt say of seccomp, the security modules and no_new_privs."""

    def __init__(self, request: Request, container: Container) -> None:
        """Begin with the container's own; the user's words win."""
        self.apparmor: str | None = container.apparmor or None
        self.asked_apparmor = "unconfined"  # a host process keeps no profile of the container's unless it is asked for
        self.selinux: str | None = container.selinux or None
        self.apparmor_needed = False
        self.seccomp = "container"
        self.no_new_privs: bool | None = False if container.id else None
        own = [split_option(word) for word in container.security_opt]
        if ("seccomp", "unconfined") in own or (container.privileged and "seccomp" not in [name for name, _ in own]):
            self.seccomp = "none"
        for name, value in own:
            if name == "no-new-privileges":
                self.no_new_privs = boolean(value)
        for word in request.security_opt:
            self._take(word)

    def _take(self, word: str) -> None:
        """Take one --security-opt of the user's."""
        name, value = split_option(word)
        if name == "seccomp" and value == "unconfined":
            self.seccomp = "unconfined"
        elif name == "apparmor" and value:
            self.apparmor = self.asked_apparmor = value
            self.apparmor_needed = value != "unconfined"
        elif name == "label" and value == "disable":
            self.selinux = ""
        elif name == "no-new-privileges":
            self.no_new_privs = boolean(value)
        elif name == "seccomp":
            hint = again(swap=(["--security-opt"], word, "seccomp=unconfined"))
            raise CliError(
                f"--security-opt {word}: no other profile can be loaded; use the container's own or unconfined", hint
            )
        else:
            raise CliError(f"unknown --security-opt {word}: it takes {OPTIONS}")


def _shown_again() -> "Line":
    """Hand on what was typed, for a hint of stage 2's; nothing where that is too long for one."""
    if sum(len(word) + 1 for word in LINE["words"]) > LONGEST:
        return {"words": [], "options": 0, "container": 0}
    return {**LINE}


def split_option(word: str) -> tuple[str, str]:
    """Split a security option at its first = or :, as docker does."""
    at = min((word.find(mark) for mark in "=:" if mark in word), default=len(word))
    return word[:at], word[at + 1 :]


def boolean(word: str) -> bool:
    """Read docker's boolean words; nothing means true."""
    if word.lower() in TRUE:
        return True
    if word.lower() in FALSE:
        return False
    raise CliError(f"no-new-privileges must be true or false, not {word!r}")


def mask_of(names: list[str], option: str) -> int:
    """Turn capability names, with or without CAP_, in any case, or ALL, into a set."""
    mask = 0
    for name in names:
        plain = name.upper().removeprefix("CAP_")
        if plain != "ALL" and plain not in NUMBERS:
            from difflib import get_close_matches

            near = get_close_matches(plain, NUMBERS, 1)
            hint = again(swap=([option], name, near[0])) if near else shell_line(["man", "7", "capabilities"])
            raise CliError(f"unknown capability {name}", hint)
        mask |= ALL if plain == "ALL" else 1 << NUMBERS[plain]
    return mask


def _directory(request: Request, container: Container, *, inside: bool) -> "str | None":
    """Choose the working directory: the container's, or where the caller is."""
    wanted = request.workdir
    if wanted is None:
        return (container.workdir or "/") if inside else None
    if not wanted.startswith("/"):
        if not inside:
            hint = again(swap=(["-w", "--workdir"], wanted, f"/{wanted}"))
            raise CliError(f"the working directory {wanted} must be absolute", hint)
        wanted = f"{(container.workdir or '/').rstrip('/')}/{wanted}"
    return wanted


def _environment(
    request: Request, container: Container, environ: "Mapping[str, str]", *, inside: bool, tty: bool
) -> "PlannedEnvironment":
    """List NAME=VALUE words, later ones winning: docker's own, the container's, --env-file's, -e's.

    The base is `target` where stage 2 has to begin with the live environment of the process.
    """
    live = inside and (request.env_from == "pid" or (request.env_from == "config" and not container.id))
    words = [DEFAULT_PATH, *(["TERM=xterm", *_terminfo(environ)] if tty else [])]
    if not inside:
        words = [f"{name}={value}" for name, value in callers(environ).items()]
    elif live:
        words = words[1:]
    elif request.env_from == "config":
        name = f"{container.hostname}.{container.domainname}" if container.domainname else container.hostname
        words += [*([f"HOSTNAME={name}"] if name else []), *container.env]
    for path in request.env_file:
        words += _given(read_env_file(path), environ)
    return {"base": "target" if live else "given", "set": words + _given(request.env, environ)}


def _terminfo(environ: "Mapping[str, str]") -> list[str]:
    """Describe the caller's terminal to the container's programs, if it is one that few have an entry of."""
    if environ.get("TERM", "dumb") in COMMON:
        return []
    from .terminfo import setting

    return setting(environ)


def callers(environ: "Mapping[str, str]") -> dict[str, str]:
    """Take the caller's environment without what docker added for its plugin."""
    found = {name: value for name, value in environ.items() if name not in NOT_THE_CALLERS}
    attributes = environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    own = [each for each in attributes if each and not each.startswith(MARK)]
    if own:
        found["OTEL_RESOURCE_ATTRIBUTES"] = ",".join(own)
    return found


def _given(words: list[str], environ: "Mapping[str, str]") -> list[str]:
    """Complete NAME by the caller's value; one that is not set is left out, as docker does."""
    found = []
    for word in words:
        name, equals, _ = word.partition("=")
        if not name:
            raise CliError(f"invalid environment variable {word!r}: it is NAME=VALUE or NAME")
        if equals:
            found.append(word)
        elif name in environ:
            found.append(f"{name}={environ[name]}")
    return found


def read_env_file(path: str) -> list[str]:
    """Read an --env-file: NAME=VALUE or NAME a line, # comments."""
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = [line.rstrip("\n").lstrip() for line in file]
    except OSError as problem:
        raise CliError(f"cannot read --env-file {path}: {problem.strerror}") from problem
    lines = [line for line in lines if line and not line.startswith("#")]
    for line in lines:
        if " " in line.partition("=")[0] or "\t" in line.partition("=")[0]:
            raise CliError(f"--env-file {path}: a variable's name contains white space: {line.partition('=')[0]!r}")
    return lines
