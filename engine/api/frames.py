"""The multiplexed stream of attach, exec and logs: 8 bytes of header before each piece.

Header: stream number (0 stdin, 1 stdout, 2 stderr), three zero bytes, length (big endian, 32 bit).
"""

import struct
from collections.abc import Iterator

STDIN, STDOUT, STDERR = 0, 1, 2
_HEADER = struct.Struct(">BxxxL")
MEDIA_TYPE = "application/vnd.docker.multiplexed-stream"
RAW_MEDIA_TYPE = "application/vnd.docker.raw-stream"


def header(stream: int, length: int) -> bytes:
    """The 8 bytes that announce `length` bytes of a stream."""
    return _HEADER.pack(stream, length)


def frame(stream: int, data: bytes) -> bytes:
    """One whole frame."""
    return _HEADER.pack(stream, len(data)) + data


def parse(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames in a complete buffer; ValueError when it ends in the middle of one."""
    position = 0
    while position < len(data):
        if len(data) - position < _HEADER.size:
            raise ValueError("the stream ends inside a frame's header")
        stream, length = _HEADER.unpack_from(data, position)
        position += _HEADER.size
        if len(data) - position < length:
            raise ValueError("the stream ends inside a frame")
        yield stream, data[position : position + length]
        position += length
