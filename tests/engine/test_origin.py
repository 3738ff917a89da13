"""As root, nothing is done with code that others can change: no entry, and no list, no plan, no helper, no help."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import Done, Run
from .conftest import Plugin, run_words

OTHER = 41_778
LINES = [
    ("--list",),
    ("--list", "--format", "json"),
    ("--dry-run", "web"),
    ("--route", "helper", "web", "true"),
    ("--route=helper", "web", "true"),
    ("--help",),
    ("-h",),
]
Launch = Callable[..., Done]


@pytest.fixture
def launch(plugin: Plugin, tmp_path: Path, engine: dict[str, str]) -> Launch:
    """Start a plugin of which one file is somebody else's, as docker starts it."""

    def call(spoiled: "str | None", *words: str) -> Done:
        plugin()
        place = max(tmp_path.glob("config-*"), key=lambda path: path.stat().st_ctime_ns)
        if spoiled is not None:
            os.chown(place / "plugin/docker_nsenter" / spoiled, OTHER, OTHER)
        return run_words(str(place / "cli-plugins/docker-nsenter"), *words, env=engine)

    return call


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_no_line_goes_on_with_code_that_others_can_change(launch: Launch, line: tuple[str, ...]) -> None:
    for spoiled in (
        "enter/errors.py",
        "commands/list.py",
        "",
    ):  # what is loaded already, what is not yet, the directory
        done = launch(spoiled, "nsenter", *line)
        assert done.returncode == 125
        assert done.stdout == ""
        assert done.stderr.startswith("docker nsenter: refusing to run code as root that others can change"), (
            done.stderr
        )
        assert len(done.stderr.splitlines()) == 2


def test_tab_offers_nothing_then(launch: Launch, run: Run) -> None:
    name = run()
    assert name in launch(None, "__complete", "nsenter", name[:12]).stdout
    done = launch("commands/list.py", "__complete", "nsenter", name[:12])
    assert (done.returncode, done.stdout, done.stderr) == (0, ":4\n", "")
