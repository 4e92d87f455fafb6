"""Byte and progress streams between the event loop and the threads that do the blocking work."""

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

_LIMIT = 1 << 20
_MOST_WAITING = 64 << 20  # bytes of lines that a client may leave unread


class Cancelled(Exception):
    """The other end went away."""


class Feed:
    """A request's body for a thread: `put()` on the loop, `read()` in the thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._filled = threading.Condition()
        self._room = asyncio.Event()
        self._closed = False

    async def fill(self, pieces: AsyncIterator[bytes]) -> None:
        """Pass everything of `pieces` on, then the end; a failure reaches the reader, too."""
        try:
            async for piece in pieces:
                while self._size > _LIMIT and not self._closed:
                    self._room.clear()
                    if self._size > _LIMIT and not self._closed:
                        await self._room.wait()
                with self._filled:
                    if not self._closed:
                        self._pieces.append(piece)
                        self._size += len(piece)
                    self._filled.notify()
        except BaseException as failure:
            self.end(Cancelled("the client went away"))
            if not isinstance(failure, Exception):
                raise
        else:
            self.end()

    def end(self, failure: BaseException | None = None) -> None:
        """No more comes."""
        with self._filled:
            self._ended = True
            self._failure = failure
            self._filled.notify()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end. Raises Cancelled when the client went away."""
        with self._filled:
            while not self._pieces and not self._ended:
                self._filled.wait()
            if not self._pieces:
                if self._failure is not None:
                    raise self._failure
                return b""
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(piece[size:])
                piece = piece[:size]
            self._size -= len(piece)
        self._signal()
        return piece

    def close(self) -> None:
        """The reader is done; what still comes is dropped."""
        with self._filled:
            self._closed = True
            self._pieces.clear()
            self._size = 0
        self._signal()

    def _signal(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._room.set)
        except RuntimeError:
            return  # the loop has ended


class Outlet:
    """An answer's body from a thread: `write()` in the thread, iterate on the loop."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._limit = limit
        self._ended = False
        self._closed = False
        self._room = threading.Condition()
        self._filled = asyncio.Event()

    def write(self, piece: bytes) -> int:
        """Hand on; blocks while the client is slow. Raises Cancelled once it's gone."""
        with self._room:
            while self._size > self._limit and not self._closed:
                self._room.wait()
            if self._closed:
                raise Cancelled("the client went away")
            self._pieces.append(piece)
            self._size += len(piece)
        self._signal()
        return len(piece)

    def offer(self, piece: bytes, *, forced: bool = False) -> bool:
        """Hand on if there is room, or anyhow: never blocks. False when it was dropped."""
        with self._room:
            if self._closed or self._size > self._limit and not forced:
                return False
            self._pieces.append(piece)
            self._size += len(piece)
        self._signal()
        return True

    def end(self) -> None:
        """No more comes; from any thread."""
        self._ended = True
        self._signal()

    def close(self) -> None:
        """The reading end went away."""
        with self._room:
            self._closed = True
            self._pieces.clear()
            self._size = 0
            self._room.notify_all()

    def _signal(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._filled.set)
        except RuntimeError:
            return

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                self._filled.clear()
                with self._room:
                    pieces = list(self._pieces)
                    self._pieces.clear()
                    self._size = 0
                    self._room.notify_all()
                for piece in pieces:
                    yield piece
                if not pieces:
                    if self._ended and not self._pieces:
                        return
                    await self._filled.wait()
        finally:
            self.close()


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\r\n"


class Progress:
    """JSON lines for a client, as the docker CLI draws them; `emit` is for any thread."""

    def __init__(self) -> None:
        self._outlet = Outlet(_MOST_WAITING)

    def emit(self, **fields: Any) -> None:
        """One line. Nobody listening any more is fine; a client far behind misses some.

        It never blocks: the event loop may be the caller, and no client may hold that up.
        """
        self._outlet.offer(_line(fields))

    def status(self, status: str, id: str = "") -> None:
        """A line of text, about a layer when `id` is given."""
        self.emit(status=status, **({"id": id} if id else {}))

    def fail(self, message: str, code: int | None = None) -> None:
        """The line that ends a failed operation."""
        detail: dict[str, Any] = {"message": message}
        if code is not None:
            detail["code"] = code
        self._outlet.offer(_line({"errorDetail": detail, "error": message}), forced=True)

    def end(self) -> None:
        """Close the stream."""
        self._outlet.end()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._outlet.__aiter__()
