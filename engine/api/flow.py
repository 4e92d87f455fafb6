"""Back-pressure of one connection, both ways, and whether its client is still there."""

import asyncio
import select


class Flow:
    """Counted pauses of reading, the wait for a slow reader, and the look for a hang-up."""

    def __init__(self, transport: asyncio.Transport, closed: asyncio.Event) -> None:
        self._transport = transport
        self._closed = closed
        self._pauses = 0
        self._full = False
        self._writable: asyncio.Future[None] | None = None

    @property
    def paused(self) -> bool:
        """Whether anybody has stopped the reading."""
        return self._pauses > 0

    @property
    def full(self) -> bool:
        """Whether the client reads slower than we write: time to drain."""
        return self._full or self._transport.is_closing()

    def pause(self) -> None:
        """Stop reading from the socket; counted, so that several may ask."""
        self._pauses += 1
        if self._pauses == 1 and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Undo one pause."""
        self._pauses -= 1
        if self._pauses == 0 and not self._transport.is_closing():
            self._transport.resume_reading()

    async def drain(self) -> None:
        """Wait until the client has read enough. Raises ConnectionResetError when it's gone."""
        if self._closed.is_set() or self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        if self._full:
            if self._writable is None or self._writable.done():
                self._writable = asyncio.get_running_loop().create_future()
            # Several may wait for the same moment; one that is cancelled must not end it.
            await asyncio.shield(self._writable)

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._full = True

    def resume_writing(self) -> None:
        """The transport's buffer has drained."""
        self._full = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def lost(self) -> None:
        """The connection is gone: nobody waits any longer."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(ConnectionResetError("the client is gone"))
            # Whoever waited gets it through its shield; without a waiter it's no news.
            self._writable.exception()

    def hung_up(self) -> bool:
        """Whether the client has closed both directions; half-closed is not hung up.

        asyncio sees only the end of reading, which `echo x | docker run -i` has, too.
        """
        if self._transport.is_closing():
            return True
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))
