"""Read what starts an ELF program of 64 bits, little-endian (elf(5))."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

PT_INTERP, ROW = 3, 56  # a program header's size


def loader(file: "BinaryIO") -> "bytes | None":
    """Return the path of the loader that a program names, empty where it names none; None for what is no program."""
    head = file.read(64)
    count = int.from_bytes(head[56:58], "little")
    if head[:6] != b"\x7fELF\x02\x01" or not count:
        return None
    file.seek(int.from_bytes(head[32:40], "little"))
    for row in [file.read(ROW) for _ in range(count)]:
        if int.from_bytes(row[:4], "little") == PT_INTERP:
            file.seek(int.from_bytes(row[8:16], "little"))
            return file.read(int.from_bytes(row[32:40], "little")).partition(b"\0")[0]
    return b""
