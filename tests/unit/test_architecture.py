"""docs/architecture.md draws the rooms as they are."""

import ast
import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "plugin/docker_nsenter"
PAGE = (TOP / "docs/architecture.md").read_text()


def layers() -> list[set[str]]:
    """Read the rooms from the contract, the highest first (tomllib needs Python 3.11)."""
    text = (TOP / "pyproject.toml").read_text()
    found = re.search(r'type = "layers".*?layers = \[(.*?)\]', text, re.S)
    assert found
    return [set(word.split(" | ")) for word in re.findall(r'"(.+?)"', found[1])]


def drawn() -> set[tuple[str, str]]:
    """Read the arrows of the picture."""
    picture = PAGE.partition("```mermaid")[2].partition("```")[0]
    return set(re.findall(r'^ +(\w+)(?:\["[^"]*"\])? --> (\w+)', picture, re.M))


def imported() -> set[tuple[str, str]]:
    """Find which room imports which, from the code."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = parts[: len(parts) - node.level]
                names = [node.module] if node.module else [each.name for each in node.names]
                found |= {(parts[0], (base + name.split("."))[0]) for name in names}
    return {(one, other) for one, other in found if one != other}


def test_the_picture_has_every_room_of_the_contract_and_no_other() -> None:
    picture = PAGE.partition("```mermaid")[2].partition("```")[0]
    nodes = set(re.findall(r"\b(\w+)\[", picture))
    assert nodes == {room for layer in layers() for room in layer}


def test_every_arrow_of_the_picture_is_in_the_code_and_points_down() -> None:
    depth = {room: at for at, layer in enumerate(layers()) for room in layer}
    assert drawn() <= imported()
    assert not [arrow for arrow in drawn() if depth[arrow[0]] >= depth[arrow[1]]]


def test_every_file_that_the_page_names_exists() -> None:
    for name in re.findall(r"`([\w/.-]+\.(?:py|c))`", PAGE):
        places = [PACKAGE / name, TOP / name]
        assert any(place.exists() for place in places), name
