"""Streams between the event loop and a thread that makes or takes them, bounded both ways."""

import asyncio
import queue
import threading
from collections.abc import Iterator

_DEPTH = 4  # pieces of a quarter of a megabyte, or a bit more, between the thread and the loop


class Closed(Exception):
    """Nobody reads any more."""


class Pipe:
    """From a thread to the loop: bounded, either side may end it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = threading.Semaphore(_DEPTH)
        self._buffer: list[bytes] = []
        self._size = 0
        self._closed = False
        self._ended = False
        self.was_cut = False

    def put(self, data: bytes) -> None:
        """From the thread; small pieces are gathered. Raises Closed."""
        self._buffer.append(data)
        self._size += len(data)
        if self._size >= 1 << 18:
            self._flush()

    def _flush(self) -> None:
        if self._closed:
            raise Closed
        if not self._buffer:
            return
        piece = self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer)
        self._buffer, self._size = [], 0
        self._room.acquire()
        if self._closed:
            raise Closed
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    def end(self) -> None:
        """No more; from the thread, or from the loop when the thread never got so far."""
        if self._ended:
            return
        self._ended = True
        if not self._closed and self._buffer:
            self._flush()
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, None)

    async def take(self) -> bytes | None:
        """The next piece; None at the end."""
        piece = await self._pieces.get()
        self._room.release()
        return piece

    def close(self) -> None:
        """Nobody reads any more: the thread is let go."""
        self._closed = True
        for _ in range(_DEPTH):
            self._room.release()

    def cut(self) -> None:
        """The thread is let go, and what was read so far is not all."""
        self.was_cut = True
        self.close()


class Feed:
    """From the loop to a thread: bounded by waiting in the loop."""

    def __init__(self) -> None:
        self._pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(_DEPTH)
        self._loop = asyncio.get_running_loop()
        self._closed = False

    async def put(self, data: bytes) -> None:
        """A chunk; waits for room. Dropped once the thread is done."""
        await self._room.acquire()
        if not self._closed:
            self._pieces.put(data)

    def end(self) -> None:
        """No more chunks."""
        self._pieces.put(None)

    def pieces(self) -> Iterator[bytes]:
        """In the thread: the chunks."""
        while (piece := self._pieces.get()) is not None:
            self._loop.call_soon_threadsafe(self._room.release)
            yield piece

    def close(self) -> None:
        """The thread is done: let the loop throw the rest away."""
        self._closed = True
        self._room.release()
        self._room = asyncio.Semaphore(1 << 30)
