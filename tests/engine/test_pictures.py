"""The documents' pictures say what the program says."""

import html
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from ..pictures import CELL, PICTURES, PLACE, RUN, TOP, current, text_of

# Asks the browser where it draws each text, and how far that reaches
MEASURE = """<script>
document.body.innerText = JSON.stringify([...document.querySelectorAll("g text")].map(
    each => (box => [each.getStartPositionOfChar(0).x, each.y.baseVal[0].value, box.x + box.width])(each.getBBox())))
</script>"""
Run = tuple[float, float, float]  # where a run of words begins, its line, and where its cells end


def runs(name: str) -> list[Run]:
    """List the runs of a picture by what it asks for."""
    found = RUN.findall((PLACE / f"{name}.svg").read_text())
    return [(float(x), float(y[3:-1]), float(x) + CELL * len(html.unescape(text))) for _, x, y, _, text in found]


@pytest.mark.timeout(300)
def test_the_pictures_are_current() -> None:
    assert not current(), "scripts/pictures draws them anew"


def test_the_documents_show_every_picture_and_each_has_text() -> None:
    pages = [TOP / "README.md", *(TOP / "docs").glob("*.md")]
    shown = " ".join(page.read_text() for page in pages)
    for name in PICTURES:
        assert f"pictures/{name}.svg)" in shown
        assert len(text_of((PLACE / f"{name}.svg").read_text())) > 4


def test_no_place_of_a_word_depends_on_blanks() -> None:
    """Librsvg drops blanks at the ends of a text, and takes no notice of its length."""
    for name in PICTURES:
        found = RUN.findall((PLACE / f"{name}.svg").read_text())
        assert len(found) > 4
        assert [text for *_, text in found if re.search(r"^(?:&#160;|\s)|(?:&#160;|\s)$|&#160;&#160;", text)] == []


@pytest.mark.parametrize("name", PICTURES)
def test_librsvg_draws_each_run_of_words_in_its_column(name: str) -> None:
    """Ask for a drawing of lines: there each run is one path."""
    picture = PLACE / f"{name}.svg"
    drawn = subprocess.check_output(["rsvg-convert", "--format=svg", picture], text=True)
    left, top = map(float, re.findall(r'<g transform="translate\(([\d.]+), ([\d.]+)\)"', picture.read_text())[-1])
    boxes = []
    for path in re.findall(r' d="([^"]+)"', drawn):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
        across, down = numbers[::2], numbers[1::2]
        boxes.append((min(across) - left, max(across) - left, min(down) - top, max(down) - top))
    wanted = runs(name)
    for begin, line, end in wanted:
        fitting = [
            1
            for x, reach, up, low in boxes
            if up > line - 20 and low < line + 8 and abs(x - begin) < CELL and reach < end + 2
        ]
        assert fitting, (begin, line)


@pytest.mark.parametrize("name", PICTURES)
def test_a_browser_draws_each_run_of_words_in_its_column(name: str, browser: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><body>{(PLACE / f'{name}.svg').read_text()}{MEASURE}")
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    dom = subprocess.check_output(
        words, text=True, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(tmp_path)}
    )
    drawn = json.loads(re.findall(r"\[\[.*\]\]", dom)[0])
    wanted = runs(name)
    for begin, line, end in wanted:
        assert [1 for x, y, reach in drawn if abs(y - line) < 1 and abs(x - begin) < 1 and reach < end + 2], (
            begin,
            line,
        )
