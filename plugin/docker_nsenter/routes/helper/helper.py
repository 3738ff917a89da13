"""Enter by a helper: stage 2 in a short-lived container on the engine, for who is not root or not there.

On the engine's own machine the helper is this machine's Python, bound read-only into an empty image; elsewhere an image
with Python, to which our code is sent. It gets the rights that the entry needs, no network, and nothing to write to.
"""

import os
import sys
from collections.abc import Iterator

from ...engine import answers, http
from ...engine.endpoints import Endpoint
from ...engine.transport import Stream, attach
from ...enter.errors import EntryError, say
from ...enter.jsonlite import loads
from ...enter.jsonwrite import dumps
from ...enter.linux import capabilities
from ...enter.linux.procfs import read
from ...errors import CliError, again, printable
from ...planning import defaults
from .. import local
from ..plugin_socket import docker_socket
from . import images
from .reaper import DIGITS, PREFIX, Reaper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ...enter.plan import Plan
    from ...enter.session.journal import Journal
    from ...enter.session.recording import Recording
    from ...planning.planned import Planned
    from .client import Client

# What stage 2 itself does: join, trace, read and write the host's /proc and cgroups, become anybody, make a null device
NEEDED = (
    *("SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "SYS_RESOURCE", "SETPCAP", "SETUID", "SETGID", "KILL"),
    *("CHOWN", "FOWNER", "MKNOD", "DAC_OVERRIDE", "DAC_READ_SEARCH"),
    *capabilities.HARMLESS,  # one of them may be the command's guard
)
LIBRARY = __file__.rpartition("/docker_nsenter/")[0]
START = "from docker_nsenter.enter.helper import main; main()"
MAKE = "from docker_nsenter.routes.seccomp_profile import main; main()"  # in the place of START
BOUND = f"import sys; sys.path.insert(0, '/docker-nsenter'); {START}"
SENT = f"""import posix, sys
head, memory = b"", posix.memfd_create("code", 1)
while len(head) < {images.HEAD}:
    head += posix.read(0, {images.HEAD} - len(head)) or posix._exit(125)
size = int.from_bytes(head, "big")
while size:
    data = posix.read(0, min(size, 65536)) or posix._exit(125)
    size -= posix.write(memory, data)
sys.path.insert(0, f"/proc/self/fd/{{memory}}")
{START}
"""
SHOWN = "/tools"  # where the engine shows an image that it keeps in no directories that it names
PYTHON = ["-I", "-S", "-B", "-X", "utf8", "-c"]


def enter(planned: "Planned", more: "Sequence[Planned]" = (), document: "Callable[[], bytes] | None" = None) -> int:
    """Enter by a helper and return the command's exit status.

    For many containers `planned` is one of them, `more` are the others, and `document` writes all their Plans.
    """
    plan, endpoint = planned.plan, planned.endpoint
    assert endpoint is not None
    member = "mnt" in plan["namespaces"] or "pid" in plan["namespaces"]
    if plan["detach"] and not plan["cgroups"]:
        why = "would end with its helper" + ("" if member else "; join its files or its processes to be in it")
        raise CliError(f"a detached command outside the container's cgroup {why}", again(without=["-d", "--detach"]))
    _debug(plan, f"route: helper: {planned.why}")
    helper = Helper(planned, more, document)
    status = helper.run()  # what interrupts this leaves the watcher to think that we were killed
    helper.reaper.let_go()
    return status


def _debug(plan: "Plan", text: str) -> None:
    if plan["debug"]:
        os.write(2, f"docker nsenter: {printable(text)}\n".encode("utf-8", "replace"))


class Helper:
    """Hold the helper's name, and who removes it when we can't."""

    def __init__(self, planned: "Planned", more: "Sequence[Planned]", document: "Callable[[], bytes] | None") -> None:
        """Start the watcher before there is anything to leave behind."""
        assert planned.endpoint is not None
        self.planned, self.plan, self.more, self.document = planned, planned.plan, more, document
        self.endpoint: Endpoint = planned.endpoint
        self.name = f"{PREFIX}{os.urandom(DIGITS).hex()}"
        self.socket = docker_socket()
        self.docker: int | None = None
        self.shows = False  # the tools' image, by the engine
        self.reaper = Reaper(self.endpoint, self.name)

    def run(self) -> int:
        """Start a helper and be its client; have it recorded here, too: the engine's machine may have no journal."""
        try:
            return self._recorded()
        except EntryError as refusal:
            raise CliError(refusal.sentence, refusal.hint, refusal.status) from None
        except answers.Lost as problem:
            try:
                http.ask(self.endpoint, "GET", "/_ping", seconds=http.timeout())
            except CliError:
                raise CliError(f"lost the docker engine at {self.endpoint.host}, and the helper with it") from None
            raise CliError(f"the helper ended without an answer{problem}") from None

    def _recorded(self) -> int:
        told = self._journals()
        recording = _recording(self.plan) if self.plan["record"] else None
        try:
            client = self._start()
            _forget_words()
            for each in told:
                each.start({"SIDE": "client", **({"RECORDING": recording.path} if recording else {})})
        except (CliError, EntryError):
            if recording:
                recording.discard()
            raise
        client.recording, status = recording, 125
        self.plan["record"] = None  # it is here
        try:
            whom = f"{1 + len(self.more)} containers" if self.document else self.plan["target"]["name"]
            text = self.document() if self.document else local.document(self.plan)
            status = client.run(self.plan, self._connected(), whom, text)
        finally:
            for each in () if self.more else told:  # of several only the helper knows how each ended
                each.end(status, client.sent, client.got)
            if recording:
                recording.end(status)
        return status

    def _journals(self) -> "list[Journal]":
        """Open this machine's journal for each entry; where this is no Linux, the engine's machine alone keeps one."""
        if sys.platform != "linux":
            return []
        from ...enter.config import load
        from ...enter.session.journal import Journal

        required = load("/")["journal"] == "required"
        plans = [each.plan for each in (self.planned, *self.more)]
        return [Journal(os.open("/", os.O_PATH | os.O_CLOEXEC), plan, required=required) for plan in plans]

    def _connected(self) -> int:
        """Import what the client needs and hold on to docker: once, while the engine is at its first work."""
        from . import client  # noqa: F401

        if self.docker is None:
            self.docker = _connect(self.socket)
        return self.docker

    # --- starting ----------------------------------------------------------------------------------------------------

    def _start(self) -> "Client":
        """Start a helper of this machine's own Python where the engine is here, else of an image."""
        wanted = images.wanted(self.planned.request.helper_image, self.endpoint)
        if not wanted.asked and http.is_local(self.endpoint):
            try:
                return self._start_bound()
            except (answers.Lost, answers.NotHere) as problem:
                _debug(self.plan, f"this machine's Python can't be the helper: {problem}")
        images.provide(self.endpoint, wanted.name, self._connected)
        if "mnt" not in self.plan["namespaces"] and not self.planned.request.command and not self.plan["shell"]:
            self.plan["command"] = ["/bin/sh"]  # the caller's own shell need not be there
        try:
            return self._begin(wanted.name, ["python3", *PYTHON, SENT], [], images.bundle)
        except (answers.Lost, answers.NotHere) as problem:
            raise CliError(
                f"the helper of image {wanted.name} did not start, which takes Python 3.10 or newer: {problem}"
            ) from None

    def _start_bound(self) -> "Client":
        """Start this machine's Python, bound read-only into an image that holds nothing."""
        self.reaper.note(b"i")
        image = images.empty(self.endpoint, self.name, self._connected)
        mounts = [images.bind(path, path) for path in images.python_paths()]  # all that stage 2 needs is loaded by now
        mounts.append(images.bind(LIBRARY, "/docker-nsenter"))
        command = [os.path.realpath(sys.executable), *PYTHON, BOUND]
        boot = read("/proc/sys/kernel/random/boot_id")
        client = self._begin(image, command, mounts, lambda _: b"", boot)
        outside = "mnt" not in self.plan["namespaces"] and not self.plan["connect"]
        if outside and self.plan["directory"] is None:
            self.plan["directory"] = os.getcwd()
        return client

    def _begin(
        self,
        image: str,
        command: list[str],
        mounts: "list[dict[str, Any]]",
        pack: "Callable[[str], bytes]",
        boot: "bytes | None" = None,
    ) -> "Client":
        """Create, attach, start, greet; once more with less where the engine itself lacks a capability.

        `pack` makes what the helper is sent first, while the engine starts it.
        """
        from .client import Client

        packed: list[bytes] = []
        for held in self._capabilities():
            name = self.reaper.next_name()
            _debug(self.plan, f"helper: {name} of {image}, with {' '.join(held)}")
            try:
                settings = self._settings(image, command, mounts, held)
                stream = self._run(settings, name, lambda: packed.append(pack(LIBRARY)))
            except answers.Lacking as problem:
                lacking = problem
                continue
            client = Client(stream)
            client.bring(packed[-1])
            if client.greeting(boot) and (plans := self._to_copy()):
                stream.close()
                self._make_filters(plans, self._settings(image, _making(command, plans), mounts, held), packed[-1])
                return self._begin(image, command, mounts, pack, boot)
            return client
        raise CliError(f"the engine says: {lacking}")

    def _to_copy(self) -> "list[Planned]":
        """List the entries for which a filter would be copied: the runtime's, or only what its monitor inherited."""
        return [each for each in (self.planned, *self.more) if each.plan["seccomp"] in ("container", "none")]

    def _make_filters(self, plans: "list[Planned]", settings: "dict[str, Any]", code: bytes) -> None:
        """Have the filters made anew, as for a rootless engine: the kernel lets who is filtered copy none."""
        from .client import Client

        _debug(self.plan, "the engine filters its helpers: one makes the container's seccomp filter anew")
        client = Client(self._run(settings, self.reaper.next_name(), bool))
        client.bring(code)
        for each, (program, problem) in zip(plans, loads(client.expect(b"F")), strict=True):
            if problem and each.plan["seccomp"] == "container":
                raise CliError(f"the engine filters its helpers, so that they can't copy a filter; {problem}")
            wanted = [program] if program and each.plan["seccomp"] == "container" else []
            each.plan["filters"] = wanted  # beyond what the helper has inherited from the engine, as the monitor has
            each.plan["seccomp"] = "given" if wanted else "inherited"
        client.stream.close()

    def _run(self, settings: "dict[str, Any]", name: str, meanwhile: "Callable[[], object]") -> Stream:
        """Create a helper, attach, start it; `meanwhile` is called while it starts."""
        created = images.create(self.endpoint, settings, name)
        if shown := [each for each in settings["HostConfig"]["Mounts"] if each["Type"] == "image"]:
            self._show(created, shown[0]["Source"])
        stream = attach(self.endpoint, created)
        try:
            images.start(self.endpoint, created, meanwhile)
        except (answers.Lacking, answers.NotHere):
            stream.close()
            raise
        return stream

    def _show(self, created: str, image: str) -> None:
        """Take an image's files from where the engine mounts them on its machine, as layers are taken from there."""
        path = images.mounted(self.endpoint, created, SHOWN)
        for each in (self.planned, *self.more):
            if tools := each.plan["tools"]:
                tools["layers"] = [path]
        _debug(self.plan, f"{image} is at {path}")

    def _capabilities(self) -> "Iterator[list[str]]":
        """Yield what to ask for: the container's, the Plan's and stage 2's own; then what a lesser engine may have."""
        plan = self.plan["capabilities"]
        everything = (1 << len(capabilities.NAMES)) - 1
        mask = plan["add"] & everything
        for each in (self.planned, *self.more):
            mask |= defaults.granted(each.container, everything)
        if plan["base"] == "caller":
            mask = everything
        names = sorted({*capabilities.names(mask), *NEEDED})
        own = names  # of an engine elsewhere, or outside of the container that we are in, our own set says nothing
        if http.is_local(self.endpoint) and local.is_here(self.planned.container):
            own = capabilities.names(_own_bounding())
        elif mask == everything:
            yield ["ALL"]
        yield [name for name in names if name in own]
        yield [name for name in names if name in own and name != "SYS_RESOURCE"]

    def _settings(
        self, image: str, command: list[str], mounts: "list[dict[str, Any]]", held: list[str]
    ) -> "dict[str, Any]":
        """Write the container's settings: what the entry needs, and nothing to write to, listen on or stay in."""
        shared = [images.bind("/sys/fs/cgroup", "/sys/fs/cgroup", writable=True)]
        tools, source = self.plan["tools"], self.planned.request.tools
        if tools and tools["kind"] == "tree" and (not tools["layers"] or self.shows):
            self.shows = True  # of a second attempt, too
            shared.append({"Type": "image", "Source": source, "Target": SHOWN, "ReadOnly": True})
        host = {
            "AutoRemove": True,
            "CapAdd": held,
            "CapDrop": ["ALL"],
            "CgroupnsMode": "host",
            "IpcMode": "host",
            "LogConfig": {"Type": "none"},
            "Mounts": [*mounts, *shared],
            "NetworkMode": "none" if "net" in self.plan["namespaces"] else "host",
            "PidMode": "host",
            "ReadonlyRootfs": True,
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
            "UTSMode": "host",
            "UsernsMode": "host",
        }
        return {
            "AttachStderr": True,
            "AttachStdin": True,
            "AttachStdout": True,
            "Cmd": command[1:],
            "Entrypoint": command[:1],
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": host,
            "Image": image,
            "Labels": {images.LABEL: self.name},
            "OpenStdin": True,
            "StdinOnce": True,
            "User": "0:0",
            "WorkingDir": "/",
        }


def _connect(name: str) -> int:
    """Connect to docker's socket for plugins, which is a path elsewhere than on Linux; -1 when there is none."""
    if sys.platform == "linux":
        from ...enter.session.client import connect

        return connect(name)
    import socket

    if not name.startswith(("/", "@")):
        return -1
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect("\0" + name[1:] if name.startswith("@") else name)
    except OSError:  # a stale name is passed over
        connection.close()
        return -1
    return connection.detach()


def _forget_words() -> None:
    """Wipe the words of the line from what /proc shows."""
    if sys.platform == "linux":
        from ...enter.hardening import exeseal

        exeseal.entitle(exeseal.words(), "")


def _recording(plan: "Plan") -> "Recording":
    """Open the caller's recording, by his rights, and say so aloud."""
    from ...enter.session.recording import Recording
    from .terminal import window_size

    wanted = plan["record"]
    assert wanted
    place, _, name = wanted["file"].rpartition("/")
    try:
        directory = os.open(place or "/", os.O_RDONLY | os.O_DIRECTORY)
        recording = Recording(directory, name, wanted["file"], keys=wanted["input"])
    except OSError as problem:
        raise EntryError(f"cannot record to {wanted['file']}: {problem.strerror}") from None
    recording.begin(plan["target"]["name"], plan["command"] or ["a shell"], window_size() if plan["tty"] else b"")
    say(f"recording output{' and every key, passwords too,' if recording.keys else ''} to {wanted['file']}")
    return recording


def _making(command: list[str], plans: "list[Planned]") -> list[str]:
    """Turn a helper's command into the one that makes the filters of these entries' containers."""
    whose = [[each.container.pid, each.container.id, each.container.runtime] for each in plans]
    return [*command[:-1], command[-1].replace(START, MAKE), dumps(whose)]


def _own_bounding() -> int:
    """Read our own bounding set, which is the engine's too where that runs on the same machine."""
    for line in read("/proc/self/status").splitlines():
        if line.startswith(b"CapBnd:"):
            return int(line.split()[1], 16)
    return capabilities.ALL
