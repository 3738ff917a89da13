"""The right process or none."""

import os
import subprocess
from collections.abc import Callable

import pytest
from docker_nsenter.enter.errors import EntryError
from docker_nsenter.enter.target import Target, pin


def test_a_process_that_is_gone_is_refused() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(EntryError, match="no longer exists"):
        pin(gone.pid, "")


def test_a_process_of_no_container_is_refused_for_a_container(unshared: Callable[..., int]) -> None:
    with pytest.raises(EntryError, match="not belong to the container"):
        pin(unshared(), "a" * 64)


def test_a_process_of_the_host_is_refused_for_a_container() -> None:
    host = subprocess.Popen(["sleep", "100"])
    try:
        with pytest.raises(EntryError, match="not belong to the container"):
            pin(host.pid, "b" * 64)
    finally:
        host.kill()
        host.wait()


def test_a_pinned_process_that_ends_is_known_to_have_ended() -> None:
    mortal = subprocess.Popen(["sleep", "100"])
    target = Target(mortal.pid)
    assert target.alive()
    mortal.kill()
    mortal.wait()
    assert not target.alive()


def test_status_is_read_as_the_kernel_writes_it() -> None:
    target = Target(os.getpid())
    assert target.status["Uid"] == [os.getuid()] * 4
    assert target.status["Groups"] == sorted(os.getgroups()) or target.status["Groups"] == os.getgroups()
