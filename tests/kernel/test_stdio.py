"""The pty comes from a genuine devpts and nothing else."""

import os
import subprocess
from pathlib import Path

import pytest
from docker_nsenter.enter import mounts, stdio
from docker_nsenter.enter.refusal import Refusal


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
    with pytest.raises(Refusal, match="no devpts"):
        open_below(tmp_path)


def test_the_private_null_is_not_the_hosts() -> None:
    fd = mounts.private_null()
    try:
        assert os.fstat(fd).st_rdev == os.makedev(1, 3)
        assert os.fstat(fd).st_dev != Path("/dev/null").stat().st_dev
        assert os.write(fd, b"gone") == 4
        assert os.read(fd, 1) == b""
    finally:
        os.close(fd)
