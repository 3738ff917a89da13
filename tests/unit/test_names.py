"""What a list of the engine's can look like, and which container a word then means."""

from typing import Any

import pytest
from docker_nsenter.engine.names import choose, spellings
from docker_nsenter.errors import CliError, typed


@pytest.fixture(autouse=True)
def line() -> None:
    """Have typed a name, which hints say otherwise."""
    typed([], ["name"], 0)


def row(number: int, name: str, state: str = "running", **labels: str) -> dict[str, Any]:
    """Write a row of /containers/json."""
    return {"Id": f"{number:064x}", "Names": [f"/{name}"], "State": state, "Labels": labels}


def service(project: str, name: str, number: int = 1) -> dict[str, str]:
    """Write compose's labels."""
    values = {"project": project, "service": name, "container-number": str(number), "oneoff": "False"}
    return {f"com.docker.compose.{key}": value for key, value in values.items()}


@pytest.mark.parametrize("listed", [None, {}, [], [None], ["x"], [{}], [{"Id": 1}], [{"Id": "a", "Labels": "x"}]])
def test_an_odd_list_finds_nothing(listed: object) -> None:
    with pytest.raises(CliError, match="no such container: web"):
        choose("web", listed, lambda _: {})


def test_a_container_without_labels_has_no_other_spelling() -> None:
    assert spellings(row(1, "web")) == set()
    assert spellings({"Id": "a", "Labels": None}) == set()


def test_many_candidates_are_cut_off() -> None:
    with pytest.raises(CliError, match="web matches 9 running containers: shop/web/1, .* and 4 more") as caught:
        choose("web", [row(n, f"c{n}", **service("shop", "web", n)) for n in range(1, 10)], lambda _: {})
    assert caught.value.hint == "docker nsenter shop/web/1"


def test_links_are_not_names() -> None:
    linked = {**row(1, "db"), "Names": ["/web/db", "/db"]}
    with pytest.raises(CliError) as caught:
        choose("dbb", [linked], lambda _: {})
    assert caught.value.hint == "docker nsenter db"


def test_candidates_that_labels_cannot_tell_apart_are_named_by_their_containers() -> None:
    """Two containers of one project, service and number: labels that were copied by hand."""
    with pytest.raises(CliError, match="2 running containers: one, two"):
        choose("web", [row(1, "one", **service("shop", "web")), row(2, "two", **service("shop", "web"))], lambda _: {})
