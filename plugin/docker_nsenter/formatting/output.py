"""Print what was found: as JSON, or drawn for a person."""

import sys

from ..packages import add_packages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def show(found: "dict[str, Any]", kind: str, *, as_json: bool) -> int:
    """Print a `listing`, a `card` or an `explanation`; return the exit status."""
    if as_json:
        import json

        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    add_packages()
    from . import tables  # rich takes 50 ms to import

    draw = {"listing": tables.show_listing, "card": tables.show_card, "explanation": tables.show_explanation}
    draw[kind](found)
    return 0
