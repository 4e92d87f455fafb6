"""A gzip stream in front of a function that takes pieces (RFC 1952)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from isal import isal_zlib

_LEVEL = 1
_GATHERED = 1 << 18  # bytes that are compressed together

Write = Callable[[bytes], None]


@contextmanager
def compressing(write: Write) -> Iterator[Write]:
    """What the block's function is given goes on compressed.

    A block that fails leaves the stream without its end.
    """
    packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, 31)
    gathered = bytearray()

    def put(data: bytes) -> None:
        gathered.extend(data)
        if len(gathered) >= _GATHERED:
            if packed := packer.compress(bytes(gathered)):
                write(packed)
            gathered.clear()

    yield put
    write(packer.compress(bytes(gathered)) + packer.flush())
