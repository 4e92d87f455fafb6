"""From a folder that a step has filled to a layer: tar and digest in one pass over the files.

The folder itself becomes the unpacked layer, by rename: nothing is copied. Equal files with equal
times give equal layers, byte by byte. The blob stays plain: a push compresses it on its way.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.builder.threads import checkpoint
from engine.content.store import Store as Content
from engine.snapshots.diff import tar_of
from engine.values import dataclass

_PIECE = 1 << 18


@dataclass(frozen=True)
class Sealed:
    """A folder's content as a plain tar. size: bytes of its files; entries: number of inodes."""

    diff_id: str
    blob_size: int
    size: int
    entries: int


def seal(content: Content, diff: Path, epoch: int | None = None) -> Sealed | None:
    """Store what is in `diff` as a layer's blob; None when there is nothing. Blocks.

    The blob, named by the diff_id, isn't synced yet. With `epoch` (seconds; SOURCE_DATE_EPOCH) no
    file keeps a later time. Raises OSError.
    """
    size, entries = _measure(diff, None if epoch is None else epoch * 1_000_000_000)
    if not entries:
        return None
    ingest = content.ingest()
    try:
        for piece in _pieces(tar_of(diff, layer=True)):
            ingest.write(piece)
            checkpoint()
        blob = ingest.commit(sync=False)
    finally:
        ingest.abort()
        ingest.close()
    return Sealed(blob.digest, blob.size, size, entries)


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces: headers are small, each piece costs a call."""
    waiting: list[bytes] = []
    held = 0
    for part in parts:
        waiting.append(part)
        held += len(part)
        if held >= _PIECE:
            yield b"".join(waiting) if len(waiting) > 1 else part
            waiting, held = [], 0
    if held:
        yield b"".join(waiting)


def _measure(diff: Path, latest: int | None) -> tuple[int, int]:
    """Bytes and number of what is in a folder; times after `latest` (ns) become that one."""
    size = entries = 0
    seen: set[int] = set()
    pending = [str(diff)]
    folders: list[str] = []
    while pending:
        folder = pending.pop()
        with os.scandir(folder) as found:
            for entry in found:
                status = entry.stat(follow_symlinks=False)
                entries += 1
                if stat.S_ISDIR(status.st_mode):
                    pending.append(entry.path)
                elif stat.S_ISREG(status.st_mode) and status.st_ino not in seen:
                    size += status.st_size
                    if status.st_nlink > 1:
                        seen.add(status.st_ino)
                if latest is not None and status.st_mtime_ns > latest:
                    folders.append(entry.path)
    for path in folders:
        os.utime(path, ns=(latest or 0, latest or 0), follow_symlinks=False)
    return size, entries
