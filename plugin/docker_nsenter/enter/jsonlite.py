"""Read the Plan's JSON without the 8 ms of the json package.

The C scanner that the json package itself uses is enough; it is the same in CPython 3.10 to 3.14. Where an
interpreter lacks it, the json package does the work.
"""

try:
    from _json import make_scanner
except ImportError:
    make_scanner = None  # type: ignore[assignment,misc]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

WHITESPACE = " \t\n\r"


class _Rules:
    """Carry the settings that the C scanner reads: those of json.loads."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    memo: "dict[str, str]" = {}

    @staticmethod
    def parse_constant(name: str) -> float:
        """Refuse NaN and Infinity, which are not JSON."""
        raise ValueError(f"not JSON: {name}")


def loads(text: "bytes | str") -> "Any":
    """Parse one JSON document; raise ValueError for anything else."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    if make_scanner is None:
        import json

        return json.loads(text)
    start = len(text) - len(text.lstrip(WHITESPACE))
    scan: Callable[[str, int], tuple[Any, int]] = make_scanner(_Rules())  # type: ignore[arg-type]
    try:
        value, end = scan(text, start)
    except (StopIteration, RecursionError, SystemError) as problem:  # SystemError: 3.10, 3.11 without json.decoder
        raise ValueError("not JSON") from problem
    if text[end:].strip(WHITESPACE):
        raise ValueError("not JSON: text after the document")
    return value
