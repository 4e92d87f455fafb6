"""Output that waits for one client: what arrives is put in, the client iterates."""

import asyncio
import collections
from collections.abc import Callable


def settle(future: asyncio.Future[None]) -> None:
    """Wake whoever waits on `future`, unless that happened already."""
    if not future.done():
        future.set_result(None)


class Inbox:
    """A queue of (stream, data); `held` is its bytes, so that a producer can wait for room."""

    def __init__(self, consumed: Callable[[], None]) -> None:
        self._items: collections.deque[tuple[int, bytes]] = collections.deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._consumed = consumed
        self.held = 0

    def put(self, stream: int, data: bytes) -> None:
        """Keep output until the client takes it; dropped after the end."""
        if not self._ended:
            self._items.append((stream, data))
            self.held += len(data)
            self._wake()

    def end(self) -> None:
        """No more output will come."""
        self._ended = True
        self._wake()

    def discard(self) -> None:
        """The client went away: drop what is held and end."""
        self._items.clear()
        self.held = 0
        self.end()

    def _wake(self) -> None:
        if self._waiter is not None:
            settle(self._waiter)

    async def take(self) -> tuple[int, bytes]:
        """The next piece. Raises StopAsyncIteration after the last."""
        while not self._items:
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        item = self._items.popleft()
        self.held -= len(item[1])
        self._consumed()
        return item
