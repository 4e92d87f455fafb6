"""WebSocket (RFC 6455) over a taken-over connection: binary frames out, any frames in."""

import base64
import hashlib
import struct
from collections.abc import Mapping

from engine.api.http import Hijacked
from engine.errors import BadRequest

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_NORMAL, _PROTOCOL_ERROR = 1000, 1002
_LARGEST_CONTROL = 125


def answer_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The head that accepts a client's handshake. Raises BadRequest when it isn't one."""
    key = headers.get("sec-websocket-key", "").strip()
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        valid = False
    if headers.get("upgrade", "").lower() != "websocket" or not valid:
        raise BadRequest("attaching by WebSocket needs a WebSocket client: no valid handshake")
    if headers.get("sec-websocket-version") != "13":
        raise BadRequest("unsupported WebSocket version: the engine speaks version 13")
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    return {"Sec-WebSocket-Accept": base64.b64encode(digest).decode()}


def head_of(opcode: int, length: int) -> bytes:
    """The head of a frame of `length` bytes that stands alone, as a server sends it."""
    first = 0x80 | opcode
    if length < 126:
        return bytes((first, length))
    if length < 1 << 16:
        return struct.pack(">BBH", first, 126, length)
    return struct.pack(">BBQ", first, 127, length)


class ProtocolError(Exception):
    """The client broke the protocol."""


class Decoder:
    """A client's bytes to pieces of frames; the payload of data comes as it arrives, unmasked."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opcode = 0
        self._left = 0
        self._mask = b""
        self._inside = False

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(opcode, payload) pairs; control frames are whole. Raises ProtocolError."""
        self._buffer += data
        found = []
        while self._inside or self._begin():
            control = self._opcode >= _CLOSE
            if control and len(self._buffer) < self._left:
                break
            piece = bytes(self._buffer[: self._left])
            del self._buffer[: self._left]
            self._left -= len(piece)
            if piece or control:
                found.append((self._opcode, self._unmask(piece)))
            self._inside = self._left > 0
            if self._inside:
                break
        return found

    def _begin(self) -> bool:
        """Take a frame's head off the buffer, once it's there."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        short = buffer[1] & 0x7F
        extra = {126: 2, 127: 8}.get(short, 0)
        if len(buffer) < 2 + extra + 4:
            if not buffer[1] & 0x80:
                raise ProtocolError("a frame isn't masked")
            return False
        if not buffer[1] & 0x80 or buffer[0] & 0x70:
            raise ProtocolError("a frame isn't masked, or has reserved bits")
        self._opcode = buffer[0] & 0x0F
        self._left = int.from_bytes(buffer[2 : 2 + extra], "big") if extra else short
        self._mask = bytes(buffer[2 + extra : 6 + extra])
        if self._opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            raise ProtocolError(f"unknown opcode {self._opcode}")
        if self._opcode >= _CLOSE and (self._left > _LARGEST_CONTROL or not buffer[0] & 0x80):
            raise ProtocolError("a control frame is too long or in pieces")
        del buffer[: 6 + extra]
        self._inside = True
        return True

    def _unmask(self, piece: bytes) -> bytes:
        length = len(piece)
        key = (self._mask * (length // 4 + 1))[:length]
        # the next piece of this frame goes on where the mask stopped
        turn = length % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        whole = int.from_bytes(piece, "big") ^ int.from_bytes(key, "big")
        return whole.to_bytes(length, "big")


class WebSocketClient:
    """The client of an attachment by WebSocket: both outputs mixed, without headers, as dockerd."""

    def __init__(self, connection: Hijacked) -> None:
        self._connection = connection
        self._decoder = Decoder()
        self._ended = False
        self.closed = connection.closed

    async def read(self) -> bytes:
        """Input; b"" when the client closes or breaks the protocol."""
        while not self._ended:
            data = await self._connection.read()
            if not data:
                break
            try:
                pieces = self._decoder.feed(data)
            except ProtocolError:
                self._end(_PROTOCOL_ERROR)
                break
            if payload := b"".join([self._take(*piece) for piece in pieces]):
                return payload
        return b""

    def _take(self, opcode: int, payload: bytes) -> bytes:
        if opcode == _PING:
            self._write(_PONG, payload)
        elif opcode == _CLOSE:
            self._end(_NORMAL)
            self.closed.set()
        elif opcode != _PONG and not self._ended:
            return payload
        return b""

    async def send(self, stream: int, data: bytes) -> None:
        """Output; waits while the client is slow. Raises ConnectionResetError when it's gone."""
        self._write(_BINARY, data)
        await self._connection.drain()

    def close(self) -> None:
        """Say goodbye, send what is written and close."""
        self._end(_NORMAL)
        self._connection.close()

    def _end(self, code: int) -> None:
        if not self._ended:
            self._write(_CLOSE, code.to_bytes(2, "big"))
            self._ended = True

    def _write(self, opcode: int, data: bytes) -> None:
        if self._ended:
            return
        self._connection.write(head_of(opcode, len(data)))
        if data:
            self._connection.write(data)
