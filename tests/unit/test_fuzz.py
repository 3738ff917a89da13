"""Whatever comes in, the answer is a value or a sentence: each target for a moment; scripts/fuzz takes longer."""

import pytest

from ..fuzzing import FOUND, TARGETS, check


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_crashes(name: str) -> None:
    assert check(name, 250) >= 100


@pytest.mark.parametrize("name", TARGETS)
def test_what_once_crashed_does_not_any_more(name: str) -> None:
    for value in FOUND[name]:
        TARGETS[name][1](value)
