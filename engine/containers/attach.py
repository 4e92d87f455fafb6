"""Attaching to a container: its streams on one side, a client's bytes on the other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

from engine.containers.container import Container
from engine.containers.detach import DetachWatch
from engine.runtime.streams import Streams
from engine.values import dataclass


class Client(Protocol):
    """The client's connection, as far as an attachment needs it."""

    closed: asyncio.Event

    async def read(self) -> bytes:
        """Input; b"" at its end."""
        ...

    async def send(self, stream: int, data: bytes) -> None:
        """Output; waits while the client is slow. Raises ConnectionError when it's gone."""
        ...


@dataclass(frozen=True)
class AttachOptions:
    """Which streams, and how the client leaves; `close_stdin`: its end of input is the process'."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    keys: bytes | None = None
    close_stdin: bool = True


async def wait_for_streams(container: Container, client: Client) -> Streams | None:
    """The container's streams, at once or when it starts; None if the client or the start fails."""
    if container.running is not None:
        return await container.running.attach()
    waiting: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
    container.pending.add(waiting)
    gone = asyncio.create_task(client.closed.wait())
    try:
        both: set[asyncio.Future[Any]] = {waiting, gone}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done() and not waiting.cancelled():
            return waiting.result()
        return None
    finally:
        container.pending.discard(waiting)
        gone.cancel()
        if not waiting.done():
            waiting.cancel()


async def _feed(client: Client, streams: Streams, options: AttachOptions) -> bool:
    """Carry input until its end or the detach keys; whether the client detached."""
    watch = DetachWatch(options.keys) if options.keys else None
    while data := await client.read():
        detached = False
        if watch is not None:
            data, detached = watch.feed(data)
        if data:
            try:
                await streams.write(data)
            except (BrokenPipeError, ConnectionError):
                break
        if detached:
            return True
    if options.close_stdin:
        with contextlib.suppress(OSError):
            await streams.close_stdin()
    return False


async def _show(client: Client, output: AsyncIterator[tuple[int, bytes]], wanted: set[int]) -> None:
    async for stream, data in output:
        if stream in wanted:
            await client.send(stream, data)


async def carry(
    client: Client, streams: Streams, options: AttachOptions, *, close: bool = True
) -> bool:
    """Carry both ways until the output ends (then True), or the client leaves or detaches.

    The end of the client's input isn't the end: `echo x | docker run -i` still waits for output.
    """
    wanted = {number for number, asked in ((1, options.stdout), (2, options.stderr)) if asked}
    showing = asyncio.create_task(_show(client, aiter(streams), wanted))
    gone = asyncio.create_task(client.closed.wait())
    feeding = asyncio.create_task(_feed(client, streams, options)) if options.stdin else None
    pending: set[asyncio.Task[Any]] = {showing, gone, *([feeding] if feeding else [])}
    try:
        while not (showing.done() or gone.done()):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if feeding in done and feeding is not None and feeding.exception() is None:
                if feeding.result():
                    return False
        return showing.done() and showing.exception() is None
    finally:
        started = [task for task in (showing, gone, feeding) if task is not None]
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)
        if close:
            streams.close()
