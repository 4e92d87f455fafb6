"""Whatever bytes come, the server answers or closes, and goes on serving others."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.api.connection import Connection
from engine.api.response import json_response
from engine.api.writer import ServerHeaders

GET = b"GET /x HTTP/1.1\r\nHost: d\r\n\r\n"
_PIECES = st.sampled_from(
    [
        GET,
        b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"Connection: Upgrade\r\nUpgrade: tcp\r\n",
        b"Expect: 100-continue\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\r\n",
        b"\x00",
        b"-1\r\n",
        b"ffffffffffffffff\r\n",
    ]
)


class Socket(asyncio.Transport):
    """Takes what is written, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def set_write_buffer_limits(self, high=None, low=None): ...
    def pause_reading(self): ...
    def resume_reading(self): ...
    def write_eof(self): ...

    def write(self, data):
        assert not self.closed
        self.written += data

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    abort = close


async def answer(request):
    await request.read(1 << 20)
    return json_response({})


async def feed(pieces: list[bytes]) -> tuple[bytes, bool]:
    socket = Socket()
    connection = Connection(answer, ServerHeaders({}), lambda _: None, lambda _: None)
    connection.connection_made(socket)
    for piece in pieces:
        if not socket.closed:
            connection.data_received(piece)
        await asyncio.sleep(0)
    for _ in range(8):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    for _ in range(4):
        await asyncio.sleep(0)
    return socket.written, socket.closed


@settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(_PIECES, st.binary(max_size=12)), max_size=6))
def test_any_bytes(pieces):
    written, _ = asyncio.run(feed(pieces))
    assert written == b"" or written.startswith((b"HTTP/1.1 ",))


@settings(max_examples=25, deadline=None, database=None)
@given(st.lists(st.integers(1, len(GET) * 3 - 1), max_size=5))
def test_any_split(cuts):
    text = GET * 3
    places = [0, *sorted(set(cuts)), len(text)]
    pieces = [text[a:b] for a, b in zip(places, places[1:], strict=False)]
    written, closed = asyncio.run(feed(pieces))
    assert written.count(b"HTTP/1.1 200 OK") == 3
    assert not closed
