"""Programs in the container get your terminal's abilities, under the name that docker gives every terminal."""

import shutil
import subprocess
from pathlib import Path

import pytest
from docker_nsenter.planning import plan, terminfo
from hypothesis import given
from hypothesis import strategies as st

SOURCE = "{names},\n\tam, kmous=\\E[M, cols#{cols}, setaf=\\E[3%p1%dm, smkx=\\E[?1h{more},\n\tSmulx=\\E[4\\:%p1%dm,\n"


def compiled(place: Path, names: str, *, cols: int = 80, more: str = "") -> dict[str, str]:
    """Compile an entry as the machine's tic does; return the caller's environment."""
    assert shutil.which("tic"), "ncurses-bin is needed"
    (place / "source").write_text(SOURCE.format(names=names, cols=cols, more=more))
    subprocess.run(["tic", "-x", "-o", place, place / "source"], check=True, capture_output=True)
    return {"TERM": names.partition("|")[0], "TERMINFO": str(place)}


def asked(settings: list[str], *words: str) -> str:
    """Ask ncurses, given only what the command would have."""
    env = {"PATH": "/usr/bin:/bin", "TERM": "xterm", **dict(word.split("=", 1) for word in settings)}
    return subprocess.run(["tput", *words], env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("names", ["ghostty-test|Ghostty", "ghostty-test|Ghostt", "k|K"])
@pytest.mark.parametrize("cols", [81, 100000])  # 16 bits, and 32
def test_ncurses_finds_the_callers_terminal_under_dockers_name(tmp_path: Path, names: str, cols: int) -> None:
    settings = terminfo.setting(compiled(tmp_path, names, cols=cols, more="\\Emine"))
    assert [word[:13] for word in settings] == ["TERMINFO=b64:"]
    assert asked(settings, "smkx") == "\x1b[?1h\x1bmine"
    assert asked(settings, "cols") == f"{cols}\n"
    assert asked(settings, "setaf", "3") == "\x1b[33m"
    assert asked(settings, "Smulx", "3") == "\x1b[4:3m"  # an extended ability


def test_another_name_for_the_terminal_is_looked_for_as_ever(tmp_path: Path) -> None:
    settings = terminfo.setting(compiled(tmp_path, "kitty-test|K"))
    assert asked([*settings, "TERM=linux"], "-T", "linux", "kf1") == "\x1b[[A"


@pytest.mark.parametrize("term", ["xterm", "xterm-256color", "linux", "screen", "tmux-256color", "dumb"])
def test_a_common_terminal_is_xterm_as_with_docker_exec(term: str) -> None:
    assert plan._terminfo({"TERM": term}) == []


@pytest.mark.parametrize("term", ["no-such-terminal", "../../etc/passwd", "a/b", "", ".", "x" * 5000])
def test_a_terminal_without_an_entry_is_xterm(term: str, tmp_path: Path) -> None:
    assert plan._terminfo({"TERM": term, "TERMINFO": str(tmp_path), "HOME": str(tmp_path)}) == []


def test_a_large_entry_is_left_out(tmp_path: Path) -> None:
    assert terminfo.setting(compiled(tmp_path, "huge-test|H", more="x" * 4200)) == []


@given(st.binary(max_size=200))
def test_what_is_no_entry_is_none(data: bytes) -> None:
    for magic in (b"\x1a\x01", b"\x1e\x02", b""):
        assert isinstance(terminfo._renamed(magic + data), bytes)
