"""What the documents tell people to type can be typed, and what they point at exists."""

import json
import re
import shlex
from pathlib import Path

import pytest
from docker_nsenter import stage1
from docker_nsenter.docker_cli import split
from docker_nsenter.request import Request

TOP = Path(__file__).resolve().parents[2]
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "CHANGELOG.md", *sorted((TOP / "docs").glob("*.md"))]
LINE = re.compile(r"(?:^    (?:\$ )?|`)(?:sudo )?(docker (?:-\S+ \S+ )*nsenter [^`#\n]+?)(?: *(?:#.*)?$|`)", re.M)


def lines() -> list[str]:
    """Collect what is to be typed; lines with something left out are no lines."""
    found = {match[1].strip() for page in PAGES for match in LINE.finditer(page.read_text())}
    return sorted(line for line in found if "…" not in line and "[" not in line and "COMMAND" not in line)


@pytest.mark.parametrize("line", lines())
def test_a_line_of_the_documents_can_be_typed(line: str) -> None:
    _, command, rest = split(shlex.split(line)[1:])
    assert command == "nsenter"
    read = stage1.read_request(rest)
    assert isinstance(read, Request) or "--help" in rest


def test_the_documents_have_lines_to_type() -> None:
    assert len(lines()) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_at_exists(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`((?:scripts|docs|tests|plugin)/[\w./-]+)`|\]\(([\w./-]+)\)", text)
    for path in {first or second for first, second in named}:
        assert (TOP / path).exists() or (page.parent / path).exists(), f"{page.name}: {path}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_reads_well_in_a_terminal(page: Path) -> None:
    for line in page.read_text().splitlines():
        assert len(line) <= 120 or "|" in line or "](" in line or "`" in line, line


def test_the_changes_name_the_version() -> None:
    version = json.loads((TOP / "docker-cli-plugin-metadata").read_text())["Version"]
    assert f"\n## {version}" in (TOP / "CHANGELOG.md").read_text()


def test_every_page_is_linked_from_the_readme() -> None:
    text = (TOP / "README.md").read_text()
    for page in PAGES[1:]:
        assert str(page.relative_to(TOP)) in text, page.name
