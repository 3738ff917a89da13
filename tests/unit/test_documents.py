"""What the documents tell people to type can be typed, and what they point at exists."""

import json
import re
import runpy
import shlex
from pathlib import Path

import pytest
from docker_nsenter.cli.read import read_request
from docker_nsenter.cli.request import Request
from docker_nsenter.engine.endpoints import split

from .. import reports
from ..lsm.test_attacks import ATTACKS

TOP = Path(__file__).resolve().parents[2]
PAGES = [*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").rglob("*.md"))]
LINE = re.compile(r"(?:^    (?:\$ )?|`)(?:sudo )?(docker (?:-\S+ \S+ )*nsenter [^`#\n]+?)(?: *(?:#.*)?$|`)", re.M)


def lines() -> list[str]:
    """Collect what is to be typed; lines with something left out are no lines."""
    found = {match[1].strip() for page in PAGES for match in LINE.finditer(page.read_text())}
    return sorted(line for line in found if "…" not in line and "[" not in line and "COMMAND" not in line)


@pytest.mark.parametrize("line", lines())
def test_a_line_of_the_documents_can_be_typed(line: str) -> None:
    _, command, rest = split(shlex.split(line)[1:])
    assert command == "nsenter"
    read = read_request(rest)
    assert isinstance(read, Request) or {"-h", "--help", "--version"} & {*rest}


def test_the_documents_have_lines_to_type() -> None:
    assert len(lines()) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_at_exists(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`((?:scripts|docs|tests|plugin)/[\w./-]+)`|\]\(([\w./-]+)\)", text)
    for path in {first or second for first, second in named}:
        assert (TOP / path).exists() or (page.parent / path).exists(), f"{page.name}: {path}"


def test_the_tests_that_a_page_names_exist() -> None:
    named = {match for page in PAGES for match in re.findall(r"`(test_\w+\.py)::(test_\w+)`", page.read_text())}
    assert len(named) > 30
    for file, test in sorted({*named, *(tuple(name.split("::")) for name in reports.every() if "::" in name)}):
        found = [path for path in (TOP / "tests").rglob(file) if f"def {test}(" in path.read_text()]
        assert found, f"{file}::{test}"


def test_the_changes_name_the_version() -> None:
    version = json.loads((TOP / "docker-cli-plugin-metadata").read_text())["Version"]
    assert f"\n## {version}" in (TOP / "CHANGELOG.md").read_text()


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [TOP / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [(page.parent / link).resolve() for link in re.findall(r"\]\(([\w./-]+)\)", page.read_text())]
    assert reached == set(PAGES)


def test_a_package_shows_links_that_lead_somewhere_from_anywhere() -> None:
    absolute = runpy.run_path(str(TOP / "setup.py"))["absolute"]
    text = "[a](docs/a.md) ![b](docs/b.svg) [c](https://c/) [d](#d)"
    public = "[a](https://host/me/it/blob/main/docs/a.md) ![b](https://host/me/it/raw/main/docs/b.svg)"
    assert absolute(text, "https://host/me/it") == f"{public} [c](https://c/) [d](#d)"
    assert absolute(text, "") == text


def test_the_table_of_what_a_module_closes_is_the_one_that_is_measured() -> None:
    text = (TOP / "SECURITY.md").read_text()
    for attack in ATTACKS:
        line = " ".join(attack.line).replace("OWN", "…")
        assert f"\n| `{line}` | {attack.by} | {attack.before[0]} | {attack.before[1] or '–'} | closed |\n" in text
