"""Unpack an image that the engine keeps in no directory of its own (vfs, containerd's store) into one of ours."""

import gzip  # noqa: F401  # tarfile imports it when it needs it, which here is after the importer is sealed
import json
import os
import shutil
import sys
import tarfile
import tempfile

from ..errors import CliError, again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OPAQUE, WHITEOUT = ".wh..wh..opq", ".wh."
ZSTD, NO_ZSTD = b"\x28\xb5\x2f\xfd", 3  # what such a layer begins with (RFC 8878), and the child's status


def unpack(chunks: "Iterator[bytes]", place: str, name: str) -> None:
    """Write the root of an image, as `docker save` sends it, to a directory that is there whole or not at all."""
    parent = os.path.dirname(place)
    os.makedirs(parent, mode=0o700, exist_ok=True)
    os.chmod(parent, 0o700)
    _remove_stale(parent)
    partial = f"{parent}/.partial-{os.getpid()}"
    os.mkdir(partial, 0o755)
    try:
        with tempfile.TemporaryFile(dir=parent) as spool:
            for chunk in chunks:
                spool.write(chunk)
            spool.seek(0)
            _unpack_confined(spool.fileno(), partial, name)
        # As the engine does, whatever the image says of its root: every user shall see the tools
        os.chmod(partial, 0o755)  # noqa: S103
        if not os.path.isdir(place):
            os.rename(partial, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_stale(parent: str) -> None:
    """Remove what a killed unpacking left."""
    for entry in os.listdir(parent):
        pid = entry.removeprefix(".partial-")
        if entry.startswith(".partial-") and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(f"{parent}/{entry}", ignore_errors=True)


def _unpack_confined(spool: int, place: str, name: str) -> None:
    """Unpack in a child whose root is the directory: no link in an image leads out of it."""
    child = os.fork()
    if not child:
        status = 1
        try:
            file = os.fdopen(spool, "rb", closefd=False)
            # What this Python lacks (it may have been built without bz2) would come out of the image, and act as root
            sys.meta_path.clear()
            os.chroot(place)
            os.chdir("/")
            os.umask(0)
            unpack_layers(file)
            status = 0
        except (OSError, tarfile.TarError, ValueError, KeyError, EOFError) as problem:
            if str(problem) == "zstd":
                status = NO_ZSTD
            else:  # tarfile has a line for every kind of compression
                reason = str(problem).partition("\n")[0]
                os.write(2, f"docker nsenter: {name}: {type(problem).__name__}: {reason}\n".encode())
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == NO_ZSTD:
        raise CliError(
            f"--tools {name}: the image's layers are compressed by zstd, which Python can read from 3.14 on",
            again(swap=(["--tools"], name, "host")),
        )
    if status:
        raise CliError(f"--tools {name}: the image cannot be unpacked", again(swap=(["--tools"], name, "host")))


def unpack_layers(file: "tarfile._Fileobj") -> None:
    """Unpack the layers of `docker save`, the lowest first, into the current root."""
    with tarfile.open(fileobj=file) as image:
        manifest = image.extractfile("manifest.json")
        assert manifest
        for layer in json.loads(manifest.read())[0]["Layers"]:
            try:
                with tarfile.open(fileobj=image.extractfile(layer)) as tar:
                    for member in tar:
                        _unpack_member(tar, member)
            except tarfile.ReadError:
                packed = image.extractfile(layer)
                zstd = packed and packed.read(4) == ZSTD and not hasattr(tarfile.TarFile, "zstopen")
                raise ValueError("zstd") if zstd else tarfile.ReadError(layer) from None


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    """Unpack a file, or remove what a whiteout hides (OCI image-spec, layer.md)."""
    folder, base = os.path.split(os.path.normpath("/" + member.name))
    if base == OPAQUE:
        for entry in os.listdir(folder):
            _remove(f"{folder}/{entry}")
    elif base.startswith(WHITEOUT):
        _remove(f"{folder}/{base.removeprefix(WHITEOUT)}")
    elif member.isreg() or member.isdir() or member.issym() or member.islnk():
        path = f"{folder}/{base}"
        if os.path.lexists(path) and not (member.isdir() and os.path.isdir(path) and not os.path.islink(path)):
            _remove(path)
        trusted = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
        tar.extract(member, "/", numeric_owner=True, **trusted)  # type: ignore[arg-type]


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
