"""HTTP routes for the streams of containers: attach, logs, stats, resize."""

import time
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from typing import Any, Protocol

from engine.api.attached import AttachedClient
from engine.api.http import (
    MEDIA_TYPE,
    RAW_MEDIA_TYPE,
    Answer,
    Query,
    Request,
    Response,
    Route,
    StreamResponse,
    encode,
    frame,
    frame_lines,
)
from engine.api.websocket import WebSocketClient, answer_headers
from engine.errors import BadRequest
from engine.times import parse_time

Document = dict[str, Any]
_LARGE = 64 << 10
_STREAMS = ("stdin", "stdout", "stderr")


class LogLine(Protocol):
    """One line of a log: 1 stdout, 2 stderr; ns since 1970; bytes with their newline."""

    @property
    def stream(self) -> int: ...
    @property
    def time_ns(self) -> int: ...
    @property
    def data(self) -> bytes: ...


class Backend(Protocol):
    """What these routes need; `containers.wiring.Containers` satisfies it."""

    def terminal(self, reference: str) -> bool: ...
    def logs(
        self,
        reference: str,
        *,
        stdout: bool,
        stderr: bool,
        follow: bool,
        since_ns: int,
        until_ns: int,
        tail: int | None,
        timed: bool = True,
    ) -> AsyncIterator[Sequence[LogLine]]: ...
    def log_details(self, reference: str) -> bytes: ...
    def stats(self, reference: str, *, once: bool, single: bool) -> AsyncIterator[Document]: ...
    async def resize(self, reference: str, height: int, width: int) -> None: ...
    def check_attach(self, reference: str, keys: str) -> bytes: ...
    async def attach(
        self,
        reference: str,
        client: AttachedClient | WebSocketClient,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        keys: bytes,
    ) -> None: ...


def media_type(request: Request, *, terminal: bool) -> str:
    """The type of a stream's answer: multiplexed is named so since API 1.42."""
    return RAW_MEDIA_TYPE if terminal or request.version < (1, 42) else MEDIA_TYPE


def stream_type(request: Request, *, terminal: bool) -> str:
    """As `media_type`, for a connection that's taken over: named only where an upgrade is asked."""
    return media_type(request, terminal=terminal) if request.upgrade else RAW_MEDIA_TYPE


def _stamp(time_ns: int) -> bytes:
    """Go's RFC 3339 with all nine digits, and a space."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest:09d}Z ".encode()


def _render(
    batch: Sequence[LogLine],
    *,
    framed: bool,
    follow: bool,
    stamps: bool = False,
    details: bytes | None = None,
) -> bytes:
    """A batch as bytes on the wire, each line in a frame of its own.

    Only what is read at one go and in large pieces has frames of many lines: nobody who reads so
    looks at frames, and they cost the client more than the lines.
    """
    if stamps or details is not None:
        mark = b"" if details is None else details + b" "
        lines = [
            (one.stream, (_stamp(one.time_ns) if stamps else b"") + mark + one.data)
            for one in batch
        ]
        if not framed:
            return b"".join(data for _, data in lines)
        return b"".join(frame(stream, data) for stream, data in lines)
    if not framed:
        return b"".join([one.data for one in batch])
    if follow or sum(len(one.data) for one in batch) < _LARGE:
        return b"".join([frame_lines(one.stream, one.data) for one in batch])
    return b"".join(
        frame(stream, b"".join([one.data for one in lines]))
        for stream, lines in groupby(batch, key=lambda one: one.stream)
    )


def _tail(query: Query) -> int | None:
    text = query.get("tail")
    if not text or text == "all":
        return None
    try:
        number = int(text)
    except ValueError:
        return None
    return number if number >= 0 else None


def _moment(query: Query, name: str) -> int:
    text = query.get(name)
    return parse_time(text) if text and text != "0" else 0


def resize_words(query: Query) -> tuple[int, int]:
    numbers = []
    for name, word in (("h", "height"), ("w", "width")):
        value = query.get(name)
        if not value.isdecimal():
            raise BadRequest(f'invalid resize {word} "{value}": invalid syntax')
        numbers.append(int(value))
    return numbers[0], numbers[1]


async def _carry(
    backend: Backend,
    request: Request,
    client: AttachedClient | WebSocketClient,
    streams: Sequence[bool],
    keys: bytes,
) -> None:
    """What the client asked of a container's streams: what was said before, then what comes."""
    id, (stdin, stdout, stderr) = request.params["id"], streams
    try:
        if request.query.flag("logs"):
            earlier = backend.logs(
                id, stdout=stdout, stderr=stderr, follow=False, since_ns=0, until_ns=0, tail=None
            )
            async for batch in earlier:
                for stream, lines in groupby(batch, key=lambda one: one.stream):
                    await client.send(stream, b"".join([one.data for one in lines]))
        if request.query.flag("stream"):
            await backend.attach(id, client, stdin=stdin, stdout=stdout, stderr=stderr, keys=keys)
    finally:
        client.close()


def routes(backend: Backend) -> Sequence[Route]:
    """The routes of a container's streams."""

    async def logs(request: Request) -> Answer:
        id, query = request.params["id"], request.query
        terminal = backend.terminal(id)
        stamps = query.flag("timestamps")
        follow = query.flag("follow")
        details = backend.log_details(id) if query.flag("details") else None
        batches = backend.logs(
            id,
            stdout=query.flag("stdout"),
            stderr=query.flag("stderr"),
            follow=follow,
            since_ns=_moment(query, "since"),
            until_ns=_moment(query, "until"),
            tail=_tail(query),
            # details stand at the head of each line, as the time does
            timed=stamps or details is not None,
        )

        async def body() -> AsyncIterator[bytes]:
            async for batch in batches:
                yield _render(
                    batch, stamps=stamps, details=details, framed=not terminal, follow=follow
                )

        return StreamResponse(body(), content_type=media_type(request, terminal=terminal))

    async def stats(request: Request) -> Answer:
        query = request.query
        once = not query.flag("stream", True)
        samples = backend.stats(
            request.params["id"], once=once, single=once and query.flag("one-shot")
        )

        async def body() -> AsyncIterator[bytes]:
            async for sample in samples:
                yield encode(sample)

        return StreamResponse(body())

    async def attach(request: Request) -> Answer:
        id, query = request.params["id"], request.query
        keys = backend.check_attach(id, query.get("detachKeys"))
        terminal = backend.terminal(id)
        await request.read()
        connection = await request.hijack(stream_type(request, terminal=terminal))
        streams = [query.flag(name) for name in _STREAMS]
        await _carry(
            backend, request, AttachedClient(connection, framed=not terminal), streams, keys
        )
        return None

    async def attach_by_websocket(request: Request) -> Answer:
        id, query = request.params["id"], request.query
        keys = backend.check_attach(id, query.get("detachKeys"))
        client = WebSocketClient(await request.hijack(headers=answer_headers(request.headers)))
        # clients before API 1.42 can't choose
        streams = [query.flag(name) or request.version < (1, 42) for name in _STREAMS]
        await _carry(backend, request, client, streams, keys)
        return None

    async def resize(request: Request) -> Answer:
        height, width = resize_words(request.query)
        await backend.resize(request.params["id"], height, width)
        return Response(200)

    return (
        Route("GET", "/containers/{id}/logs", logs),
        Route("GET", "/containers/{id}/stats", stats),
        Route("POST", "/containers/{id}/attach", attach),
        Route("GET", "/containers/{id}/attach/ws", attach_by_websocket),
        Route("POST", "/containers/{id}/resize", resize),
    )
