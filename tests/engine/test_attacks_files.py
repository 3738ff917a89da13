"""Attack: files and mounts of the container's that a careless root reads, opens, waits for or believes."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import Call, Run, wait_until
from ..machine import LIBRARIES
from ..patience import PATIENCE
from .conftest import Plugin, Raw

HOSTILE = {
    "huge": "dd if=/dev/zero of=$f bs=1M count=64",
    "sparse": "truncate -s 1000000000000 $f",
    "many rows": "yes a:b:1:1 | head -c 1000000 >$f",
    "one row": "head -c 1000000 /dev/zero | tr '\\0' 9 >$f",
    "binary": "head -c 100000 /dev/urandom >$f",
    "a FIFO": "mkfifo $f",
    "an endless device": "mknod $f c 1 5",
    "a terminal": "ln -s /dev/tty $f",
    "a directory": "mkdir $f",
    "a loop of links": "rm -f /etc/passwd /etc/group; ln -s passwd /etc/group; ln -s group /etc/passwd",
    "a magic link": "ln -s /proc/self/fd/0 $f",
    "the log of the kernel": "ln -s /proc/kmsg $f",
    "a way out": "ln -s ../../../../../../../../etc/passwd $f",
    "a link to our standard input": "ln -s /dev/stdin $f",
    "missing": "true",
}


@pytest.mark.timeout(100)
@pytest.mark.parametrize("flags", [(), ("--security-opt", "systempaths=unconfined")], ids=["", "/proc unmasked"])
def test_hostile_passwd_and_group_cost_little_and_end_clearly(
    run: Run, raw: Raw, nsenter: Call, flags: tuple[str, ...]
) -> None:
    """As a FIFO they hang docker exec (20.10), and then even docker rm -f of that container."""
    name = run(*flags)
    for kind, script in HOSTILE.items():
        if flags and "/proc" not in script:
            continue
        made = f"rm -rf /etc/passwd /etc/group; for f in /etc/passwd /etc/group; do {script}; done"
        assert raw(name, "sh", "-c", made).returncode == 0, kind
        began = time.monotonic()
        done = nsenter("-u", "1000:1000", name, "stat", "-Lc", "%u", "/proc/self", timeout=20)
        assert time.monotonic() - began < 8 * PATIENCE, kind
        assert done.stdout == "1000\n" or "larger than 1 MiB" in done.stderr, (kind, done)
        assert len(done.stderr.splitlines()) <= 2
    named = nsenter("-u", "nobody-here", name, "true", timeout=20)
    assert named.returncode == 125
    assert len(named.stderr.splitlines()) <= 2


def test_the_attack_by_a_fifo_is_real(run: Run, docker: Call, nsenter: Call, plugin: Plugin) -> None:
    """Opened by its name, as a library would do it, the container's FIFO holds root for ever."""
    name = run()
    docker("exec", name, "sh", "-c", "rm /etc/passwd; mkfifo /etc/passwd")
    careless = plugin(
        ("enter/linux/credentials.py", "if not S_ISREG(found.st_mode) or not found.st_size:", "if False:"),
        ("enter/linux/credentials.py", "posix.O_RDONLY | posix.O_NONBLOCK |", "posix.O_RDONLY |"),
    )
    assert careless("-u", "1000:1000", name, "true", seconds=3).returncode == 124
    assert nsenter("-u", "1000:1000", name, "true").returncode == 0


@pytest.fixture
def mounter(run: Run, docker: Call) -> Callable[..., str]:
    """Start a container that may mount, and let it spoil its own files."""

    def start(script: str, *flags: str) -> str:
        name = run(*(flags or ("--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined")))
        docker("exec", name, "sh", "-c", script)
        return name

    return start


FAKE_PROC = """
mount -t tmpfs none /proc; mkdir -p /proc/self/fd /proc/self/attr /proc/1 /proc/sys/kernel
for each in self 1; do
    printf 'Name:\\tx\\nCapEff:\\t000001ffffffffff\\nUid:\\t0\\t0\\t0\\t0\\nSeccomp:\\t0\\n' >/proc/$each/status
done
mkfifo /proc/self/attr/current /proc/self/attr/exec /proc/self/uid_map /proc/self/fd/0 /proc/filesystems
ln -s /etc/passwd /proc/self/exe
"""


@pytest.mark.timeout(60)
def test_a_faked_proc_neither_fools_nor_hangs_us(mounter: Callable[..., str], nsenter: Call) -> None:
    name = mounter(FAKE_PROC)
    done = nsenter("-u", "1000:1000", name, "id", "-u", timeout=20)
    assert (done.returncode, done.stdout) == (0, "1000\n"), done.stderr
    done = nsenter("--pid", name, "true", timeout=20)
    assert done.returncode == 125
    assert "SYS_ADMIN" in done.stderr  # who may mount could also read the command's environment
    powerful = mounter(
        FAKE_PROC, "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_MODULE", "--security-opt", "apparmor=unconfined"
    )
    done = nsenter("--pid", powerful, "true", timeout=20)
    assert done.returncode == 125
    assert "no real /proc to mount" in done.stderr


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "left", ["umount /dev/pts /dev/null; rm -rf /dev/*", "umount -l /proc /sys /dev; mkfifo /dev/null"]
)
def test_missing_devices_and_proc_stop_nothing_but_a_terminal(
    mounter: Callable[[str], str], nsenter: Call, left: str
) -> None:
    name = mounter(f"({left}) 2>/dev/null; true")
    assert nsenter(name, "echo", "in", timeout=20).stdout == "in\n"
    assert nsenter("-d", name, "true", timeout=20).returncode == 0
    done = nsenter("-t", name, "true", timeout=20)
    assert done.returncode == 125
    assert "no devpts of its own" in done.stderr


@pytest.mark.timeout(60)
def test_libraries_and_settings_of_the_containers_are_not_opened_before_the_command(
    run: Run, docker: Call, engine: dict[str, str], nsenter: Call
) -> None:
    """Each is a FIFO that nobody writes: who opens one of them waits for ever."""
    trap = f"/lib/{LIBRARIES}/libc.so.6 /lib/{LIBRARIES}/libnss_files.so.2 /usr/lib/locale/locale-archive"
    files = f"/etc/ld.so.preload /etc/ld.so.cache /etc/nsswitch.conf /etc/host.conf /etc/localtime /evil.so {trap}"
    files += f" {os.path.dirname(os.__file__)}/encodings/idna.py /usr/lib/python3/dist-packages/apt.py /usr/bin/python3"
    variables = [f"{key}=/evil.so" for key in ("LD_PRELOAD", "LD_AUDIT", "PYTHONSTARTUP", "LOCPATH", "GCONV_PATH")]
    name = run(*(word for each in [*variables, "PYTHONPATH=/", "PYTHONHOME=/"] for word in ("-e", each)))
    docker("exec", name, "sh", "-c", f"for f in {files}; do mkdir -p ${{f%/*}}/; mkfifo $f; done")
    for options in ((), ("-u", "app"), ("--env-from", "pid"), ("--mount",), ("-d",)):
        assert nsenter(*options, name, "true", timeout=20).returncode == 0
    assert nsenter(name, "no-such-command", timeout=20).returncode == 127
    assert nsenter(name, "\u00fc\u0130.\udcff", timeout=20).returncode == 127


def test_nothing_that_a_container_chose_controls_the_terminal(run: Run, docker: Call, nsenter: Call) -> None:
    """Escape sequences in what the image's author, or a process inside, may name."""
    escape = "\x1b]0;owned\x07\x1b[31m\u202e\x9b2J"
    name = run("-w", f"/{escape}", "-e", f"A={escape}", "--label", f"a={escape}", "--user", "0")
    lines = [
        ("--dry-run", name),
        ("--list",),
        ("-u", escape, name),
        ("-w", f"/nowhere/{escape}", name),
        (name, escape),
        (f"{name}{escape}",),
    ]
    for words in lines:
        done = nsenter(*words)
        shown = done.stdout + done.stderr
        assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(shown), words
        assert shown


def test_a_container_without_anything_is_entered_or_refused_in_one_sentence(
    run: Run, docker: Call, nsenter: Call
) -> None:
    name = run()
    docker("exec", name, "sh", "-c", "rm -rf /etc /tmp /root /home /var /bin/* 2>/dev/null", check=False)
    done = nsenter(name, "true")
    assert done.returncode == 127
    assert done.stderr.startswith("docker nsenter: cannot run true: no such program on the PATH\n")
    assert len(done.stderr.splitlines()) <= 2


def test_the_hosts_files_are_as_before(run: Run, nsenter: Call) -> None:
    """The container's command runs in its own files only: it writes where the host has the same names."""
    before = Path("/etc/passwd").read_bytes()
    assert nsenter(run(), "sh", "-c", "echo evil >/etc/passwd; echo evil >/etc/hostname; rm -rf /tmp").returncode == 0
    wait_until(lambda: Path("/etc/passwd").read_bytes() == before, "it is the same file")
