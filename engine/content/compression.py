"""Decompression by what the bytes are (gzip, zstd, bzip2, xz, plain), whatever a media type claims.

Every decoder gives at most `STEP` bytes at a time, so that a small bomb can't fill the memory; the
work happens in C with the GIL released.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

STEP = 1 << 20
HEAD = 6  # bytes that tell what the rest is
_READ = 1 << 18
_XZ_MEMORY = 256 << 20  # bytes; xz -9 needs 65 MiB, and a few bytes can ask for 4 GiB

Read = Callable[[int], bytes]


class CompressionError(Exception):
    """The compressed stream is damaged or ends too early."""


class _Decoder(Protocol):
    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _gzip() -> _Decoder:
    from isal import igzip_lib

    decoder: _Decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return decoder


_DECODERS: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", _gzip),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY)),
)
_ZSTD = b"\x28\xb5\x2f\xfd"


def _failures() -> tuple[type[Exception], ...]:
    import zstandard
    from isal import igzip_lib

    isal_error: Any = igzip_lib.error
    return (
        OSError,
        EOFError,
        lzma.LZMAError,
        zlib.error,
        zstandard.ZstdError,
        isal_error,
    )


def _decode(read: Read, head: bytes, make: Callable[[], _Decoder], magic: bytes) -> Iterator[bytes]:
    decoder, pending = make(), head
    while True:
        piece = decoder.decompress(pending, STEP)
        pending = b""
        if piece:
            yield piece
        if decoder.eof:
            pending = decoder.unused_data or read(_READ)
            while pending and len(pending) < len(magic) and (more := read(_READ)):
                pending += more
            if not pending.startswith(magic):
                return  # padding after the last member
            decoder = make()
        elif decoder.needs_input:
            pending = read(_READ)
            if not pending:
                raise EOFError("the stream ends too early")


class _File:
    """`read` as a file object, with the sniffed head in front."""

    def __init__(self, head: bytes, read: Read) -> None:
        self._head, self._read = head, read

    def read(self, size: int = -1) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._read(size if size > 0 else _READ)


def _zstd(read: Read, head: bytes) -> Iterator[bytes]:
    import zstandard

    source: Any = _File(head, read)
    reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
    while piece := reader.read(STEP):
        yield piece


def _plain(read: Read, head: bytes) -> Iterator[bytes]:
    yield head
    while piece := read(STEP):
        yield piece


def chunks(read: Read) -> Iterator[bytes]:
    """Decompressed pieces of what `read(size)` gives. Raises CompressionError.

    Errors of `read` itself pass through.
    """
    failures: list[Exception] = []

    def guarded(size: int) -> bytes:
        try:
            return read(size)
        except Exception as error:
            failures.append(error)
            raise

    yield from _sniffed(guarded, failures)


def _sniffed(read: Read, failures: list[Exception]) -> Iterator[bytes]:
    head = read(_READ)
    while head and len(head) < HEAD and (more := read(_READ)):
        head += more
    if not head:
        return
    if head.startswith(_ZSTD):
        stream = _zstd(read, head)
    else:
        found = next((item for item in _DECODERS if head.startswith(item[0])), None)
        stream = _decode(read, head, found[1], found[0]) if found else _plain(read, head)
    try:
        yield from stream
    except Exception as error:
        if failures or not isinstance(error, _failures()):
            raise
        raise CompressionError(f"damaged compressed data: {error}") from error


def load() -> None:
    """Import every decoder now, for a thread that later can't."""
    _failures()


def is_compressed(head: bytes) -> bool:
    """Whether the bytes begin like one of the known formats."""
    return head.startswith(_ZSTD) or any(head.startswith(magic) for magic, _ in _DECODERS)
