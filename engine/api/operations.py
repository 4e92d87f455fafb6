"""Operations that tell their progress: how they become an answer, and end with the client."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Protocol

from engine.api.body import ClientGone
from engine.api.response import Response, StreamResponse
from engine.errors import EngineError

_log = logging.getLogger(__name__)


class Lines(Protocol):
    """JSON lines that an operation writes."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def fail(self, message: str, code: int | None = None) -> None: ...
    def end(self) -> None: ...


async def answer(
    lines: Lines,
    work: Coroutine[Any, Any, None],
    gone: asyncio.Event,
    *,
    told_inside: bool = False,
) -> Response | StreamResponse:
    """Run `work` and stream its lines; `gone` is set when the client went away.

    A failure before the first line is the request's own failure (with its status); one after it
    is the last line, as dockerd does. With `told_inside` every failure is a line of an answer
    with status 200. The work is cancelled when the client goes away, also one that says nothing
    before its end; ClientGone is raised when that is before the first line.
    """
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(lambda _: lines.end())
    stream = lines.__aiter__()
    try:
        first = await _first(stream, gone)
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    if first is None:
        return await _silent(task, told_inside)
    return StreamResponse(_stream(first, stream, task))


async def _first(stream: AsyncIterator[bytes], gone: asyncio.Event) -> bytes | None:
    line = asyncio.ensure_future(_next(stream))
    leaving = asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait((line, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not line.done():
            raise ClientGone("the client went away before its request was done")
        return line.result()
    finally:
        line.cancel()
        leaving.cancel()
        await asyncio.gather(line, leaving, return_exceptions=True)


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    return await anext(stream, None)


async def _silent(task: asyncio.Task[None], told_inside: bool) -> Response:
    text = b""
    try:
        await task
    except Exception as error:
        if not told_inside:
            raise
        text = failure_line(error)
    return Response(200, text, {"Content-Type": "application/json"})


async def _stream(
    first: bytes, stream: AsyncIterator[bytes], task: asyncio.Task[None]
) -> AsyncIterator[bytes]:
    try:
        yield first
        async for line in stream:
            yield line
        try:
            await task
        except Exception as error:
            yield failure_line(error)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def failure_line(error: Exception) -> bytes:
    """The line that ends a failed operation."""
    import json

    if not isinstance(error, EngineError):
        _log.error("operation failed", exc_info=error)
    message = str(error) or type(error).__name__
    detail = {"errorDetail": {"message": message}, "error": message}
    return json.dumps(detail, separators=(",", ":")).encode() + b"\r\n"
