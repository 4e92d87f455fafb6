"""Unpacks a tar into a container's folder, by a thread confined to its root: see linux.confined.

Paths may be followed as they are: no link leads out of the thread's root. Owners are numbers
alone, because names would be looked up in the container's files.
"""

import errno
import os
import posixpath
from collections.abc import Callable, Iterator

from engine.containers.archive import missing
from engine.content import compression
from engine.errors import BadRequest, EngineError
from engine.snapshots.extract import Extractor
from engine.snapshots.tar import Reader, Source, TarError


def unpack(
    path: str,
    container: str,
    pieces: Iterator[bytes],
    *,
    keep_kinds: bool,
    owner: tuple[int, int] | None = None,
    check: Callable[[str], None] = lambda where: None,
) -> None:
    """Inside the root: extract a tar (plain, gzip, bzip2, xz or zstd) into the folder `path`.

    `keep_kinds`: a folder is never replaced by something else, nor the other way round. `owner`
    replaces the owners of the tar. `check` hears where the path leads, before anything is written.
    Raises NotFound, BadRequest, EngineError.
    """
    where = "/" + posixpath.normpath("/" + path).lstrip("/")
    if not os.path.exists(where):
        if os.path.islink(os.path.realpath(where)):
            raise EngineError("EvalSymlinks: too many links")
        raise missing(path, container)
    check(os.path.realpath(where))
    if not os.path.isdir(where):
        raise BadRequest("extraction point is not a directory")
    stream = compression.chunks(lambda _: next(pieces, b""))
    try:
        Extractor(where, keep_kinds, owner).apply(Reader(Source(stream)))
    except (TarError, compression.CompressionError, OverflowError, ValueError) as error:
        raise BadRequest(f"Error processing tar file: {error}") from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise BadRequest("container rootfs is marked read-only") from error
        shown = error.filename
        name = os.fsdecode(shown) if isinstance(shown, str | bytes) else path
        raise EngineError(f"{name}: {(error.strerror or '').lower()}") from error
    for _ in pieces:  # what follows the end of the archive
        continue
