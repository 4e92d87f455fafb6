"""The body of a request as it arrives, with back-pressure towards the client."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from weakref import WeakKeyDictionary

from engine.errors import BadRequest, EngineError

HIGH_WATER = 1 << 20
LOW_WATER = 1 << 18
# A body up to SMALL is read into memory at once, larger ones a few at a time.
SMALL = 1 << 18
LARGE_AT_A_TIME = 8
PATIENCE_SECONDS = 10.0
_PIECE = 1 << 18  # small chunks are handed on together, up to this size and one more
_OVERHEAD = 64  # bytes that a piece costs beside its own: a client may send them one by one


class ClientGone(EngineError):
    """The client closed the connection before its request was complete."""

    status = 499


class BodyTooLarge(EngineError):
    """A body that must fit in memory does not."""

    status = 413


class BodyTooSlow(EngineError):
    """A large body that must fit in memory stopped coming."""

    status = 408


_slots: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]" = WeakKeyDictionary()


def _large() -> asyncio.Semaphore:
    """The turns of large bodies in memory."""
    return _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(LARGE_AT_A_TIME))


class Body:
    """Pieces of one message: the connection feeds, the handler reads.

    pause and resume stop and restart reading from the socket; expect is called once, when
    somebody first wants the body, so that "100 Continue" can be sent.
    """

    __slots__ = (
        "_discarding",
        "_error",
        "_expect",
        "_pause",
        "_paused",
        "_pieces",
        "_resume",
        "_size",
        "_waiter",
        "complete",
    )

    def __init__(
        self,
        pause: Callable[[], None],
        resume: Callable[[], None],
        expect: Callable[[], None] | None = None,
    ) -> None:
        self._pieces: deque[bytes] | None = None  # most requests never need one
        self._size = 0
        self._pause = pause
        self._resume = resume
        self._expect = expect
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._error: EngineError | None = None
        self._discarding = False
        self.complete = False

    def feed(self, data: bytes) -> None:
        """Take a piece from the connection."""
        if self._discarding:
            return
        if self._pieces is None:
            self._pieces = deque()
        self._pieces.append(data)
        self._size += len(data) + _OVERHEAD
        if self._size > HIGH_WATER and not self._paused:
            self._paused = True
            self._pause()
        self._wake()

    def end(self) -> None:
        """The message is whole."""
        self.complete = True
        self._wake()

    def fail(self, error: EngineError) -> None:
        """The rest will never come."""
        if not self.complete and self._error is None:
            self._error = error
            self._wake()

    def discard(self) -> None:
        """Nobody wants the rest: drop it as it comes."""
        self._discarding = True
        self._pieces = None
        self._size = 0
        self._unpause()

    async def next(self) -> bytes:
        """The next piece, b"" at the end. Raises ClientGone, or BadRequest for broken framing."""
        if self._expect is not None and not self.complete:
            self._expect()
        self._expect = None
        while not self._pieces:
            if self.complete:
                return b""
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        found = [self._pieces.popleft()]
        size = len(found[0])
        while self._pieces and size < _PIECE:
            found.append(self._pieces.popleft())
            size += len(found[-1])
        self._size -= size + len(found) * _OVERHEAD
        if self._size < LOW_WATER:
            self._unpause()
        return found[0] if len(found) == 1 else b"".join(found)

    async def chunks(self) -> AsyncIterator[bytes]:
        """All pieces, in order."""
        while piece := await self.next():
            yield piece

    async def read(self, limit: int) -> bytes:
        """The whole body; BodyTooLarge when it's longer than limit bytes.

        A large one waits for its turn, and must then come: others wait for theirs. BodyTooSlow.
        """
        if self.complete and not self._pieces:
            return b""
        pieces = [await self.next()]
        size = len(pieces[0])
        while size <= min(SMALL, limit) and (piece := await self.next()):
            size += len(piece)
            pieces.append(piece)
        if size > min(SMALL, limit):
            async with _large():
                await self._rest(pieces, size, limit)
        return b"".join(pieces)

    async def _rest(self, pieces: list[bytes], size: int, limit: int) -> None:
        while size <= limit:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    piece = await self.next()
            except TimeoutError:
                raise BodyTooSlow("the request's body stopped coming") from None
            if not piece:
                return
            size += len(piece)
            pieces.append(piece)
        raise BodyTooLarge(f"request body too large: more than {limit} bytes")

    def _unpause(self) -> None:
        if self._paused:
            self._paused = False
            self._resume()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def broken(reason: object) -> BadRequest:
    """The error for a message whose framing can't be understood."""
    return BadRequest(f"malformed HTTP request: {reason}")
