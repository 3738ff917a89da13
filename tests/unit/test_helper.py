"""The helper's image, what this machine's Python needs, and the frames between client and helper."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
from docker_nsenter.engine.endpoints import Endpoint
from docker_nsenter.enter.session.frames import LARGEST, Frames, frame
from docker_nsenter.routes.helper import images, reaper
from hypothesis import given
from hypothesis import strategies as st

from ..machine import LOADER


@given(st.lists(st.tuples(st.sampled_from("IPDEWSC12AZX"), st.binary(max_size=300))), st.integers(1, 50))
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent: list[tuple[str, bytes]], cut: int) -> None:
    data = b"".join(frame(letter.encode(), payload) for letter, payload in sent)
    frames, came = Frames(), []
    for at in range(0, len(data), cut):
        frames.add(data[at : at + cut])
        while (found := frames.take()) is not None:
            came.append((found[0].decode(), found[1]))
    assert came == sent


def test_a_frame_that_is_larger_than_any_of_ours_is_refused() -> None:
    frames = Frames()
    frames.add(b"D" + (LARGEST + 1).to_bytes(4, "big"))
    with pytest.raises(ValueError, match="too large"):
        frames.take()


def test_the_option_wins_over_the_environment_and_that_over_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint("tcp://elsewhere:2376", "default")
    monkeypatch.delenv("DOCKER_NSENTER_HELPER_IMAGE", raising=False)
    assert (images.wanted(None, endpoint).name, images.wanted(None, endpoint).asked) == (images.DEFAULT, False)
    endpoint.settings = {"helperImage": "third"}
    assert (images.wanted(None, endpoint).name, images.wanted(None, endpoint).asked) == ("third", True)
    monkeypatch.setenv("DOCKER_NSENTER_HELPER_IMAGE", "second")
    assert images.wanted(None, endpoint).name == "second"
    assert images.wanted("first", endpoint).name == "first"


def test_what_is_bound_covers_python_its_library_and_the_loader() -> None:
    paths = images.python_paths()
    for needed in (os.path.realpath(sys.executable), os.__file__, LOADER):
        if Path(needed).exists():
            assert any(Path(needed).is_relative_to(path) for path in paths), needed
    assert not any("site-packages" in path for path in paths)


def test_the_layer_that_is_ours_to_remove_is_that_of_the_empty_archive() -> None:
    assert f"sha256:{hashlib.sha256(images.EMPTY).hexdigest()}" == reaper.NOTHING
