"""The README's pictures say what the program says."""

import pytest

from ..pictures import PICTURES, PLACE, TOP, current, text_of


@pytest.mark.timeout(300)
def test_the_pictures_are_current() -> None:
    assert not current(), "scripts/pictures draws them anew"


def test_the_readme_shows_every_picture_and_each_has_text() -> None:
    readme = (TOP / "README.md").read_text()
    for name in PICTURES:
        assert f"docs/pictures/{name}.svg" in readme
        assert len(text_of((PLACE / f"{name}.svg").read_text())) > 4
