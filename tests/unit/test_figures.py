"""The documents' figures are those of the last measurement: docs/bench.json."""

import json
import runpy
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
ROWS = json.loads((TOP / "docs/bench.json").read_text())
BENCH = runpy.run_path(str(TOP / "scripts/bench"))


def test_the_page_and_the_chart_show_the_last_measurement() -> None:
    said = "scripts/bench --redraw writes them anew"
    text = (TOP / "docs/performance.md").read_text()
    assert BENCH["figures"](ROWS) in text, said
    assert BENCH["page"](text, ROWS) == text, said
    assert BENCH["chart"](ROWS) == (TOP / "docs/pictures/bench.svg").read_text(), said


def test_another_measurement_changes_every_figure() -> None:
    other = {name: {**row, "ratio": row["ratio"] * (3 if "floor" in name else 2)} for name, row in ROWS.items()}
    before, after = (BENCH["figures"](rows).splitlines() for rows in (ROWS, other))
    assert [line for line, changed in zip(before[2:], after[2:], strict=True) if line and line == changed] == []


def test_no_figure_of_the_page_is_written_by_hand() -> None:
    text = (TOP / "docs/performance.md").read_text().replace(BENCH["figures"](ROWS), "")
    assert [word for word in text.split() if word.strip(".,:;()").replace(".", "").isdecimal()] == ["0.50"]
