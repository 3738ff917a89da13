"""The pty comes from a genuine devpts and nothing else."""

import gc
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from docker_nsenter.enter import stdio
from docker_nsenter.enter.errors import EntryError
from docker_nsenter.enter.linux import labelled_pipes, lsm, mounts, syscalls

from ..conftest import children, wait_until


def open_below(path: Path) -> tuple[int, int]:
    """Open a pty below a directory."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        return stdio.open_pty(fd)
    finally:
        os.close(fd)


@pytest.fixture
def devpts(tmp_path: Path) -> Path:
    """A root with a devpts of its own, as a container has."""
    (tmp_path / "dev/pts").mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666", "none", tmp_path / "dev/pts"], check=True
    )
    return tmp_path


def test_a_pty_of_the_containers_devpts_is_a_terminal(devpts: Path) -> None:
    try:
        master, slave = open_below(devpts)
        assert os.isatty(slave)
        os.write(master, b"x\n")
        assert os.read(slave, 10) == b"x\n"
        os.close(master)
        os.close(slave)
    finally:
        subprocess.run(["umount", "-l", devpts / "dev/pts"], check=True)


def fake_file(ptmx: Path) -> None:
    """A regular file."""
    ptmx.write_text("")


def fake_null(ptmx: Path) -> None:
    """Another device."""
    os.mknod(ptmx, 0o020666, os.makedev(1, 3))


def fake_device(ptmx: Path) -> None:
    """The right device number, not on a devpts: it would open the host's."""
    os.mknod(ptmx, 0o020666, os.makedev(5, 2))


def fake_link(ptmx: Path) -> None:
    """A link to the host's."""
    ptmx.symlink_to("/dev/pts/ptmx")


def fake_fifo(ptmx: Path) -> None:
    """Something that blocks."""
    os.mkfifo(ptmx)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("fake", [None, fake_file, fake_null, fake_device, fake_link, fake_fifo])
def test_a_fake_or_missing_devpts_is_refused(tmp_path: Path, fake: object) -> None:
    (tmp_path / "dev/pts").mkdir(parents=True)
    if callable(fake):
        fake(tmp_path / "dev/pts/ptmx")
    with pytest.raises(EntryError, match="no devpts"):
        open_below(tmp_path)


def test_the_private_null_is_not_the_hosts() -> None:
    fd = mounts.private_null("")
    try:
        assert os.fstat(fd).st_rdev == os.makedev(1, 3)
        assert os.fstat(fd).st_dev != Path("/dev/null").stat().st_dev
        assert os.write(fd, b"gone") == 4
        assert os.read(fd, 1) == b""
    finally:
        os.close(fd)


def test_pipes_made_by_another_process_are_pipes_and_it_is_gone() -> None:
    """As under SELinux, only without its label: three, each with its own two ends, and nobody else holds one."""
    gc.collect()  # what earlier tests left open
    before, born = set(os.listdir("/proc/self/fd")), children(os.getpid())
    pipes = labelled_pipes.make("", "", 1000)
    assert len({os.fstat(fd).st_ino for pair in pipes for fd in pair}) == 3
    for reader, writer in pipes:
        assert os.readlink(f"/proc/self/fd/{reader}").startswith("pipe:[")
        assert os.fstat(reader).st_uid == 1000
        assert not os.get_inheritable(reader)
        assert not os.get_inheritable(writer)
        os.write(writer, b"carried")
        os.close(writer)
        assert (os.read(reader, 100), os.read(reader, 100)) == (b"carried", b"")
        os.close(reader)
    assert set(os.listdir("/proc/self/fd")) == before
    assert children(os.getpid()) == born  # those of earlier tests


def test_a_label_that_makes_no_pipes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program ends before it has stopped: this is no program of this machine's."""
    monkeypatch.setitem(labelled_pipes.CODE, syscalls.MACHINE, "")
    with pytest.raises(EntryError, match="does not let no_such_t create pipes"):
        labelled_pipes.make("no_such_t", "", 0)


def test_a_stopped_maker_of_pipes_ends_when_we_are_killed() -> None:
    """An orphan that nobody continues would stay for ever."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        child = os.fork()
        if not child:
            labelled_pipes._become("", "", 1000)
        os.waitpid(child, os.WUNTRACED)
        os.write(writer, str(child).encode())
        signal.pause()
    child = int(os.read(reader, 100))
    assert " T " in Path(f"/proc/{child}/stat").read_text()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_until(lambda: not Path(f"/proc/{child}/exe").exists(), "the child ended")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_code_that_makes_pipes_is_its_source(machine: str, tmp_path: Path) -> None:
    """Assembled anew, where there is an assembler for that machine."""
    prefix = "" if os.uname().machine == machine else f"{machine.replace('_', '-')}-linux-gnu-"
    (tmp_path / "source.s").write_text(SOURCES[machine])
    if not shutil.which(f"{prefix}as"):
        return
    subprocess.run([f"{prefix}as", "source.s", "-o", "object"], cwd=tmp_path, check=True)
    subprocess.run([f"{prefix}objcopy", "-Obinary", "-j.text", "object", "code"], cwd=tmp_path, check=True)
    assert (tmp_path / "code").read_bytes().hex() == labelled_pipes.CODE[machine]


SOURCES = {
    "x86_64": """
        mov $3, %ebx
    1:  push %rax
        mov %rsp, %rdi
        xor %esi, %esi
        mov $293, %eax  # pipe2
        syscall
        dec %ebx
        jne 1b
        mov $39, %eax  # getpid
        syscall
        mov %eax, %edi
        mov $19, %esi  # SIGSTOP
        mov $62, %eax  # kill
        syscall
        xor %edi, %edi
        mov $231, %eax  # exit_group
        syscall
    """,
    "aarch64": """
        mov w19, 3
    1:  sub sp, sp, 16
        mov x0, sp
        mov x1, 0
        mov x8, 59  // pipe2
        svc 0
        subs w19, w19, 1
        b.ne 1b
        mov x8, 172  // getpid
        svc 0
        mov x1, 19  // SIGSTOP
        mov x8, 129  // kill
        svc 0
        mov x0, 0
        mov x8, 94  // exit_group
        svc 0
    """,
}


def test_a_label_that_is_no_mount_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container could not set such a one, but its file system could be one that answers anything (FUSE)."""

    class Root:
        def root(self) -> int:
            return os.open(tmp_path, os.O_PATH)

    monkeypatch.setattr(lsm, "active", lambda: "selinux")
    monkeypatch.setattr(lsm.posix, "getxattr", lambda *_: b'x",lowerdir="/\0', raising=False)
    with pytest.raises(EntryError, match="cannot be read"):
        lsm.label_of_files(Root())  # type: ignore[arg-type]
