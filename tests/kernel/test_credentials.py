"""Users and groups from hostile files: bounded, never hanging, never through NSS."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker_nsenter.enter.errors import EntryError
from docker_nsenter.enter.linux.credentials import Credentials, resolve

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/ash\nbad\nhuge:x:99999999999:1::/:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\nextra:x:2000:app,other\naudio:x:29:app\n"

Resolve = Callable[..., Credentials]


@pytest.fixture
def inside(tmp_path: Path) -> Resolve:
    """Resolve a user in a root directory with ordinary files."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)

    def look_up(user: str, groups: list[str] | None = None) -> Credentials:
        fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
        try:
            return resolve(fd, user, groups or [])
        finally:
            os.close(fd)

    return look_up


@pytest.mark.parametrize(
    ("user", "added", "expected"),
    [
        ("", [], (0, 0, [0])),
        ("app", [], (1000, 1000, [1000, 2000, 29])),
        ("1000", [], (1000, 1000, [1000, 2000, 29])),
        ("app:extra", [], (1000, 2000, [2000])),
        ("1000:", [], (1000, 1000, [1000, 2000, 29])),
        (":5", [], (0, 5, [5])),
        ("4242", [], (4242, 0, [0])),
        ("app", ["audio", "7"], (1000, 1000, [1000, 2000, 29, 7])),
        ("2147483647:2147483647", [], (2147483647, 2147483647, [2147483647])),
    ],
)
def test_a_user_is_found_as_docker_does(
    inside: Resolve, user: str, added: list[str], expected: tuple[int, int, list[int]]
) -> None:
    found = inside(user, added)
    assert (found.uid, found.gid, found.groups) == expected


@pytest.mark.parametrize("user", ["nobody-here", "app:no-such-group", "2147483648", "huge", "99999999999999999999999"])
def test_an_unknown_user_or_group_is_refused(inside: Resolve, user: str) -> None:
    with pytest.raises(EntryError):
        inside(user)


def test_missing_files_leave_numbers(inside: Resolve, tmp_path: Path) -> None:
    (tmp_path / "etc/passwd").unlink()
    (tmp_path / "etc/group").unlink()
    found = inside("12:34")
    assert (found.uid, found.gid, found.groups, found.home) == (12, 34, [34], "")


def make_fifo(path: Path) -> None:
    """A FIFO blocks who opens it."""
    os.mkfifo(path)


def make_device(path: Path) -> None:
    """A terminal or kernel log device acts when it is opened."""
    os.mknod(path, 0o020666, os.makedev(1, 5))  # /dev/zero: endless


def make_directory(path: Path) -> None:
    """A directory is no file."""
    path.mkdir()


def make_loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


def make_magic(path: Path) -> None:
    """A magic link leads out of every root."""
    path.symlink_to("/proc/self/fd/0")


def make_escape(path: Path) -> None:
    """An absolute link must stay inside the root."""
    path.symlink_to("/../../../../../../../../../../etc/hostname-of-the-host")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [make_fifo, make_device, make_directory, make_loop, make_magic, make_escape])
@pytest.mark.parametrize("name", ["passwd", "group"])
def test_a_hostile_file_is_as_good_as_none(
    inside: Resolve, tmp_path: Path, make: Callable[[Path], None], name: str
) -> None:
    (tmp_path / "etc" / name).unlink()
    make(tmp_path / "etc" / name)
    assert inside("1000:1000").uid == 1000


def test_a_link_is_followed_inside_the_root_only(inside: Resolve, tmp_path: Path) -> None:
    (tmp_path / "etc/passwd").rename(tmp_path / "etc/real")
    (tmp_path / "etc/passwd").symlink_to("/etc/real")
    assert inside("app").home == "/home/app"


def test_a_huge_file_is_refused(inside: Resolve, tmp_path: Path) -> None:
    with (tmp_path / "etc/passwd").open("ab") as file:
        file.truncate(2 << 20)
    with pytest.raises(EntryError, match="larger than 1 MiB"):
        inside("app")


HOLDER = """import fcntl, os, signal, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
def asked(*_):
    if sys.argv[2] == "polite":
        time.sleep(0.3)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
signal.signal(signal.SIGIO, asked)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
while True:
    time.sleep(1)
"""


@pytest.fixture
def leased(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Have a process hold a lease on /etc/passwd there."""
    held: list[subprocess.Popen[bytes]] = []

    def hold(manner: str) -> None:
        words = [sys.executable, "-c", HOLDER, str(tmp_path / "etc/passwd"), manner]
        held.append(subprocess.Popen(words, stdout=subprocess.PIPE))
        assert held[-1].stdout is not None
        assert held[-1].stdout.readline() == b"held\n"

    yield hold
    for each in held:
        each.kill()
        each.communicate()


def test_a_lease_that_is_given_up_is_waited_for(inside: Resolve, leased: Callable[[str], None]) -> None:
    wanted = inside("app").uid
    leased("polite")
    assert inside("app").uid == wanted


def test_a_lease_that_is_kept_is_named_and_hangs_nobody(inside: Resolve, leased: Callable[[str], None]) -> None:
    leased("stubborn")
    start = time.monotonic()
    with pytest.raises(EntryError, match="has a lease on its /etc/passwd"):
        inside("app")
    assert time.monotonic() - start < 5


def test_binary_rubbish_is_passed_over(inside: Resolve, tmp_path: Path) -> None:
    (tmp_path / "etc/passwd").write_bytes(os.urandom(60000).replace(b"\n", b"") + b"\n" + PASSWD.encode())
    assert inside("app").uid == 1000
