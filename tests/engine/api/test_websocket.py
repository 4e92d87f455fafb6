"""WebSocket: the handshake of RFC 6455, frames in any pieces, what a client must not do."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.websocket import Decoder, ProtocolError, WebSocketClient, answer_headers, head_of
from engine.errors import BadRequest

MASK = b"\x01\x02\x03\x04"


def masked(opcode: int, payload: bytes, *, last: bool = True) -> bytes:
    """A frame as a client sends it."""
    head = bytearray(head_of(opcode, len(payload)))
    head[0] = head[0] if last else head[0] & 0x7F
    head[1] |= 0x80
    return bytes(head) + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


class Connection:
    """A taken-over connection with its input in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.sent = b""
        self.closed = asyncio.Event()
        self.ended = False

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def write(self, data: bytes) -> None:
        self.sent += data

    async def drain(self) -> None: ...
    async def delivered(self) -> None: ...
    def write_eof(self) -> None: ...
    def close(self) -> None:
        self.ended = True


def test_the_handshake_of_the_document() -> None:
    head = {
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert answer_headers(head) == {"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}
    for wrong in ({"upgrade": "tcp"}, {"sec-websocket-key": "x"}, {"sec-websocket-version": "8"}):
        with pytest.raises(BadRequest, match="WebSocket"):
            answer_headers({**head, **wrong})


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_payloads_come_through_in_any_pieces(payloads: list[bytes], size: int) -> None:
    wire = b"".join(masked(2, payload) for payload in payloads)
    decoder, found = Decoder(), b""
    for at in range(0, len(wire), size):
        found += b"".join(piece for _, piece in decoder.feed(wire[at : at + size]))
    assert found == b"".join(payloads)


@pytest.mark.parametrize(
    "wire",
    [head_of(2, 3) + b"abc", masked(3, b""), masked(9, b"x" * 126), masked(9, b"", last=False)],
)  # fmt: skip
def test_what_a_client_must_not_do(wire: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(wire)


def test_lengths_of_all_sizes() -> None:
    for length in (0, 125, 126, 65535, 65536):
        assert Decoder().feed(masked(2, b"x" * length)) == ([(2, b"x" * length)] if length else [])


async def test_a_client_talks_pings_and_leaves() -> None:
    connection = Connection(
        masked(1, b"he", last=False) + masked(9, b"?") + masked(0, b"llo"), masked(8, b"\x03\xe8")
    )
    client = WebSocketClient(connection)
    assert await client.read() == b"hello"
    assert connection.sent == head_of(10, 1) + b"?"
    await client.send(1, b"out")
    assert await client.read() == b"" and client.closed.is_set()
    await client.send(1, b"after its goodbye nothing is sent")
    client.close()
    assert connection.ended
    assert connection.sent[3:] == head_of(2, 3) + b"out" + head_of(8, 2) + b"\x03\xe8"


async def test_a_broken_client_is_told() -> None:
    connection = Connection(b"GET / HTTP/1.1\r\n")
    assert await WebSocketClient(connection).read() == b""
    assert connection.sent == head_of(8, 2) + b"\x03\xea"
