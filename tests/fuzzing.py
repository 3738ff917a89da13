"""Targets for fuzzing: whatever comes in, the answer is a value or an error with a sentence, never a crash.

Each target is a strategy and a function that takes one value of it; tests/unit/test_fuzz.py runs each for a moment,
scripts/fuzz for as long as it is told. What was found stays below in FOUND.
"""

import atexit
import copy
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import socketpair
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugin"))

from docker_nsenter.cli import options
from docker_nsenter.cli.grammar import FLAGS, VALUES  # noqa: E402
from docker_nsenter.cli.read import read_request
from docker_nsenter.commands import restrictions
from docker_nsenter.engine import containers, endpoints, http, names
from docker_nsenter.engine.containers import Container  # noqa: E402
from docker_nsenter.enter import command, entry, jsonlite, jsonwrite
from docker_nsenter.enter.errors import EntryError, printable  # noqa: E402
from docker_nsenter.enter.launch import LABELS  # noqa: E402
from docker_nsenter.enter.linux import cgroups, credentials, limits, seccomp
from docker_nsenter.enter.session import failures  # noqa: E402
from docker_nsenter.enter.target import parse_status  # noqa: E402
from docker_nsenter.enter.validate import FIELDS, validate  # noqa: E402
from docker_nsenter.errors import CliError  # noqa: E402
from docker_nsenter.planning.plan import make_plan  # noqa: E402

ENVIRON = {"HOME": "/nonexistent", "DOCKER_CONFIG": "/nonexistent", "MINE": "1"}
ENDPOINT = endpoints.Endpoint("unix:///nowhere", "default")

# --- what a shell can pass: any bytes but NUL, as Python decodes them -------------------------------------------------

argument = st.binary(max_size=12).filter(lambda data: 0 not in data).map(os.fsdecode)
DOCKERS = [
    *(f"--{name}" for name in endpoints.STRINGS + endpoints.BOOLEANS),
    *(f"-{letter}" for letter in endpoints.SHORT),
]
values = st.one_of(
    st.sampled_from(
        ["", "true", "F", "unix:///x", "tcp://[::1]:2375/x", "ssh://a@b", "npipe://", "'", '""', "default"]
    ),
    argument,
)
dockers_word = st.one_of(
    st.sampled_from([*DOCKERS, "nsenter", "--", "help", "-", "-Dc", "-cH"]),
    st.builds("{}={}".format, st.sampled_from(DOCKERS), values),
    values,
)
own_word = st.one_of(
    st.sampled_from([*FLAGS, *VALUES]),
    st.builds("{}={}".format, st.sampled_from([*FLAGS, *VALUES]), argument),
    st.sampled_from(
        ["web", "pid:1", "pid:²", "pid:", "--", "-it", "host", "1", "ALL", "NET_ADMIN,cap_chown", "seccomp=unconfined"]
    ),
    st.sampled_from(["json", "pid", "none", "/tmp", "app:1", "A=b", "C", "no-new-privileges:0", "label=disable"]),
    argument,
)


def container() -> Container:
    """Describe a running container."""
    found = Container()
    found.id, found.name, found.pid = "a" * 64, "web", 4242
    found.env, found.workdir, found.user, found.hostname = ["PATH=/bin"], "/srv", "app", "host"
    return found


def words_before(line: list[str]) -> None:
    """Read docker's own words and find the engine."""
    try:
        options, _, rest = endpoints.split(line)
        found = endpoints.endpoint(options, ENVIRON)
    except CliError as problem:
        sound(problem.sentence, problem.status)
        return
    assert len(rest) <= len(line)
    assert found.host.partition("://")[0] in endpoints.SCHEMES


def own_options(line: list[str]) -> None:
    """Read our own words; what is taken makes a Plan that stage 2 accepts."""
    try:
        request = read_request(line)
        if request is not None and not request.listing:
            if request.container.startswith("pid:"):
                assert containers.process(request.container).pid > 0
            made = make_plan(request, container(), environ=ENVIRON, stdin_tty=False, stdout_tty=False)
            assert validate(jsonlite.loads(jsonwrite.dumps(made))) == made
    except (CliError, options.HelpWanted) as problem:
        sound(str(problem), getattr(problem, "status", 0))
    except EntryError as refusal:
        sound(refusal.sentence, refusal.status)


def sound(sentence: str, status: int) -> None:
    """Judge an error: it has a sentence that fits on a screen, and a status of ours."""
    assert isinstance(sentence, str)
    assert status in (0, 125, 126, 127)


# --- what an engine, or whatever listens there, can answer ----------------------------------------------------------

leaf = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8), st.just("\ud800")
)
anything = st.recursive(
    leaf,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
REPLY: dict[str, Any] = {
    "Id": "a" * 64,
    "Name": "/web",
    "State": {"Pid": 4242, "Status": "running", "Running": True, "Paused": False, "Restarting": False, "ExitCode": 0},
    "AppArmorProfile": "docker-default",
    "ProcessLabel": "",
    "Config": {"Hostname": "h", "User": "app", "Env": ["A=1"], "WorkingDir": "/", "Tty": False, "Image": "i"},
    "HostConfig": {
        "GroupAdd": None,
        "SecurityOpt": ["no-new-privileges"],
        "CapAdd": ["NET_ADMIN"],
        "Privileged": False,
    },
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths to all parts of a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, item in inner for each in places(item, (*path, key)))]


def mutated(base: Any, changes: list[tuple[int, Any]]) -> Any:
    """Put other values into a few places of a JSON value."""
    value = copy.deepcopy(base)
    for number, new in changes:
        found = places(value)
        path = found[number % len(found)]
        if not path:
            return new
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = new
    return value


changes = st.lists(st.tuples(st.integers(0, 1000), anything), min_size=1, max_size=4)
replies = st.one_of(
    changes.map(lambda made: b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(mutated(REPLY, made)).encode()),
    st.builds(
        bytes.__add__, st.sampled_from([b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 404 x\r\n\r\n", b""]), st.binary()
    ),
    st.builds(bytes.__add__, st.sampled_from([b"HTTP/1.", b"HTTP/1.0 ", b"HTTP/1.0 2"]), st.binary(max_size=20)),
)
REQUEST = options.request_of(["web", "true"])


def engines_reply(reply: bytes) -> None:
    """Read a reply; what is taken for a container makes a Plan that is accepted, or an error."""
    try:
        ours, theirs = socketpair()
        theirs.sendall(reply)
        theirs.close()
        connection = http.Connection(ENDPOINT, 5)
        connection.socket.close()
        connection.socket = ours
        try:
            _, body = connection.receive()
        except http.Odd:
            return
        finally:
            ours.close()
        try:
            value = jsonlite.loads(body)
        except ValueError:
            return
        try:
            names.choose("web", value, lambda _: {})
        except CliError as problem:
            sound(problem.sentence, problem.status)
        found = containers.read_container(value)
        containers.refuse_unless_running(found, value, paused_ok=False)
        made = make_plan(REQUEST, found, environ=ENVIRON, stdin_tty=False, stdout_tty=False)
        assert validate(jsonlite.loads(jsonwrite.dumps(made))) == made
    except CliError as problem:
        sound(problem.sentence, problem.status)
    except EntryError as refusal:
        sound(refusal.sentence, refusal.status)


# --- what /proc shows of a process that chose its own names, arguments and environment -------------------------------

KERNELS = {
    name: Path(f"/proc/self/{name}").read_bytes() for name in ("status", "limits", "cgroup", "mountinfo", "uid_map")
}


def damaged(text: bytes, hits: list[tuple[int, bytes]]) -> bytes:
    """Overwrite some places of a file of the kernel's."""
    for where, new in hits:
        at = where % (len(text) + 1)
        text = text[:at] + new + text[at + len(new) :]
    return text


proc_files = st.tuples(
    st.one_of(
        st.binary(max_size=300),
        st.builds(
            damaged,
            st.sampled_from(sorted(KERNELS.values())),
            st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=6)), max_size=4),
        ),
    ),
    st.binary(max_size=15),
)


class Environ:
    """Stand for a process whose environment is this."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def read(self, name: str) -> bytes:
        """Read whichever file."""
        return self.text


def begun(target: Any, environment: dict[str, object], who: "credentials.Credentials | None" = None) -> entry.Entry:
    """Stand for an entry that has come so far."""
    found = entry.Entry.__new__(entry.Entry)
    found.__dict__.update(target=target, plan={"environment": environment}, credentials=who)
    return found


def proc_file(value: tuple[bytes, bytes]) -> None:
    """Read files of /proc: the container's names can't change a number, and rubbish is an error that is named."""
    text, name = value
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")  # as the kernel does in status
    status = KERNELS["status"].split(b"\n", 1)[1]
    assert parse_status(b"Name:\t" + escaped + b"\n" + status) == parse_status(status)
    for parse in (parse_status, limits.parse, cgroups.parse, lambda text: cgroups.mounts(text.split(b"\n"))):
        try:
            parse(text)
        except ValueError:
            continue
    with suppress(ValueError):
        containers._inside(1000, text)
    target: Any = Environ(text)
    found = entry.environment(begun(target, {"base": "target", "set": []}))
    assert all(key and b"=" not in key and b"\0" not in key + item for key, item in found.items())
    restrictions.label(target)
    for path in ("/a", "/../x", os.fsdecode(name.replace(b"\0", b""))):
        try:
            place = cgroups.directory(cgroups.mounts(KERNELS["mountinfo"].split(b"\n")), "", path)
            assert ".." not in place.split("/")
        except OSError:
            continue


# --- the container's passwd and group --------------------------------------------------------------------------------

cell = st.one_of(
    st.sampled_from([b"", b"root", b"app", b"0", b"1000", b"2147483647", b"2147483648", b"9" * 30, b"-1", b"+", b"#"]),
    st.sampled_from(["²".encode(), "٣".encode(), b"\xff", b"app,root,,app", b" 7 ", b"\r"]),
    st.binary(max_size=6),
)
account_files = st.one_of(
    st.binary(max_size=200), st.lists(st.lists(cell, max_size=8).map(b":".join), max_size=6).map(b"\n".join)
)
users = st.one_of(
    st.sampled_from(["", "app", "root", "1000", "app:app", ":5", "1000:", "0:2147483647", "²", "-1", "a:b:c"]), argument
)
accounts = st.tuples(account_files, account_files, users, st.lists(users, max_size=2))
ROOT = Path(tempfile.mkdtemp(prefix="nsenter-fuzz."))
atexit.register(shutil.rmtree, ROOT)
(ROOT / "etc").mkdir()
ROOT_FD = os.open(ROOT, os.O_PATH | os.O_DIRECTORY)


def passwd_and_group(value: tuple[bytes, bytes, str, list[str]]) -> None:
    """Resolve a user; every id that comes out is one that docker allows."""
    passwd, group, user, added = value
    (ROOT / "etc/passwd").write_bytes(passwd)
    (ROOT / "etc/group").write_bytes(group)
    try:
        found = credentials.resolve(ROOT_FD, user, added)
    except EntryError as refusal:
        assert printable(refusal.sentence) == refusal.sentence
        return
    assert all(0 <= number <= credentials.LARGEST_ID for number in (found.uid, found.gid, *found.groups))
    assert found.groups[0] == found.gid
    assert len(set(found.groups)) == len(found.groups)
    entry.environment(begun(Environ(b""), {"base": "given", "set": []}, found))
    command.candidates([], None, found)


# --- the Plan, and what the processes of an entry say to each other --------------------------------------------------

PLAN = json.loads(json.dumps(make_plan(REQUEST, container(), environ=ENVIRON, stdin_tty=False, stdout_tty=False)))
plans = st.one_of(
    changes.map(lambda made: json.dumps(mutated(PLAN, made)).encode()),
    st.tuples(st.sampled_from(sorted(PLAN)), anything).map(
        lambda pair: json.dumps({**PLAN, pair[0]: pair[1]}).encode()
    ),
    st.builds(
        damaged,
        st.just(json.dumps(PLAN).encode()),
        st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=4)), max_size=3),
    ),
    st.binary(max_size=60),
)


def plan(text: bytes) -> None:
    """Accept a Plan or name what is wrong with it; read JSON as the json package does."""
    try:
        expected = json.loads(text.decode("utf-8", "surrogateescape"), parse_constant=jsonlite._Rules.parse_constant)
    except (ValueError, RecursionError):
        expected = ValueError
    try:
        value = jsonlite.loads(text)
    except ValueError:
        assert expected is ValueError
        return
    assert value == expected
    try:
        taken = validate(value)
    except EntryError as refusal:
        assert printable(refusal.sentence) == refusal.sentence
        return
    assert set(taken) == set(FIELDS)
    assert 0 < taken["target"]["pid"] <= 1 << 22
    for word in [*taken["command"], *taken["environment"]["set"], taken["user"] or "", taken["directory"] or "/"]:
        assert b"\0" not in entry.encode(word)
    json.dumps(taken)


said = st.one_of(
    st.text(max_size=40),
    st.builds(
        "{} {} {} {}".format,
        st.sampled_from(["install", "command", "execve", ""]),
        st.one_of(st.integers(-2, 200), st.sampled_from(["²", "9" * 5000])),
        st.one_of(st.integers(), st.text(max_size=4)),
        st.text(max_size=20),
    ),
)


def childs_words(value: tuple[str, str]) -> None:
    """Word what a process of the entry, perhaps a puppet, reports."""
    word, rest = value
    plan: Any = PLAN
    refusal = failures.explain((word, rest), LABELS, plan)
    assert refusal.sentence.isprintable()
    assert len(refusal.sentence) < 600
    assert refusal.status in (125, 126, 127)


programs = st.lists(
    st.tuples(
        st.sampled_from([0x20, 0x15, 0x25, 0x35, 0x45, 0x54, 0x44, 0x04, 0x94, 0x34, 0x07, 0x87, 0x60, 0x02]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(0, 60).map(lambda number: number & ~3),
    ),
    max_size=12,
)


def bpf(lines: list[tuple[int, int, int, int]]) -> None:
    """Interpret a filter that the kernel would take: every jump lands, the end returns."""
    ending = (0x06).to_bytes(2, "little") + bytes(2) + (0x7FFF0000).to_bytes(4, "little")
    program = b"".join(
        code.to_bytes(2, "little") + bytes([yes, no]) + k.to_bytes(4, "little") for code, yes, no, k in lines
    )
    assert 0 <= seccomp.decide(program + ending * 5, 1) < 1 << 32


TARGETS: dict[str, tuple[Any, Callable[[Any], None]]] = {
    "words before nsenter": (st.lists(dockers_word, max_size=6), words_before),
    "options": (st.lists(own_word, max_size=7), own_options),
    "engine's reply": (replies, engines_reply),
    "proc files": (proc_files, proc_file),
    "passwd and group": (accounts, passwd_and_group),
    "plan": (plans, plan),
    "child's words": (st.tuples(st.sampled_from(["F", "W", "P", "R", "x"]), said), childs_words),
    "seccomp filter": (programs, bpf),
}
# Cases that once crashed, by target; each is run first
FOUND: dict[str, list[Any]] = {
    "words before nsenter": [["-c=\udc80"]],
    "options": [["pid:²"]],
    "engine's reply": [],
    "proc files": [],
    "passwd and group": [
        ("::²:0".encode(), b"", "", []),
        (b"app:x:1:1", b"g:x:" + b"9" * 5000 + b":app", "app", []),
        (b"app:x:" + b"9" * 5000 + b":1", b"", "app", []),
        (b"", b"g:x:\xd9\xa3:", "0:g", []),
    ],
    "plan": [],
    "child's words": [("F", "last 0 " + "9" * 400 + " x"), ("F", "last ² 1 x"), ("F", "execve 0 1 x")],
    "seccomp filter": [],
}


def check(name: str, examples: int, start: "int | None" = None) -> int:
    """Run a target; return how many values it took."""
    strategy, function = TARGETS[name]
    count = 0

    def once(value: Any) -> None:
        nonlocal count
        count += 1
        function(value)

    wanted = settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False
    )
    run = wanted(given(strategy)(once))
    (run if start is None else seed(start)(run))()
    return count


def main(words: list[str]) -> None:
    """Run targets for some seconds each and print how many values each took."""
    seconds = float(words[0]) if words else 600
    for name in words[1:] or TARGETS:
        end, count, rounds = time.monotonic() + seconds, 0, 0
        for value in FOUND[name]:
            TARGETS[name][1](value)
        while time.monotonic() < end:
            count += check(name, 1000, random.SystemRandom().getrandbits(60))
            rounds += 1
        sys.stdout.write(f"{name}: {count} values in {seconds:g} seconds, none crashed\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
