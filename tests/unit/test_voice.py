"""Whatever people read is written in one voice: plain, short, and in the usual words.

`complaints` takes pairs of a place and its text, so that it can judge any text: a page, a help text, an error.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from docker_nsenter.cli import options

from .. import strings

TOP = Path(__file__).resolve().parents[2]
MANUAL = TOP / "docs/docker-nsenter.1"
PAGES = [*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").glob("*.md"))]  # not docs/design: notes for who changes it

NAMED_FIRST = ("AppArmor", "SELinux", "HTTP", "PYTHON")
LONGEST_SENTENCE = 35
LONGEST_LINE = 120
NO_NOUN = "is|are|was|may|can|that|which|and|or|in|to|as"
# "an entry" is what a person does in the code's words; SECURITY.md speaks of kinds of it
PHRASES = (
    ("of the container's", re.compile(rf"\bof the container's(?! (?:own )?(?!(?:{NO_NOUN})\b)[\w/`])", re.I)),
    ("an entry, entries", re.compile(r"\b(?:an|one|each|plain|ordinary|partial|full) entry\b|\bentries\b", re.I)),
)
WITH_ENTRIES = {"SECURITY.md"}
# What is written with a capital in the middle of a heading, too
NAMES = {"AppArmor", "Debian", "Docker", "Linux", "Podman", "Python", "SELinux", "Desktop", "macOS", "Windows"}
# (place, words): why these words may stay
EXCEPTIONS: dict[tuple[str, str], str] = {}


def words_of_a_page(text: str) -> Iterator[str]:
    """Yield headings, sentences' paragraphs, points of a list and cells of a table; no code, no pictures."""
    paragraph: list[str] = []
    for line in [*text.splitlines(), ""]:
        starts = re.match(r" *(?:[-*]|\d+\.) |#+ |\|", line)
        if starts or not line.strip() or line.startswith(("    ", "![", "<", "```")):
            yield " ".join(paragraph)
            paragraph = []
        if line.startswith("|"):
            yield from (cell.strip() for cell in line.strip("|").split("|"))
        elif not line.startswith(("    ", "![", "<", "```")):
            paragraph.append(line.strip())


def words_of_a_manual(text: str) -> Iterator[str]:
    """Yield what roff(7) shows, line by line; a section's title is shouted by custom."""
    for line in text.splitlines():
        if line.startswith(('.\\"', ".TH", ".SH")):
            continue
        plain = re.sub(r'^\.\w+ "?|"$|\\f[A-Z]', "", line).replace("\\-", "-").replace("\\&", "")
        if not plain.startswith("."):
            yield plain


def complaints(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Say of each text what is not in our voice."""
    for place, text in pairs:
        if (place, text) in EXCEPTIONS:
            continue
        for name, pattern in PHRASES:
            if pattern.search(text) and not (place in WITH_ENTRIES and "entr" in name):
                yield f"{place}: {name!r}: {text}"
        if text.startswith("#"):
            yield from (f"{place}: {word!r} in a heading: {text}" for word in capitals(text))
            continue
        for sentence in sentences(text):
            if len(sentence.split()) > LONGEST_SENTENCE:
                yield f"{place}: {len(sentence.split())} words: {sentence}"


def sentences(text: str) -> list[str]:
    """Split at what ends a sentence, or the part of one that can be read alone; code counts as one word."""
    text = re.sub(r"`[^`]*`", "code", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.split(r"(?<=[.?!:;])\)?\s+", text)


def capitals(heading: str) -> list[str]:
    """Find the words of a heading that a sentence would not write with a capital."""
    plain = re.sub(r"`[^`]*`", "code", heading.lstrip("# "))
    return [word for word in re.findall(r"(?<![?:.] )(?<=[ ,])[A-Z][a-z]\w*", plain) if word not in NAMES]


def pairs() -> list[tuple[str, str]]:
    """Collect every text of the documents."""
    found = [(page.name, words) for page in PAGES for words in words_of_a_page(page.read_text())]
    return found + [(MANUAL.name, words) for words in words_of_a_manual(MANUAL.read_text())]


def complaints_of_strings(found: Iterable[strings.String]) -> Iterator[str]:
    """Say of each text of the program what is not in our voice, or not in the form of its kind."""
    for kind, place, text in found:
        yield from complaints([(place, text)])
        if re.search(r"\b(?:the|this) entry\b", text):
            yield f"{place}: an entry is our word for it: {text}"
        if kind in ("error", "hint", "label") and text.endswith("."):
            yield f"{place}: no full stop: {text}"
        if kind in ("error", "label") and text[:1].isupper() and not text.startswith(NAMED_FIRST):
            yield f"{place}: an error goes on after 'docker nsenter: ': {text}"
        if kind == "help" and text.endswith("."):
            first = place == "cli/options.py" and text in options.SUMMARY
            yield from () if first else (f"{place}: no full stop: {text}",)


def test_whatever_the_program_says_is_in_our_voice() -> None:
    assert list(complaints_of_strings(strings.everything())) == []


def test_the_list_of_strings_has_every_kind() -> None:
    # Most hints are the line that was typed, worded by enter/hints.py: no string of the source
    kinds = [kind for kind, _, _ in strings.everything()]
    for kind, least in (("error", 130), ("hint", 5), ("label", 25), ("help", 60), ("printed", 60)):
        assert kinds.count(kind) >= least, kind


def test_the_check_of_strings_hears_what_it_is_for() -> None:
    for kind, text in (("error", "it failed."), ("error", "Not found"), ("hint", "this entry"), ("help", "Do it.")):
        assert list(complaints_of_strings([(kind, "here", text)])), text


def test_the_documents_are_in_our_voice() -> None:
    assert list(complaints(pairs())) == []


def test_a_line_fits_where_it_is_read() -> None:
    for page in PAGES:
        for line in page.read_text().splitlines():
            unbroken = line.startswith("|") or "](" in line
            assert len(line) <= LONGEST_LINE or unbroken, f"{page.name}: {line}"


def test_the_readme_fits_a_narrow_terminal_and_two_screens() -> None:
    lines = (TOP / "README.md").read_text().splitlines()
    assert len(lines) <= 125
    assert [line for line in lines if len(line) > 80] == []


def test_every_exception_is_needed() -> None:
    assert set(EXCEPTIONS) <= set(pairs())


def test_the_check_hears_what_it_is_for() -> None:
    long = "This goes " + "on and " * 20 + "on."
    wrong = ("A terminal of the container's", "Nothing of the container's is run", "an entry is", "# How It Works")
    for text in (*wrong, long):
        assert list(complaints([("here", text)])), text
    for text in ("in the name of the container's owner", "# How Docker works", "Short. " * 40, "## Who? Everybody"):
        assert not list(complaints([("here", text)])), text
