"""The security module of this machine, and SELinux made to deny."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import Done

ENABLED = Path("/sys/kernel/security/lsm")
ENFORCE = Path("/sys/fs/selinux/enforce")
ADMIN = "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023"


def enabled() -> str:
    """Name the security module of this machine, which may have none."""
    names = ENABLED.read_text().split(",") if ENABLED.exists() else []
    return next((name for name in ("selinux", "apparmor") if name in names), "")


@pytest.fixture(scope="session", autouse=True)
def module() -> str:
    """Name the security module; without one there is nothing to test."""
    return enabled() or pytest.fail("neither AppArmor nor SELinux is enabled on this machine")


@pytest.fixture
def admin(engine: dict[str, str], module: str) -> "Iterator[Admin]":
    """Run lines as who types at an enforcing machine: SELinux's unconfined_t, where there is SELinux."""
    before = ENFORCE.read_text() if module == "selinux" else ""
    if before:
        subprocess.run(["setenforce", "1"], check=True)
    yield Admin(engine, ("runcon", ADMIN) if module == "selinux" else ())
    if before:
        subprocess.run(["setenforce", before], check=True)


class Admin:
    """Call a shell with a line."""

    def __init__(self, engine: dict[str, str], words: tuple[str, ...]) -> None:
        """Remember the words that change the domain."""
        self.engine, self.words = engine, words

    def __call__(self, line: str) -> Done:
        """Run it to its end."""
        words = [*self.words, "sh", "-c", line]
        return subprocess.run(words, env=self.engine, capture_output=True, text=True, timeout=250, check=False)
