"""The documents' pictures say what the program says."""

import pytest

from ..pictures import PICTURES, PLACE, TOP, current, text_of


@pytest.mark.timeout(300)
def test_the_pictures_are_current() -> None:
    assert not current(), "scripts/pictures draws them anew"


def test_the_documents_show_every_picture_and_each_has_text() -> None:
    pages = [TOP / "README.md", *(TOP / "docs").glob("*.md")]
    shown = " ".join(page.read_text() for page in pages)
    for name in PICTURES:
        assert f"pictures/{name}.svg)" in shown
        assert len(text_of((PLACE / f"{name}.svg").read_text())) > 4
