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


class _Headers(dict[int, bytes]):
    """What stands before a line of a stream, by its length without newline; made when asked.

    That is the newline of the line before and the header.
    """

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def __missing__(self, length: int) -> bytes:
        made = b"\n" + _HEADER.pack(self._stream, length + 1)
        if length < 1 << 10:
            self[length] = made
        return made


_LINES = {stream: _Headers(stream) for stream in (STDIN, STDOUT, STDERR)}


def frame_lines(stream: int, text: bytes) -> bytes:
    """A frame for each line of `text`: clients take one frame for one line of a log."""
    lines = text.split(b"\n")
    rest = lines.pop()
    pieces = [b"\n"] * (2 * len(lines) + 1)
    pieces[:-1:2] = map(_LINES[stream].__getitem__, map(len, lines))
    pieces[1::2] = lines
    framed = b"".join(pieces)[1:]
    return framed + frame(stream, rest) if rest else framed


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
