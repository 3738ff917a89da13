"""Write the spellings of an option as a reader needs them: pairs in one word, other names of the same left out."""

ALIASES = ("--network", "--cgroupns")
ALIASES_ARE = "Other names of --net and --cgroup, as in docker run; also with --no- and -only"


def folded(words: tuple[str, ...], both: str) -> list[tuple[tuple[str, ...], str]]:
    """Fold --x and --no-x into --[no-]x, leave other names of the same out; two words of two senses are two rows."""
    on, _, off = both.partition(" / ")
    words = tuple(word for word in words if word not in ALIASES)
    negative = next((word for word in words if word.startswith("--no-")), "")
    if off and not negative:
        return [((words[0],), on), ((words[1],), off)]
    if not off or f"--{negative[5:]}" not in words:
        return [(words, both)]
    return [((*(word for word in words if word[1] != "-"), f"--[no-]{negative[5:]}"), on)]
