"""Read the words before `nsenter` as docker does, and find the engine that docker would talk to.

Parsing copies pflag, the Go library that docker uses; the choice of the engine copies docker/cli's context store
(docs.docker.com/engine/manage-resources/contexts).
"""

import posix

from ..enter.jsonlite import loads
from ..errors import LINE, UNTYPED, CliError, shell_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")
STRINGS = ("config", "log-level", "context", "host", "tlscacert", "tlscert", "tlskey")
BOOLEANS = ("debug", "tls", "tlsverify", "help", "version")
SHORT = {"l": "log-level", "c": "context", "H": "host", "D": "debug", "h": "help", "v": "version"}
DEFAULT_HOST = "unix:///var/run/docker.sock"
DEFAULT_TLS_HOST = "tcp://localhost:2376"
SCHEMES = ("tcp", "unix", "npipe", "fd", "ssh")


class Globals:
    """Hold docker's own options: what stands before the plugin's name."""

    config = context = host = log_level = tlscacert = tlscert = tlskey = ""
    host_given = debug = tls = help = version = False
    tlsverify: "bool | None" = None

    def __init__(self) -> None:
        """Begin with docker's defaults; `words` are the options verbatim, for docker itself."""
        self.words: list[str] = []


class Endpoint:
    """Say where the engine is, and how to speak to it."""

    def __init__(self, host: str, context: str, tls: "dict[str, Any] | None" = None) -> None:
        """Hold a URL, the context's name, and for TLS the files {ca, cert, key} ('' for none) and verify."""
        self.host = host
        self.context = context
        self.tls = tls
        self.api_version = self.directory = ""  # the directory is that of config.json
        self.headers: dict[str, str] = {}
        self.settings: dict[str, str] = {}  # the plugin's own, of config.json
        self.words: list[str] = []
        self.client: Any = None  # the SDK's, when there is one
        self.carrier: Any = None  # docker's process that carries the last stream
        self.said = -1  # what it says on its standard error


def split(argv: list[str]) -> tuple[Globals, str, list[str]]:
    """Split what docker passed into its own options, the first other word, and the rest.

    For `help nsenter` the word is `help` and the rest is what follows `nsenter`. Raises CliError for words that docker
    itself would not have let through.
    """
    found = Globals()
    at = 0
    while at < len(argv):
        word = argv[at]
        if word == "--":
            at += 1
            break
        if len(word) < 2 or not word.startswith("-"):
            break
        at += 1
        takes_next = _long(found, word[2:]) if word.startswith("--") else _shorts(found, word[1:])
        if takes_next:
            if at >= len(argv):
                raise CliError(f"flag needs an argument: {word}")
            _set(found, takes_next, argv[at])
            at += 1
    found.words = [word for word in argv[:at] if word != "--"]
    command, rest = (argv[at], argv[at + 1 :]) if at < len(argv) else ("", [])
    return found, command, rest[1:] if command == "help" else rest


def _long(found: Globals, word: str) -> str:
    """Take `--name` or `--name=value`; return the name when its value is the next word."""
    name, equals, value = word.partition("=")
    if name not in STRINGS + BOOLEANS:
        raise CliError(f"unknown flag: --{name}")
    if equals:
        _set(found, name, value)
        return ""
    if name in BOOLEANS:
        _set(found, name, "true")
        return ""
    return name


def _shorts(found: Globals, letters: str) -> str:
    """Take a cluster of letters as pflag does; return the name when its value is the next word."""
    while letters:
        letter, letters = letters[0], letters[1:]
        name = SHORT.get(letter)
        if name is None:
            raise CliError(f"unknown shorthand flag: '{letter}'")
        if len(letters) > 1 and letters.startswith("="):
            _set(found, name, letters[1:])
            return ""
        if name in STRINGS:
            if not letters:
                return name
            _set(found, name, letters)
            return ""
        _set(found, name, "true")
    return ""


def _set(found: Globals, name: str, value: str) -> None:
    """Store one option's value, booleans by Go's words for them."""
    attribute = name.replace("-", "_")
    if name in BOOLEANS:
        if value not in TRUE + FALSE:
            raise CliError(f'invalid argument "{value}" for "--{name}" flag')
        setattr(found, attribute, value in TRUE)
        return
    if name == "host":
        if found.host_given:
            raise CliError("specify only one -H")
        found.host_given = True
    if name.startswith("tls") and len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    setattr(found, attribute, value)


def endpoint(options: Globals, environ: "Mapping[str, str]") -> Endpoint:
    """Find the engine as docker does; CliError for a context that does not exist or can't be read."""
    if options.context and options.host_given:
        raise CliError("conflicting options: either specify --host or --context, not both")
    directory = options.config or config_directory(environ)
    settings = read_config(directory)
    name = _context_name(options, environ, settings)
    if name == "default":
        found = _default_endpoint(options, environ)
    else:
        found = _context_endpoint(directory, name)
    found.api_version = environ.get("DOCKER_API_VERSION", "")
    headers = settings.get("HttpHeaders")
    if isinstance(headers, dict):
        found.headers = {str(key): str(value) for key, value in headers.items()}
    own = _key(_key(settings, "plugins"), "nsenter")
    if isinstance(own, dict):
        found.settings = {str(key): str(value) for key, value in own.items()}
    found.words, found.directory = options.words, directory
    named = options.context or options.host_given or found.host == DEFAULT_HOST
    UNTYPED[:] = [] if named else ["-H", found.host]
    return found


def environment() -> dict[str, str]:
    """Read the environment as `os.environ` has it, without the millisecond that importing `os` costs."""
    return {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, value in posix.environ.items()
    }


def config_directory(environ: "Mapping[str, str]") -> str:
    """Name docker's directory of settings."""
    home = environ.get("HOME") or "/root"
    return environ.get("DOCKER_CONFIG") or f"{home}/.docker"


def read_config(directory: str) -> "dict[str, Any]":
    """Read config.json; docker goes on with its defaults when that is missing or malformed, and so do we."""
    return read_json(f"{directory}/config.json")


def read_json(path: str) -> "dict[str, Any]":
    """Read a JSON object from a file; empty where there is none."""
    try:
        with open(path, "rb") as file:
            settings = loads(file.read())
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _context_name(options: Globals, environ: "Mapping[str, str]", settings: "dict[str, Any]") -> str:
    """Choose the context: the options win, then the environment, then config.json."""
    if options.context:
        return options.context
    if options.host_given or environ.get("DOCKER_HOST"):
        return "default"
    current = settings.get("currentContext")
    return environ.get("DOCKER_CONTEXT") or (current if isinstance(current, str) else "") or "default"


def _default_endpoint(options: Globals, environ: "Mapping[str, str]") -> Endpoint:
    """Build the endpoint of -H, DOCKER_HOST and the TLS options."""
    verify = options.tlsverify
    if verify is None and environ.get("DOCKER_TLS_VERIFY"):
        verify = True
    tls_on = bool(options.tls or verify is not None or environ.get("DOCKER_TLS"))
    host = (options.host if options.host_given else environ.get("DOCKER_HOST", "")).strip()
    host = normal_host(host or (DEFAULT_TLS_HOST if tls_on else DEFAULT_HOST))
    if not tls_on:
        return Endpoint(host, "default")
    place = environ.get("DOCKER_CERT_PATH") or config_directory(environ)
    files = {"ca": options.tlscacert, "cert": options.tlscert, "key": options.tlskey}
    chosen = {name: given or f"{place}/{name}.pem" for name, given in files.items()}
    if verify and not exists(chosen["ca"]):
        raise CliError(f"cannot read the TLS authority {chosen['ca']}")
    present = {name: path if exists(path) else "" for name, path in chosen.items()}
    return Endpoint(host, "default", {**present, "verify": bool(verify)})


def normal_host(host: str) -> str:
    """Complete an address as docker does: tcp is the default scheme, 2375 its port."""
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "tcp", host
    if scheme not in SCHEMES:
        raise CliError(f"unable to parse docker host `{host}`: addresses begin with unix://, tcp:// or ssh://")
    if scheme == "unix" and not rest:
        return DEFAULT_HOST
    if scheme == "tcp":
        place, slash, path = rest.partition("/")
        if ":" not in place.rpartition("]")[2]:
            place = f"{place or 'localhost'}:2375"
        rest = place + slash + path
    return f"{scheme}://{rest}"


def _context_endpoint(directory: str, name: str) -> Endpoint:
    """Read a named context from docker's store."""
    digest = _digest(name)
    meta = f"{directory}/contexts/meta/{digest}/meta.json"
    try:
        with open(meta, "rb") as file:
            stored = loads(file.read())
    except FileNotFoundError:
        given = any(word.startswith("--config") for word in LINE["words"][: LINE["options"]])
        hint = shell_line(["docker", *(["--config", directory] if given else []), "context", "ls"])
        raise CliError(f'context "{name}" does not exist', hint) from None
    except (OSError, ValueError) as problem:
        raise CliError(f'context "{name}" cannot be read: {problem}') from problem
    docker = _key(_key(stored, "Endpoints"), "docker")
    host = _key(docker, "Host")
    tls = f"{directory}/contexts/tls/{digest}/docker"
    skip = bool(_key(docker, "SkipTLSVerify"))
    found = Endpoint(normal_host(host if isinstance(host, str) and host else DEFAULT_HOST), name)
    if exists(f"{tls}/.") or skip:
        files = {each: f"{tls}/{each}.pem" for each in ("ca", "cert", "key")}
        present = {each: path if exists(path) else "" for each, path in files.items()}
        found.tls = {**present, "verify": not skip}
    return found


def _digest(name: str) -> str:
    """Name a context's directory; hashlib itself loads OpenSSL, which takes 4 ms."""
    try:
        from _sha2 import sha256  # type: ignore[import-not-found]  # CPython 3.12
    except ImportError:
        try:
            from _sha256 import sha256  # type: ignore[import-not-found]
        except ImportError:
            from hashlib import sha256
    return str(sha256(name.encode("utf-8", "surrogateescape")).hexdigest())


def exists(path: str) -> bool:
    """Tell whether there is such a file, as os.path does."""
    try:
        posix.stat(path)
    except (OSError, ValueError):
        return False
    return True


def _key(value: object, name: str) -> object:
    """Look a key up as Go's JSON does, whatever its case; None where there is none."""
    if not isinstance(value, dict):
        return None
    for key, item in value.items():
        if isinstance(key, str) and key.lower() == name.lower():
            return item
    return None
