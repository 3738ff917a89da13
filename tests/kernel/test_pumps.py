"""What carries bytes comes to an end, whatever its two ends do meanwhile."""

import os

import pytest
from docker_nsenter.enter.session.pumps import CHUNK, Pump


@pytest.mark.parametrize("reads_on", [True, False], ids=["its reader goes on", "its reader is gone"])
def test_a_pump_that_found_nothing_ends_with_the_command(reads_on: bool) -> None:
    """A splice can't tell "nothing to read" from "no room": with the command's end it was the former."""
    source, writer = os.pipe()
    reader, sink = os.pipe()
    os.set_blocking(sink, False)
    pump = Pump(source, sink, os.dup(source))
    os.write(sink, b"x" * CHUNK)
    os.write(writer, b"what another reader takes")
    assert pump.carry()
    assert pump.waits()
    os.read(source, CHUNK)
    if not reads_on:
        os.close(reader)
    pump.last()
    turns = 0
    while not pump.waits() and pump.carry():
        turns += 1
        assert turns < 3
    assert not pump.waits()
    for fd in (source, writer, sink, pump.ours, *([reader] if reads_on else [])):
        os.close(fd)
