"""ADD of archives: a tar in any compression is unpacked over the image."""

import os
from pathlib import Path

from engine.builder.context import Members
from engine.builder.failures import CopyFailed
from engine.builder.ownership import Owner
from engine.content import compression
from engine.snapshots.tar import BLOCK, Reader, Source, TarError
from engine.snapshots.unpack import UnpackError, fill

_EMPTY = b"\0" * BLOCK


def is_archive(place: str | Path) -> bool:
    """Whether a file begins like a tar, once it's decompressed."""
    try:
        with open(place, "rb", buffering=0) as file:
            pieces = compression.chunks(lambda size: file.read(min(size, 1 << 16)) or b"")
            source = Source(pieces)
            return _begins(source)
    except (TarError, compression.CompressionError):
        return False


def _begins(source: Source) -> bool:
    if source.at_end():
        return False
    block = source.exactly(BLOCK)
    if block == _EMPTY:
        return False
    # as tar(1) reads it: the sum of all bytes, with blanks for the sum itself
    try:
        written = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return sum(block) - sum(block[148:156]) + 8 * 32 == written


def unpack_into(place: str | Path, root: Path, folder: str, owner: Owner | None) -> None:
    """Unpack an archive at `folder` (resolved, relative) of the tree `root`. Blocks.

    No member lands outside of the folder but where the tree's own links lead, and none outside of
    the tree. Raises CopyFailed, OSError.
    """
    with open(place, "rb", buffering=0) as file:
        pieces = compression.chunks(lambda size: file.read(size) or b"")
        try:
            fill(root, Members(Reader(Source(pieces)), owner, folder, devices=True))
        except UnpackError as error:
            raise CopyFailed(f"failed to unpack {os.path.basename(place)}: {error}") from error
