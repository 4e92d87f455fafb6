"""Tars into volumes, by a thread whose root is the volume: no link leads out of it."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from engine.content import compression
from engine.errors import BadRequest, EngineError, NotFound
from engine.linux import confined
from engine.snapshots.extract import Extractor
from engine.snapshots.tar import Reader, Source, TarError
from engine.volumes.inside.browse import parts_of


async def unpack(place: Path, root: Path, path: str, pieces: Iterator[bytes], dress: bool) -> None:
    """Extract a tar into the folder `path` of a volume; `dress`: that itself as the tar has it.

    `place` is any folder, hidden from the thread alone. What exists already is replaced, folders
    are kept and filled. Raises NotFound, BadRequest, EngineError.
    """
    inside = f"/{'/'.join(parts_of(path))}"

    def enter() -> None:
        confined.enter_folders(place, {"to": root})
        os.chroot("/to")
        os.chdir("/")

    await confined.run(enter, lambda: _apply(inside, pieces, dress))


def _apply(where: str, pieces: Iterator[bytes], dress: bool) -> None:
    """Inside: imports nothing."""
    if not os.path.isdir(where):
        if os.path.lexists(where):
            raise BadRequest(f"{where} is not a directory")
        raise NotFound(f"the volume has no folder {where}")
    stream = compression.chunks(lambda _: next(pieces, b""))
    try:
        Extractor(where, keep_kinds=False, owner=None, dress=dress).apply(Reader(Source(stream)))
    except (TarError, compression.CompressionError, OverflowError, ValueError) as error:
        raise BadRequest(f"Error processing tar file: {error}") from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise BadRequest("the volume is mounted read-only") from error
        shown = error.filename
        name = os.fsdecode(shown) if isinstance(shown, str | bytes) else where
        raise EngineError(f"{name}: {(error.strerror or '').lower()}") from error
    for _ in pieces:  # what follows the end of the archive
        continue
