"""Write JSON without the 8 ms of the json package: by its C functions, or by itself where an interpreter lacks them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

try:
    from _json import encode_basestring, encode_basestring_ascii, make_encoder
except ImportError:
    encode_basestring = None  # type: ignore[assignment]


def quoted(text: str) -> str:
    """Write a string as JSON that keeps what is not ASCII as it is."""
    if encode_basestring is None:
        import json

        return json.dumps(text, ensure_ascii=False)
    return str(encode_basestring(text))


def dumps(value: object) -> str:
    """Write dicts, lists, strings, numbers, booleans and None as JSON in ASCII; TypeError for anything else."""
    if encode_basestring is None:
        import json

        return json.dumps(value)
    encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, False)
    return "".join(encode(value, 0))


def _refuse(value: object) -> "NoReturn":
    raise TypeError(f"not JSON: {type(value).__name__}")
