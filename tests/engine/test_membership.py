"""Which process is a container's: every honest kind is entered, nothing that somebody made to look like one is."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..conftest import Call, Run, children, wait_until
from .conftest import answering

PidOf = Callable[[str], int]
Named = Callable[[str, int], dict[str, str]]
USER = 41_777
BOUND = ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname")
OVER = tuple(word for path in BOUND for word in ("-v", f"{path}:{path}:ro"))
MOUNTS = ("--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined", "--security-opt", "seccomp=unconfined")
JAIL = "mkdir -p /jail/bin /jail/old && cp -a /bin/. /jail/bin/ && "
GONE = f"umount -l {' '.join(BOUND)} && "
LASTING = "sleep 100000"
# What a container's first process may do before it is entered, and with which flags
HONEST: dict[str, tuple[tuple[str, ...], str]] = {
    "plain": ((), f"exec {LASTING}"),
    "binds over all three files": (OVER, f"exec {LASTING}"),
    "the host's network": (("--network", "host"), f"exec {LASTING}"),
    "the host's network, binds over all three": (("--network", "host", *OVER), f"exec {LASTING}"),
    "another's network": (("--network", "container:OTHER"), f"exec {LASTING}"),
    "another's network, binds over all three": (("--network", "container:OTHER", *OVER), f"exec {LASTING}"),
    "the host's processes": (("--pid", "host"), f"exec {LASTING}"),
    "another's processes": (("--pid", "container:OTHER"), f"exec {LASTING}"),
    "an init of docker's": (("--init",), f"exec {LASTING}"),
    "read-only": (("--read-only",), f"exec {LASTING}"),
    "a cgroup elsewhere": (("--cgroup-parent", "/elsewhere"), f"exec {LASTING}"),
    "a user": (("--user", "1000:1000"), f"exec {LASTING}"),
    "SYS_ADMIN and no filter": (MOUNTS, f"exec {LASTING}"),
    "a chroot": ((), f"{JAIL}exec chroot /jail /bin/{LASTING}"),
    "a chroot, binds over all three": (OVER, f"{JAIL}exec chroot /jail /bin/{LASTING}"),
    "all three unmounted": (MOUNTS, f"{GONE}exec {LASTING}"),
    "all three unmounted, a chroot": (MOUNTS, f"{GONE}{JAIL}exec chroot /jail /bin/{LASTING}"),
    "pivot_root, and the old root unmounted": (
        MOUNTS,
        f"{JAIL}mount --bind /jail /jail && cd /jail && pivot_root . old && umount -l /old && exec {LASTING}",
    ),
    "pivot_root into a tmpfs": (
        MOUNTS,
        f"{JAIL}mkdir /new && mount -t tmpfs t /new && cp -a /jail/. /new/ && cd /new"
        f" && pivot_root . old && exec {LASTING}",
    ),
}


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_container_is_entered_on_this_machine(run: Run, docker: Call, nsenter: Call, kind: str) -> None:
    flags, deed = HONEST[kind]
    if "container:OTHER" in flags:
        other = run()
        flags = tuple(flag.replace("OTHER", other) for flag in flags)
    name = run(*flags, "-e", "WHO=this-one", command=("sh", "-c", deed))
    wait_until(lambda: LASTING in docker("top", name, "-eo", "pid,args").stdout, "it has done what it does")
    done = nsenter("--route", "local", name, "sh", "-c", "echo $WHO")
    assert done.stdout == "this-one\n", done.stderr
    assert json.loads(nsenter("--list", "--format", "json", name).stdout)["notes"] == []


# --- forgeries --------------------------------------------------------------------------------------------------------


@pytest.fixture
def named(docker: Call, engine: dict[str, str], tmp_path: Path) -> Iterator[Named]:
    """An engine of root's that names another process, as one in another pid namespace or of another kernel does."""
    servers: list[socket.socket] = []

    def serve(name: str, pid: int) -> dict[str, str]:
        found = json.loads(docker("inspect", name).stdout)[0]
        found["State"]["Pid"] = pid

        def answer(client: socket.socket) -> None:
            client.recv(65536)
            client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(found).encode())
            client.close()

        servers.append(answering(tmp_path / "engine.sock", answer))
        return {**engine, "DOCKER_HOST": f"unix://{tmp_path}/engine.sock"}

    yield serve
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


class Forger:
    """Be a user without any power, and later every process that was started for him."""

    def __init__(self, identity: str) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="nsenter-forger.", dir="/var/tmp"))
        self.bundle = self.place / identity
        self.bundle.mkdir()
        for name in ("hosts", "config.json"):
            (self.bundle / name).write_text('{"root": {"path": "/"}}')
        for path in (self.place, self.bundle, *self.bundle.iterdir()):
            os.chown(path, USER, USER)
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, user: "int | None" = USER) -> int:
        """Start a command in the bundle; return the number of the `sleep` that it ends in."""
        process = subprocess.Popen(words, cwd=self.bundle, user=user, group=user, extra_groups=[] if user else None)
        self.started.append(process)
        return int(wait_until(lambda: sleeping(process.pid), "it sleeps"))

    def end(self) -> None:
        """Leave nothing."""
        for process in self.started:
            for pid in [process.pid, *children(process.pid)]:
                os.kill(pid, 9)
            process.wait()
        shutil.rmtree(self.place)


def sleeping(pid: int) -> int:
    """Find the process that sleeps, a program's or its child's; 0 for none yet."""
    for each in [pid, *children(pid)]:
        if Path(f"/proc/{each}/comm").read_text() == "sleep\n":
            return each
    return 0


FAKE = "mount --bind hosts /etc/hosts && exec sleep 100000"


def by_mounts(forger: Forger, docker: Call, run: Run) -> int:
    """In a user namespace anybody mounts anything."""
    return forger.start("unshare", "-Urm", "sh", "-c", FAKE)


def by_a_parent(forger: Forger, docker: Call, run: Run) -> int:
    """The parent works in a bundle of the user's own making."""
    return forger.start("sh", "-c", f"unshare -Urm sh -c '{FAKE}'; true")


def by_sudo(forger: Forger, docker: Call, run: Run) -> int:
    """The parent is root, as sudo and su are, and works where its caller likes."""
    return forger.start("sh", "-c", f"setpriv --reuid={USER} --clear-groups unshare -Urm sh -c '{FAKE}'; true", user=0)


def by_sudos_words(forger: Forger, docker: Call, run: Run) -> int:
    """Root's program is told a bundle that is real, as only conmon is by Podman."""
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", forger.bundle.name).stdout)
    monitor = Path(f"/proc/{pid}/status").read_text().partition("PPid:")[2].split()[0]
    script = f"setpriv --reuid={USER} --clear-groups unshare -Urm sh -c '{FAKE}'; true"
    return forger.start("sh", "-c", script, "conmon", "-b", os.readlink(f"/proc/{monitor}/cwd"), user=0)


def by_a_delegated_cgroup(forger: Forger, docker: Call, run: Run) -> int:
    """Below a cgroup that is the user's own he makes one that is called by the id."""
    pid = by_mounts(forger, docker, run)
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        place = hierarchy / "nsenter-forger" / forger.bundle.name
        if (hierarchy / "cgroup.procs").exists() and hierarchy.name in ("pids", "freezer"):
            place.mkdir(parents=True, exist_ok=True)
            (place / "cgroup.procs").write_text(str(pid))
    return pid


def by_root_in_a_container(forger: Forger, docker: Call, run: Run) -> int:
    """Root in an ordinary container is uid 0, too, and makes any directory."""
    identity = forger.bundle.name
    deed = f"mkdir /{identity} && cd /{identity} && echo '{{}}' > config.json && sleep 100000; true"
    name = run(command=("sh", "-c", deed))
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", name).stdout)
    return int(wait_until(lambda: sleeping(pid), "it sleeps"))


def by_another_container(forger: Forger, docker: Call, run: Run) -> int:
    """The number is another container's first process."""
    return int(docker("inspect", "-f", "{{.State.Pid}}", run()).stdout)


def by_the_monitor(forger: Forger, docker: Call, run: Run) -> int:
    """The number is that of the container's own monitor, as with a virtual machine."""
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", forger.bundle.name).stdout)
    return int(Path(f"/proc/{pid}/status").read_text().partition("PPid:")[2].split()[0])


FORGERIES = [
    by_mounts,
    by_a_parent,
    by_sudo,
    by_sudos_words,
    by_a_delegated_cgroup,
    by_root_in_a_container,
    by_another_container,
    by_the_monitor,
]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda each: each.__name__)
def test_nothing_that_was_made_to_look_like_a_container_is_entered(
    run: Run, docker: Call, nsenter: Call, named: Named, forge: "Callable[[Forger, Call, Run], int]"
) -> None:
    name = run()
    forger = Forger(docker("inspect", "-f", "{{.Id}}", name).stdout.strip())
    try:
        pid = forge(forger, docker, run)
        done = nsenter("--route", "local", name, "true", env=named(name, pid))
        assert done.returncode == 125, done
        assert f"process {pid} on this machine does not belong to the container" in done.stderr
    finally:
        forger.end()
        for place in Path("/sys/fs/cgroup").glob("*/nsenter-forger"):
            for child in place.iterdir():
                if child.is_dir():
                    wait_until(lambda child=child: not (child / "cgroup.procs").read_text(), "it is empty")
                    child.rmdir()
            place.rmdir()
