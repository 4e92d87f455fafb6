"""A hijacked connection: raw bytes both ways, each with back-pressure and its own end."""

import asyncio
import fcntl
import os
import struct
import termios
import time
from collections import deque
from collections.abc import Sequence

from engine.api.flow import Flow

HIGH_WATER = 1 << 20
# After the handler is done the client may still be sending: read that much longer before the
# close, or what was written last would be lost with a connection that is reset.
LINGER_SECONDS = 2.0
_DELIVERY_SECONDS = 0.25


def _unread(handle: object) -> int:
    """Bytes that the other end of a Unix socket hasn't read yet (SIOCOUTQ, unix(7))."""
    if handle is None:
        return 0
    try:
        answer = fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4))  # type: ignore[call-overload]
    except (OSError, ValueError):
        return 0
    return int(struct.unpack("i", answer)[0])


class RawConnection:
    """The handler's end of a hijacked connection; satisfies request.Hijacked."""

    def __init__(self, flow: Flow, transport: asyncio.Transport, closed: asyncio.Event) -> None:
        self._flow = flow
        self._transport = transport
        self.closed = closed
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._eof = False
        self._waiter: asyncio.Future[None] | None = None
        self._write_ended = False
        self._closing = False

    async def read(self) -> bytes:
        """What the client has sent; b"" once it sends no more."""
        while not self._pieces:
            if self._eof:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._forget()
        return data

    def write(self, *pieces: bytes) -> None:
        """Send; never blocks. Without effect once this side has ended or the client is gone."""
        if self._write_ended or self._transport.is_closing():
            return
        left = self._write_now(pieces) if len(pieces) > 1 else pieces
        for piece in left:
            self._transport.write(piece)

    def _write_now(self, pieces: Sequence[bytes]) -> Sequence[bytes | memoryview]:
        """Pieces by one system call and without a copy, if nothing waits before; what is left."""
        if self._transport.get_write_buffer_size():
            return pieces
        try:
            sent = os.writev(self._transport.get_extra_info("socket").fileno(), pieces)
        except OSError:  # no room, or an error that the transport finds as well
            return pieces
        left: list[memoryview] = []
        for piece in pieces:
            if sent < len(piece):
                left.append(memoryview(piece)[sent:])
            sent = max(sent - len(piece), 0)
        return left

    async def drain(self) -> None:
        """Wait while the client is slow. Raises ConnectionResetError when it's gone."""
        if self._flow.full:
            await self._flow.drain()

    async def delivered(self) -> None:
        """Wait, for a moment at most, until the client has taken what was written so far."""
        handle = self._transport.get_extra_info("socket")
        deadline = time.monotonic() + _DELIVERY_SECONDS
        while not self._transport.is_closing() and time.monotonic() < deadline:
            if not self._transport.get_write_buffer_size() and not _unread(handle):
                return
            await asyncio.sleep(0.0005)

    def write_eof(self) -> None:
        """No more bytes to the client; reading goes on. Calling twice is safe."""
        if not self._write_ended and not self._transport.is_closing():
            self._write_ended = True
            self._transport.write_eof()

    def close(self) -> None:
        """Flush and close. Calling twice is safe."""
        if self._closing:
            return
        self._closing = True
        self._forget()
        if self._eof:
            self._transport.close()
            return
        self.write_eof()
        self._wake()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    # --- the connection calls these ---

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._closing:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER and not self._paused:
            self._paused = True
            self._flow.pause()
        self._wake()

    def feed_eof(self) -> None:
        """The client sends no more."""
        self._eof = True
        self._wake()
        if self._closing:
            self._transport.close()

    def _forget(self) -> None:
        self._pieces.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._flow.resume()

    def _wake(self) -> None:
        if self._closing:
            self._eof = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
