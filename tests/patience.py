"""How many times as long everything may take here: NSENTER_TEST_PATIENCE, for machines whose processor is emulated."""

import os
import subprocess
from contextlib import suppress
from typing import Any

import pytest

PATIENCE = float(os.environ.get("NSENTER_TEST_PATIENCE", "1"))
if PATIENCE != 1:
    with suppress(ImportError):  # scripts/test-lsm does without
        from hypothesis import settings

        settings.register_profile("patient", deadline=None, max_examples=int(100 / PATIENCE))
        settings.load_profile("patient")


def give(items: list[pytest.Item]) -> None:
    """Scale every limit of time that a test may have: its own, its programs', its terminals'."""
    if PATIENCE == 1:
        return
    for item in items:
        marker = item.get_closest_marker("timeout")
        seconds = marker.args[0] if marker else float(item.config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(seconds * PATIENCE), append=False)
    wait, communicate = subprocess.Popen.wait, subprocess.Popen.communicate

    def patient_wait(self: Any, timeout: "float | None" = None) -> int:
        return wait(self, timeout and timeout * PATIENCE)

    def patient_communicate(self: Any, input: Any = None, timeout: "float | None" = None) -> Any:
        return communicate(self, input, timeout and timeout * PATIENCE)

    subprocess.Popen.wait, subprocess.Popen.communicate = patient_wait, patient_communicate  # type: ignore[method-assign]
    import pexpect  # scripts/test-lsm does without

    expect = pexpect.spawn.__init__

    def patient_spawn(self: Any, *words: Any, timeout: "float | None" = 30, **options: Any) -> None:
        expect(self, *words, timeout=timeout and timeout * PATIENCE, **options)

    pexpect.spawn.__init__ = patient_spawn
