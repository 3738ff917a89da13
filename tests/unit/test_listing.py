"""--list: whose a namespace is, what is beyond docker's default, and how that reads."""

from typing import Any

import pytest
from docker_nsenter.cli import options
from docker_nsenter.cli.request import parse
from docker_nsenter.commands.list import listing, relate
from docker_nsenter.engine import http
from docker_nsenter.engine.containers import Container
from docker_nsenter.engine.endpoints import Endpoint
from docker_nsenter.enter.linux.capabilities import names
from docker_nsenter.errors import CliError
from docker_nsenter.formatting import cards, console
from docker_nsenter.formatting import listing as drawn
from docker_nsenter.planning import defaults


def container(name: str, **changes: Any) -> Container:
    """A running container that no process of this machine belongs to."""
    found = Container()
    found.name, found.id, found.pid, found.status = name, name[0] * 64, 1, "running"
    for attribute, value in changes.items():
        setattr(found, attribute, value)
    return found


def row(name: str, **spaces: tuple[int, str]) -> dict[str, Any]:
    """A row with some namespaces."""
    found = {kind: {"inode": inode, "of": of, "with": [], "joined": ""} for kind, (inode, of) in spaces.items()}
    return {"name": name, "id": name[0] * 64, "namespaces": found}


def test_a_shared_namespace_names_the_others() -> None:
    rows = [row("web", net=(7, "own"), pid=(8, "own")), row("proxy", net=(7, "own"), pid=(1, "host"))]
    rows[1]["namespaces"]["net"]["joined"] = "w" * 64
    relate(rows)
    assert rows[0]["namespaces"]["net"] == {"inode": 7, "of": "shared", "with": ["proxy"], "joined": ""}
    assert rows[1]["namespaces"]["net"] == {"inode": 7, "of": "shared", "with": ["web"], "joined": "web"}
    assert rows[0]["namespaces"]["pid"]["of"] == "own"
    assert rows[1]["namespaces"]["pid"]["of"] == "host"


def test_an_engine_elsewhere_is_taken_at_its_word() -> None:
    found = listing(
        [
            container("web", cap_add=["NET_ADMIN"], cap_drop=["CHOWN"], pid_mode="host"),
            container("proxy", network_mode=f"container:{'w' * 64}"),
        ],
        local=False,
    )
    web, proxy = found["containers"]
    assert (web["beyond_default"], web["below_default"], web["seccomp_filters"]) == (["NET_ADMIN"], ["CHOWN"], 1)
    assert web["namespaces"]["pid"]["of"] == "host"
    assert proxy["namespaces"]["net"]["with"] == ["web"]
    assert (web["namespaces"]["net"]["of"], web["namespaces"]["net"]["with"]) == ("shared", ["proxy"])
    assert web["namespaces"]["uts"]["of"] == "own"
    assert "another machine" in found["notes"][0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, defaults.CAPABILITIES),
        ({"cap_drop": ["ALL"]}, 0),
        ({"cap_drop": ["ALL"], "cap_add": ["CAP_CHOWN"]}, 1),
        ({"cap_add": ["ALL"]}, (1 << 41) - 1),
        ({"cap_add": ["ALL"], "cap_drop": ["chown"]}, (1 << 41) - 2),
        ({"privileged": True, "cap_drop": ["ALL"]}, (1 << 41) - 1),
    ],
)
def test_dockers_words_make_dockers_set(changes: dict[str, Any], expected: int) -> None:
    assert names(defaults.granted(container("web", **changes), (1 << 41) - 1)) == names(expected)


def test_the_table_fits_80_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    drawn.show(listing([container("web", privileged=True), container("proxy", cap_add=["NET_ADMIN"])], local=False))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "privileged" in said
    assert "+NET_ADMIN" in said


def test_in_a_pipe_a_container_is_one_line_and_nothing_is_cut_or_padded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    long = container("x" * 90, cap_add=["NET_ADMIN", "SYS_PTRACE", "SYS_TIME"], pid_mode="host", memory=64 << 20)
    drawn.show(listing([long, container("web")], local=False))
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert len([line for line in lines if not line.startswith("note: ")]) == 3
    assert "x" * 90 in lines[1] and "+NET_ADMIN, +SYS_PTRACE, +SYS_TIME" in lines[1] and "64 MiB" in lines[1]


def test_only_what_is_unusual_is_red() -> None:
    (usual,) = listing([container("web")], local=False)["containers"]
    odd = listing([container("web", privileged=True, pid_mode="host", cap_add=["SYS_TIME"])], local=False)
    cells = (drawn.who, drawn.namespaces, drawn.sets, drawn.filters)
    assert {style for cell in cells for _, style in cell(usual)} == {"", console.NAME}
    found = {text for cell in cells for text, style in cell(odd["containers"][0]) if style == console.WARNING}
    assert {"privileged", "the host's pid", "none"} < found
    assert [text for text in found if text.endswith("nearly all of the host's")]


def test_limits_have_units_and_what_is_the_same_is_said_once() -> None:
    found = cards.cgroup_limits({"memory.max": "67108864", "memory.swap.max": "max", "cpu.max": "50000 100000"})
    assert found == {"memory": "64 MiB", "swap": "unlimited", "CPUs at most": "0.5"}
    old = {"memory.limit_in_bytes": "9223372036854771712", "cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}
    assert cards.cgroup_limits(old) == {"memory": "unlimited", "CPUs at most": "unlimited"}
    assert cards.limit_text([8 << 20, None], "stack size") == "8 MiB, at most unlimited"
    row = {"uid_map": [[0, 0, 4294967295]], "gid_map": [[0, 0, 4294967295]], "cgroups": {"cpu": "/a", "pids": "/a"}}
    facts = {"beyond_default": [], "below_default": [], "seccomp_filters": 1, "no_new_privs": False, "label": ""}
    shown = cards.sections({**row, **facts, "namespaces": {}, "effective": [], "bounding": []})
    assert shown["Identity"] == [("ids", "the host's", "")]
    assert shown["Cgroups"] == [("path", "/a", "")]
    assert shown["Capabilities"][0] == ("effective, bounding", "none", "")


def test_list_needs_no_container_and_no_typer() -> None:
    plain = parse(["--list"])
    assert plain is not None
    assert plain[1:] == ("", [])
    assert options.read(["--list"]) == plain
    assert (
        options.request_of(["--list", "web"]).container == options.request_of(["--inspect", "web"]).container == "web"
    )
    with pytest.raises(CliError, match="no container"):
        options.request_of(["--inspect"])
    with pytest.raises(CliError, match="takes no command"):
        options.request_of(["--list", "web", "ls"])
    with pytest.raises(CliError, match="no container"):
        options.request_of(["--dry-run"])


def test_answers_that_follow_each_other_are_told_apart() -> None:
    connection = http.Connection(Endpoint("unix:///nowhere", "default"), 1)
    connection.rest = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2;x=y\r\n2]\r\n0\r\n\r\n"
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    )
    assert [connection.receive() for _ in range(3)] == [(200, b"{}"), (200, b"[1,2]"), (404, b"")]


def test_where_a_column_would_break_a_word_each_container_is_a_paragraph(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = listing([container("web", cap_add=["DAC_READ_SEARCH"], user="65532")], local=False)
    monkeypatch.setenv("COLUMNS", "60")
    drawn.show(found)
    said = capsys.readouterr().out
    assert {"web", "capabilities", "+DAC_READ_SEARCH", "unlimited"} <= {*said.replace(",", "").split()}
    assert max(map(len, said.splitlines())) <= 60
    monkeypatch.setenv("COLUMNS", "80")
    drawn.show(found)
    assert capsys.readouterr().out.splitlines()[0].split()[:3] == ["container", "user", "memory"]
