"""Answer TAB by cobra's completion protocol: quick, and silent whatever the engine or a container does.

A child looks for candidates, without the shell's descriptors; its parent passes on what came in time. So nothing that
hangs (an engine, ssh, a container's file system) can hang the shell. What a container could have named is offered only
when it is made of harmless letters: docker's own scripts for bash hand candidates to `eval` and `compgen -W`.
"""

import os
import posix
import sys
from select import select
from time import monotonic

from ..cli.grammar import FLAGS, VALUES
from ..cli.manual import PANELS
from ..engine.endpoints import Endpoint, Globals, endpoint, split
from ..errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..cli.request import Request
    from ..engine.containers import Container

    Candidates = Iterator[tuple[str, str]]

REQUESTS = ("__complete", "__completeNoDesc")
LIMIT = 0.5  # seconds for all of it, or DOCKER_NSENTER_TIMEOUT; an ordinary answer takes 20 milliseconds
FAR_LIMIT = 3.0  # the same where the engine is reached by ssh or TLS: to connect takes a second
# cobra's directives: the shell may complete this machine's files, or must not; it adds no blank
FILES, NO_SPACE, NO_FILES = 0, 2, 4
HARMLESS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+@:/-")
LONGEST, MOST = 128, 4000
SECURITY = (
    ("seccomp=unconfined", "no filter of system calls"),
    ("apparmor=unconfined", "no AppArmor profile"),
    ("label=disable", "no SELinux label"),
    ("no-new-privileges", "no more power by setuid programs"),
    ("no-new-privileges=false", "setuid programs work"),
)
FILTERS = ("ancestor", "health", "id", "label", "name", "network", "publish", "status", "volume")  # docker-ps(1)
SHELLS = ("bash", "ash", "sh", "dash", "zsh", "fish")


def main(argv: list[str]) -> int:
    """Answer one request; return the exit status, which is always 0."""
    words, options, described = request(argv)
    done, word = words[:-1], words[-1]
    if wants_files(done, word):
        posix.write(1, f":{FILES}\n".encode())
        return 0
    lines = gather(lambda: candidates(done, word, options), limit(options))
    goes_on = len(lines) == 1 and lines[0].partition(b"\t")[0].endswith(b"/")  # a directory
    lines = [line.rstrip(b"\t") if described else line.partition(b"\t")[0] for line in lines]
    answer = b"".join(line + b"\n" for line in lines) + f":{NO_FILES | (NO_SPACE if goes_on else 0)}\n".encode()
    while answer:
        answer = answer[posix.write(1, answer) :]
    return 0


# --- what is asked ---------------------------------------------------------------------------------------------------


def request(argv: list[str]) -> tuple[list[str], Globals, bool]:
    """Return the words behind `nsenter`, docker's own options, and whether descriptions are wanted."""
    kind, words = argv[0], argv[1:]
    if "nsenter" in words[:-1]:  # docker puts it first; the older script for bash may leave options before it
        words = words[words.index("nsenter") + 1 :]
    options, quiet = _dockers_options()
    off = os.environ.get("DOCKER_CLI_DISABLE_COMPLETION_DESCRIPTION")
    setting = os.environ.get("DOCKER_COMPLETION_DESCRIPTIONS") or os.environ.get("COBRA_COMPLETION_DESCRIPTIONS") or ""
    described = kind == REQUESTS[0] and not quiet and not off and setting.lower() not in ("0", "f", "false")
    return words or [""], options, described


def _dockers_options() -> tuple[Globals, bool]:
    """Read docker's options from docker's own command line: it drops them here (docker/cli's plugin manager)."""
    try:
        with open(f"/proc/{posix.getppid()}/cmdline", "rb") as file:
            words = [os.fsdecode(word) for word in file.read(1 << 20).split(b"\0")[1:-1]]
        first, command, rest = split(words)
        if command not in REQUESTS:
            return Globals(), False
        second = split(rest)[0]
        options = split([*first.words, *second.words, "nsenter"])[0]
    except (OSError, CliError):
        return Globals(), False
    return options, command == REQUESTS[1]


def wants_files(done: list[str], word: str) -> bool:
    """Tell whether a file of this machine is wanted: the one thing that shells complete better."""
    option, value, _ = pending(done, word)
    where, at = place_of(done)
    if where == "argument" or (where == "command" and "/" in word):
        line = line_of(done[: at + 1])
        return line is not None and "mnt" not in line.namespaces
    placeholder = placeholders().get(option, "")
    return placeholder == "FILE" or ("PATH" in placeholder.split("|") and value[:1] in ("/", ".", "~") and value != "")


def pending(done: list[str], word: str) -> tuple[str, str, str]:
    """Return the option whose value is being typed, that value, and what stands joined before it; '' for none."""
    where = position(done)
    if where[0] == "value":
        return where[1], word, ""
    if where[0] == "container":
        name, equals, value = word.partition("=")
        if equals and name.startswith("--") and name in VALUES:
            return name, value, ""  # the shells' scripts keep `--name=` themselves
        if len(word) > 2 and word[:2] in VALUES and not word.startswith("--"):
            return word[:2], word[2:], word[:2]
    return "", "", ""


def position(done: list[str]) -> tuple[str, str]:
    """Tell what comes next: (value, OPTION), (container, ''), (command, CONTAINER) or (argument, CONTAINER)."""
    where, at = place_of(done)
    return where, done[at] if where != "container" else ""


def line_of(words: list[str]) -> "Request | None":
    """Read the options before a container, and the container; None for what is odd, or contradicts itself."""
    from ..cli.request import Request, parse

    try:
        plain = parse([*words, "true"])  # several containers need a command
        return Request(*plain) if plain else None
    except CliError:
        return None


def place_of(done: list[str]) -> tuple[str, int]:
    """Tell what comes next, and where the option or the container that decides it stands."""
    at = 0
    while at < len(done) and done[at].startswith("-") and done[at] != "-":
        if done[at] == "--":
            at += 1
            break
        if done[at] in VALUES:
            if at + 1 == len(done):
                return "value", at
            at += 1
        at += 1
    if at >= len(done):
        return "container", -1
    rest = done[at + 1 :]
    return "argument" if rest and rest != ["--"] else "command", at


def placeholders() -> dict[str, str]:
    """Name what stands for each option's value in the help."""
    return {word: value for _, rows in PANELS for words, value, _ in rows for word in words}


# --- in time or not at all -------------------------------------------------------------------------------------------


def limit(options: Globals) -> float:
    """Tell how many seconds there are: fewer than for an entry, unless the user has said how many."""
    from ..engine.http import by_socket, timeout

    if os.environ.get("DOCKER_NSENTER_TIMEOUT"):
        return timeout()
    try:
        return LIMIT if by_socket(endpoint(options, os.environ)) else FAR_LIMIT
    except CliError:  # there is no such context
        return LIMIT


def gather(find: "Callable[[], Candidates]", seconds: float) -> list[bytes]:
    """Let a child find candidates; return the lines that came within the limit."""
    reader, writer = posix.pipe()
    child = posix.fork()
    if not child:
        _find_in_child(find, writer)
    posix.close(writer)
    data, deadline = b"", monotonic() + seconds
    while (left := deadline - monotonic()) > 0 and select([reader], [], [], left)[0]:
        chunk = posix.read(reader, 65536)
        if not chunk:
            break
        data += chunk
    posix.kill(child, 9)  # nobody waits for it: what it hangs in may not let it end
    return data.split(b"\n")[:-1]


def _find_in_child(find: "Callable[[], Candidates]", writer: int) -> None:
    """Write the candidates into a pipe; never return. The shell waits for whoever holds its descriptors."""
    status = 1
    try:
        null = posix.open("/dev/null", posix.O_RDWR)
        for fd in (0, 1, 2):
            posix.dup2(null, fd)
        seen = set()
        for name, what in find():
            if name not in seen:
                posix.write(writer, f"{name}\t{what}\n".encode("utf-8", "replace"))
                seen.add(name)
        status = 0
    finally:  # an engine that is down, a container that has gone: what was found until then is all
        posix._exit(status)


# --- candidates ------------------------------------------------------------------------------------------------------


def candidates(done: list[str], word: str, options: Globals) -> "Candidates":
    """Yield (candidate, description) for the word being typed."""
    where, container = position(done)
    option, value, joined = pending(done, word)
    if option:
        found: Candidates = ((f"{joined}{name}", what) for name, what in values(option, value, options))
    elif where == "container":
        head, comma, last = word.rpartition(",")  # a list: the name behind the last comma
        found = own_options() if word.startswith("-") else containers(last, options)
        named = set(head.split(",")) if comma else set()
        found = ((head + comma + name, what) for name, what in found if name not in named)
    else:
        line = line_of([*done[: place_of(done)[1]], container])
        if line is None or "mnt" in line.namespaces:
            found = inside(container, word, line, options, command=where == "command")
        else:
            found = hosts(path_of([f"PATH={os.environ.get('PATH', '')}"])) if where == "command" else iter(())
    yield from ((name, what) for name, what in found if name.startswith(word if not option else joined + value))


def own_options() -> "Candidates":
    """Yield every option with its help."""
    for _, rows in PANELS:
        for words, _, text in rows:
            on, _, off = text.partition(" / ")
            for word in words:
                negative = word in FLAGS and not FLAGS[word][1]
                yield word, (off or on) if negative else on


def values(option: str, value: str, options: Globals) -> "Candidates":
    """Yield what an option takes."""
    parameter = VALUES[option][0]
    placeholder = placeholders()[option].split("|")
    if parameter in ("cap_add", "cap_drop"):
        yield from capabilities(value)
    elif parameter == "security_opt":
        yield from SECURITY
    elif parameter == "profile":
        from ..planning.profiles import PROFILES

        yield from ((name, each.text) for name, each in PROFILES.items())
    elif parameter == "user":
        yield from users(value, options)
    elif parameter == "filter":
        yield from filters(value, options)
    elif parameter == "env":
        yield from ((name, "") for name in sorted(os.environ) if harmless(name))
    elif parameter == "shell":
        yield from ((name, "") for name in SHELLS)
    else:
        yield from ((word, "") for word in placeholder if word.islower())
        if "IMAGE" in placeholder:
            yield from images(options)


def capabilities(value: str) -> "Candidates":
    """Yield capability names in the spelling that was begun, behind those of a list that stand there."""
    from ..enter.linux.capabilities import NUMBERS

    head, comma, last = value.rpartition(",")
    listed = {name.upper().removeprefix("CAP_") for name in head.split(",")}
    for name in ["ALL", *sorted(NUMBERS)]:
        spelled = f"CAP_{name}" if last.upper().startswith("CAP_") else name
        if name not in listed:
            yield head + comma + (spelled.lower() if last and last == last.lower() else spelled), ""


def harmless(name: str) -> bool:
    """Tell whether a name that a stranger chose may reach the shell as a word."""
    return 0 < len(name) <= LONGEST and name[0] != "-" and HARMLESS.issuperset(name)


def clean(text: str) -> str:
    """Reduce a description that a stranger chose to harmless letters."""
    return "".join(letter if letter in HARMLESS or letter in " ,()" else "?" for letter in text[:80])


# --- from the engine -------------------------------------------------------------------------------------------------


def fetch(path: str, options: Globals) -> bytes:
    """Ask the engine; CliError or OSError when it does not say 200."""
    from ..engine import http

    place = endpoint(options, os.environ)
    if not http.by_socket(place):
        from ..packages import add_packages

        add_packages()
    status, body = http.ask(place, "GET", path, seconds=http.timeout())
    if status != 200:
        raise CliError(f"HTTP status {status}")
    return body


def rows(path: str, options: Globals) -> "list[dict[str, object]]":
    """Ask the engine for a list."""
    from ..enter.jsonlite import loads

    try:
        listed = loads(fetch(path, options))
    except ValueError:
        return []
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []


def containers(word: str, options: Globals) -> "Candidates":
    """Yield running containers: names, and for a word that is begun also services, IDs and processes."""
    if word.startswith("pid"):
        yield from processes()
    listed = rows("/containers/json", options)
    about = {str(row.get("Id")): clean(f"{_short(str(row.get('Image')))}, {row.get('Status')}") for row in listed}
    for row in listed:
        names = row.get("Names")
        for name in names if isinstance(names, list) else []:
            if harmless(str(name).lstrip("/")):
                yield str(name).lstrip("/"), about[str(row.get("Id"))]
    if not word:  # one name in two spellings would stop the shell from completing it
        return
    from ..engine.names import spellings

    for row in listed:
        yield from ((name, about[str(row.get("Id"))]) for name in sorted(spellings(row)) if harmless(name))
    for identity, text in about.items():
        if harmless(identity):
            yield identity[: max(12, len(word))], text


def filters(value: str, options: Globals) -> "Candidates":
    """Yield what docker ps filters running containers by, and behind label= the labels that they have."""
    key, equals, _ = value.partition("=")
    if not equals:
        yield from ((f"{name}=", "") for name in FILTERS)
        return
    for row in rows("/containers/json", options):
        labels = row.get("Labels")
        found = [f"{name}={text}" for name, text in labels.items()] if isinstance(labels, dict) else []
        words = {"label": found, "name": [str(name).lstrip("/") for name in _list(row.get("Names"))]}.get(key, [])
        yield from ((f"{key}={word}", "") for word in words if harmless(word.replace("=", "")))


def _list(value: object) -> "list[object]":
    return value if isinstance(value, list) else []


def _short(image: str) -> str:
    """Shorten an image that has no name any more to what docker ps shows."""
    return image[7:19] if image.startswith("sha256:") else image


def processes() -> "Candidates":
    """Yield this machine's processes that live among other files than ours."""
    if sys.platform != "linux":
        return
    own = posix.readlink("/proc/self/ns/mnt")
    for number in sorted(int(name) for name in posix.listdir("/proc") if name.isdigit()):
        try:
            if posix.readlink(f"/proc/{number}/ns/mnt") != own and posix.readlink(f"/proc/{number}/exe"):
                with open(f"/proc/{number}/comm", "rb") as file:
                    yield f"pid:{number}", clean(file.read(64).decode("utf-8", "replace").strip())
        except OSError:  # another user's, a kernel's thread, or it has ended
            continue


def images(options: Globals) -> "Candidates":
    """Yield the engine's images."""
    for row in rows("/images/json", options):
        tags = row.get("RepoTags")
        yield from ((str(tag), "image") for tag in (tags if isinstance(tags, list) else []) if harmless(str(tag)))


# --- from the containers' files --------------------------------------------------------------------------------------


def users(value: str, options: Globals) -> "Candidates":
    """Yield users of the running containers, or behind USER: their groups; which one it will be is not typed yet."""
    from ..enter.linux.credentials import rows as split_rows

    name, colon, _ = value.partition(":")
    path, fields = ("/etc/group", 3) if colon else ("/etc/passwd", 4)
    found: dict[str, list[str]] = {}
    deadline = monotonic() + limit(options) / 25
    for row in rows("/containers/json", options):
        title = clean(str((row.get("Names") or ["?"])[0]).lstrip("/"))  # type: ignore[index]
        for entry in split_rows(file_of(str(row.get("Id")), path, options), fields):
            if harmless(entry[0]) and entry[2].isdigit():
                found.setdefault(entry[0], []).append(f"{int(entry[2][:10])} in {title}")
        if monotonic() > deadline:
            break
    for login, places in found.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield (f"{name}:{login}" if colon else login), f"{'gid' if colon else 'uid'} {places[0]}{more}"


def file_of(container: str, path: str, options: Globals) -> bytes:
    """Read a small regular file of a container's through the engine, which sends it as a tar archive; b'' for none."""
    from ..engine.containers import quote

    try:
        archive = fetch(f"/containers/{quote(container)}/archive?path={quote(path)}", options)
        size = int(archive[124:135] or b"0", 8)
    except (CliError, ValueError):  # no such file; or a size past 8 GiB, which is not octal
        return b""
    regular = archive[156:157] in (b"0", b"\0")
    return archive[512 : 512 + size] if regular and size <= 1 << 20 else b""


def one_of(place: Endpoint, word: str) -> "Container":
    """Find the container, or the first of several: what it has the others may have, too."""
    from ..engine import containers, selection

    if word.startswith("pid:"):
        containers.refuse_elsewhere(word)
        return containers.process(word)
    if selection.means_several(word):
        return selection.find(place, word, [], paused_ok=True).containers[0]
    return containers.find(place, word, paused_ok=True)


def inside(container: str, word: str, line: "Request | None", options: Globals, *, command: bool) -> "Candidates":
    """Yield what the word can be in there: a program of the tools or on the PATH, or a path.

    Root looks for himself. Others, and those whose engine is elsewhere, get the shells that the container lists.
    """
    from ..engine.http import by_socket, is_local

    place = endpoint(options, os.environ)
    local = container.startswith("pid:") or is_local(place)
    if not (local or by_socket(place)):
        from ..packages import add_packages

        add_packages()
    found = one_of(place, container)
    looks = local and posix.geteuid() == 0
    if command and line and line.tools:
        yield from tools(line.tools, options, local=local)
    if looks and (not command or "/" in word):
        yield from paths(found, word, (line.workdir if line else "") or found.workdir or "/")
    elif looks:
        yield from ((name, "") for name in on_path(found, path_of(found.env)))
    elif command and found.id:
        lines = file_of(found.id, "/etc/shells", options).decode("utf-8", "replace").splitlines()
        names = {line.rpartition("/")[2] for line in lines if line.startswith("/")}
        yield from ((name, "shell") for name in sorted(names) if harmless(name))


def tools(word: str, options: Globals, *, local: bool) -> "Candidates":
    """Yield the programs that --tools brings."""
    from ..planning.tools import find

    try:
        planned = find(word, options, local=local, only_look=True)
    except CliError:  # it is not there; what the container has may be
        return
    if planned["kind"] not in ("host", "tree"):
        yield from ((name, "tools") for name in (planned["layers"][0].rpartition("/")[2],) if harmless(name))
        return
    roots = planned["layers"] or ([""] if planned["kind"] == "host" else [])
    for root in roots:
        yield from ((name, "tools") for name, _ in hosts([root + folder for folder in planned["path"]]))


def hosts(directories: list[str]) -> "Candidates":
    """Yield the programs in directories of this machine."""
    from itertools import islice

    for directory in directories[:64]:
        try:
            with os.scandir(directory or ".") as entries:
                for entry in islice(entries, MOST):
                    if harmless(entry.name) and runs(entry):
                        yield entry.name, ""
        except OSError:  # it is not there, or others may not look into it
            continue


def runs(entry: "os.DirEntry[str]") -> bool:
    """Tell whether a directory's entry may be a program; a link's target is not looked at."""
    return entry.is_symlink() or (entry.is_file() and bool(entry.stat(follow_symlinks=False).st_mode & 0o111))


def paths(container: "Container", word: str, working: str) -> "Candidates":
    """Yield paths in the container that begin with a word; directories end in a slash."""
    from itertools import islice

    head, slash, _ = word.rpartition("/")
    above = (head or "/") if slash else "."
    for entry in islice(listed(container, [above if above.startswith("/") else f"{working}/{above}"]), MOST):
        if harmless(entry.name):
            folder = entry.is_dir(follow_symlinks=False)
            yield f"{head}{slash}{entry.name}{'/' if folder else ''}", ""


def path_of(environment: list[str]) -> list[str]:
    """Split the PATH that a command would have."""
    from ..planning.plan import DEFAULT_PATH

    words: Mapping[str, str] = dict(word.split("=", 1) for word in [DEFAULT_PATH, *environment] if "=" in word)
    return words["PATH"].split(":")


def on_path(container: "Container", directories: list[str]) -> "Iterator[str]":
    """Yield the names of programs in directories of a container's."""
    for entry in listed(container, directories):
        if runs(entry) and harmless(entry.name):
            yield entry.name


def listed(container: "Container", directories: list[str]) -> "Iterator[os.DirEntry[str]]":
    """Yield what is in directories of a container's; its links are followed inside its root only."""
    from itertools import islice

    from ..enter.errors import EntryError
    from ..enter.linux import syscalls
    from ..enter.target import pin

    try:
        root = pin(container.pid, container.id, container.owner).root()
    except EntryError:  # it has ended, or its number means somebody else here
        return
    flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC
    for directory in directories[:32]:
        try:
            within = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
            fd = syscalls.openat2(root, os.fsencode(directory or "/"), flags, within)
            with os.scandir(fd) as entries:
                yield from islice(entries, MOST)
        except OSError:  # it is not there
            continue
