"""Write JSON without the 8 ms of the json package: by its C functions, or by itself where an interpreter lacks them."""

try:
    from _json import encode_basestring, encode_basestring_ascii
except ImportError:
    encode_basestring = None  # type: ignore[assignment]


def quoted(text: str) -> str:
    """Write a string as JSON that keeps what is not ASCII as it is."""
    if encode_basestring is None:
        import json

        return json.dumps(text, ensure_ascii=False)
    return str(encode_basestring(text))


def dumps(value: object) -> str:
    """Write dicts, lists, strings, whole numbers, booleans and None as JSON in ASCII."""
    if encode_basestring is None:
        import json

        return json.dumps(value)
    if isinstance(value, str):
        return str(encode_basestring_ascii(value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{dumps(str(key))}: {dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(dumps(item) for item in value) + "]"
    raise TypeError(f"not JSON: {type(value).__name__}")
