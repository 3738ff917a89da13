"""Write and read the frames that a client and its helper exchange: a letter, the length in four bytes, the payload.

To the helper: I (the caller's standard descriptors), P (the Plan, or a document of several), D (input), E (its end), W
(Linux's struct winsize), S (a signal, by Linux's number), C (nobody reads the output with this letter any more), G (the
client goes).
From it: H (it runs, on which kernel, under a filter or not), 1 and 2 (output, errors), A (so many bytes of input have
been read), Z (the command has stopped), X (its exit status), F (filters, made anew).
"""

from ..start import SEVERAL

LARGEST = 64 << 20
SIZE = 4  # bytes of a length
HEAD = 1 + SIZE  # bytes before the payload


def frame(letter: bytes, payload: bytes = b"") -> bytes:
    """Write one frame."""
    return letter + len(payload).to_bytes(SIZE, "big") + payload


def several(parts: "list[bytes]") -> bytes:
    """Write the document of several Plans (document.py): a letter, and each part behind its length."""
    return SEVERAL + b"".join(len(part).to_bytes(SIZE, "big") + part for part in parts)


class Frames:
    """Collect bytes and take whole frames out of them."""

    def __init__(self) -> None:
        """Begin with nothing received."""
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """Take what came."""
        self._data += data

    def take(self) -> "tuple[bytes, bytes] | None":
        """Return the next whole frame, or None; ValueError for one that is larger than any of ours."""
        if len(self._data) < HEAD:
            return None
        size = int.from_bytes(self._data[1:5], "big")
        if size > LARGEST:
            raise ValueError("a frame is too large")
        if len(self._data) < HEAD + size:
            return None
        letter, payload = bytes(self._data[:1]), bytes(self._data[HEAD : HEAD + size])
        del self._data[: HEAD + size]
        return letter, payload
