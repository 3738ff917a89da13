"""The help says every option, in any width, with and without colour."""

import os
import re
import subprocess
import sys

import pexpect
import pytest
from docker_nsenter.cli import folding, generate, grammar, help, manual, options
from docker_nsenter.cli.folding import ALIASES
from hypothesis import given, settings
from hypothesis import strategies as st

OPTIONS = [*grammar.FLAGS, *grammar.VALUES]
PLUGIN = os.path.dirname(os.path.dirname(os.path.dirname(help.__file__)))
SHOW = [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path.insert(0, {PLUGIN!r}); "]
MAIN = "from docker_nsenter.__main__ import main; sys.argv[1:] = ['nsenter', '--help']; main()"


def test_the_texts_are_what_the_app_generates() -> None:
    with open(manual.__file__) as file:
        assert file.read() == generate.manual()


def test_the_man_page_is_what_the_app_generates_and_names_every_option() -> None:
    page = generate.PAGE.read_text()
    assert page == generate.man()
    for word in OPTIONS:
        assert spelled(word).replace("-", "\\-") in page
    for word in ("ENVIRONMENT", "FILES", "--tools alpine".replace("-", "\\-"), f'"{options.DATE}"'):
        assert word in page


def spelled(word: str) -> str:
    """Write an option as the help does: a pair is one word, and what docker run calls it is said once."""
    if word.endswith(("network", "network-only", "cgroupns", "cgroupns-only")):
        return ALIASES[0] if "network" in word else ALIASES[1]
    folded = word.replace("--no-", "--[no-]")
    return (
        folded
        if word in ("--no-tty", "--no-join-cgroup")
        else word.replace("--tty", "--[no-]tty").replace("--join-cgroup", "--[no-]join-cgroup")
    )


def test_one_screen_of_help_is_one_screen() -> None:
    lines = help.screen().splitlines()
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    assert len(manual.USUAL) == 10 and len(manual.EXAMPLES) == 5
    assert [word for word, _ in manual.USUAL if word not in OPTIONS] == []


def test_no_option_is_described_by_what_it_is_not() -> None:
    for _, rows in manual.PANELS:
        for words, _, text in rows:
            for _, sense in folding.folded(words, text):
                assert " / " not in sense and "(none)" not in sense


def test_the_help_names_every_option() -> None:
    text = help.text()
    for word in OPTIONS:
        if not word.startswith("--no-") and not word.endswith("-only"):
            assert spelled(word) in text, word
    for word in ("--no-NAME", "--NAME-only", "--[no-]join-cgroup", "--[no-]tty", "--help", "--version"):
        assert word in text


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("width", [60, 80, 96])
def test_the_help_fits_its_width(width: int, boxes: bool) -> None:
    lines = help.text(width, boxes=boxes).splitlines()
    unbreakable = ("Usage:", "  docker nsenter")
    assert all(len(line) <= width for line in lines if not line.startswith(unbreakable))
    if boxes:
        assert {len(line) for line in lines if line[:1] in "╭│╰" and line} == {width}


def test_colour_changes_no_letter() -> None:
    plain = help.text(80, boxes=True)
    assert re.sub(r"\x1b\[\d*m", "", help.paint(plain)) == plain


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([*OPTIONS, "--help", "-h", "--version", "web", "--env=a", "-it", "--", "-x", "x"]), max_size=5
    )
)
def test_help_is_shown_at_once_only_where_typer_would_show_it(line: list[str]) -> None:
    if help.wanted(line):
        first = next(at for at, word in enumerate(line) if word in help.ASKING)
        with pytest.raises(options.HelpWanted):
            options.read(line[: first + 1])


def shown(columns: int, **environment: str) -> str:
    """Show the help on a terminal."""
    env = {"PATH": os.environ["PATH"], "TERM": "xterm", **environment}
    child = pexpect.spawn(SHOW[0], [*SHOW[1:5], SHOW[5] + MAIN], env=env, dimensions=(40, columns), encoding="utf-8")
    text = child.read()
    child.close()
    assert child.exitstatus == 0
    return str(text)


def test_a_terminal_gets_panels_in_colour_and_in_its_width() -> None:
    text = shown(70)
    assert "\x1b[36m" in text
    # yellow and the bright colours can't be read on a white terminal
    assert {*re.findall(r"\x1b\[(\d+)m", text)} <= {"0", "1", "2", "31", "32", "34", "35", "36"}
    plain = re.sub(r"\x1b\[\d*m", "", text)
    assert {len(line) for line in plain.splitlines() if line.startswith("╭")} == {70}


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_refused(name: str, value: str) -> None:
    assert "\x1b" not in shown(80, **{name: value})


def test_in_a_pipe_the_help_is_plain_and_needs_neither_typer_nor_rich() -> None:
    code = SHOW[5] + "import posix; "
    shown = "(print(sorted(sys.modules)), sys.stdout.flush(), old(status))"
    watch = f"old = posix._exit; posix._exit = lambda status: {shown}; "
    done = subprocess.run([*SHOW[:5], code + watch + MAIN], capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout and "╭" not in done.stdout
    loaded = done.stdout.splitlines()[-1]
    assert "'docker_nsenter.cli.help'" in loaded
    assert not {f"'{name}'" for name in ("typer", "rich", "re", "inspect", "docker", "textwrap")} & set(
        loaded.strip("[]").split(", ")
    )
