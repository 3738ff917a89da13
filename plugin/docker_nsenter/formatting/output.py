"""Print what was found: as JSON, or drawn for a person."""

import sys

from ..packages import add_packages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def show(found: "dict[str, Any]", kind: str, *, as_json: bool, verbose: bool = False, one_line: bool = False) -> int:
    """Print a `listing`, a `card` or an `explanation`, as JSON perhaps in `one_line`; return the exit status."""
    if as_json:
        import json

        sys.stdout.write(json.dumps(found, indent=None if one_line else 2) + "\n")
        return 0
    add_packages()
    from . import cards, listing, preview  # rich takes 50 ms to import

    if kind == "explanation":
        preview.show(found, verbose=verbose)
    else:
        {"listing": listing.show, "card": cards.show}[kind](found)
    return 0
