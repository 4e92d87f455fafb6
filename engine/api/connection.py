"""One client's connection: parse requests, run them one after the other, see to its end.

HTTP/1.1 as RFC 9112 has it: keep-alive, pipelining, chunked both ways, 100-continue, upgrade.
A client may end its side and still read; it counts as gone once it has closed both.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol, cast
from urllib.parse import urlsplit

import httptools

from engine.api.application import failure
from engine.api.body import Body, ClientGone, broken
from engine.api.flow import Flow
from engine.api.message import LINE_LIMIT, Message, Refused
from engine.api.query import Query
from engine.api.raw import LINGER_SECONDS, RawConnection
from engine.api.request import Hijacked, Request
from engine.api.response import StreamResponse
from engine.api.router import Answer, split_version
from engine.api.writer import HIGH_WATER, ServerHeaders, Writer
from engine.errors import EngineError

log = logging.getLogger("engine.api")

HANG_UP_SECONDS = 1.0
# What was received is parsed in slices, so that no more requests are made of it than needed soon.
_AHEAD = 16
_HEAD_SLICE = 4 << 10
_BODY_SLICE = 64 << 10


class Handle(Protocol):
    """The application: answers a request; None when it took the connection over."""

    def __call__(self, request: Request) -> Awaitable[Answer]: ...


class Connection(asyncio.Protocol):
    """See the module. `began` and `ended` are called once each, with the socket open and closed."""

    _transport: asyncio.Transport
    _flow: Flow
    _writer: Writer

    def __init__(
        self,
        handle: Handle,
        server: ServerHeaders,
        began: Callable[["Connection"], None],
        ended: Callable[["Connection"], None],
    ) -> None:
        self._handle = handle
        self._server = server
        self._began = began
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self.closed = asyncio.Event()
        self._reading: Message | None = None  # what the parser is in
        self._message: Message | None = None  # what is being answered
        self._queue: deque[Message] = deque()  # parsed ahead
        self._task: asyncio.Task[None] | None = None
        self._held: list[bytes] = []  # received ahead, not parsed
        self._segment = b""
        self._silent = 0  # bytes since the parser last told something
        self._upgrade_left: int | None = None
        self._raw: RawConnection | None = None
        self._eof = False
        self._closing = False
        self._stopped = False
        self._hang_up: asyncio.TimerHandle | None = None

    # --- the transport calls these ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._flow = Flow(self._transport, self.closed)
        self._writer = Writer(self._transport, self._flow, self._server)
        self._began(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()
        gone = ClientGone("the client closed the connection before its request was complete")
        for message in (self._reading, self._message, *self._queue):
            if message is not None:
                message.body.fail(gone)
        self._queue.clear()
        if self._hang_up is not None:
            self._hang_up.cancel()
        if self._raw is not None:
            self._raw.feed_eof()
        self._flow.lost()
        if self._message is not None and self._message.streaming and self._task is not None:
            self._task.cancel()
        self._ended(self)

    def data_received(self, data: bytes) -> None:
        if self._raw is not None:
            self._raw.feed(data)
            self._watch()
        elif self._closing:
            return
        elif self._upgrade_left:
            self._feed_upgrade(data)
        elif self._message is not None and self._message.body.complete:
            # A next request, or bytes for the handler that takes over: decided when it answers.
            self._hold(data)
        else:
            self._parse(data)

    def eof_received(self) -> bool:
        self._eof = True
        if self._raw is not None:
            self._raw.feed_eof()
        elif self._message is None or not self._message.body.complete or self._flow.hung_up():
            return False
        if not self._transport.is_closing():
            self._watch()
        return True

    def pause_writing(self) -> None:
        self._flow.pause_writing()

    def resume_writing(self) -> None:
        self._flow.resume_writing()

    # --- the parser calls these ---

    def on_message_begin(self) -> None:
        self._reading = Message()

    def on_url(self, url: bytes) -> None:
        self._silent = 0
        assert self._reading is not None
        self._reading.add_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._silent = 0
        assert self._reading is not None
        self._reading.add_header(name, value)

    def on_headers_complete(self) -> None:
        message = self._reading
        assert message is not None
        message.method = self._parser.get_method().decode("latin-1")
        message.http_11 = self._parser.get_http_version() == "1.1"
        message.keep_alive = self._parser.should_keep_alive()
        expects = message.headers.get("expect", "").lower() == "100-continue"
        message.body = Body(
            self._flow.pause, self._flow.resume, self._writer.go_on if expects else None
        )
        if self._parser.should_upgrade():
            # The parser takes no body here; _feed_upgrade does.
            message.keep_alive = False
            self._upgrade_left = _upgrade_length(message)
        self._queue.append(message)
        if self._message is None:
            self._next()

    def on_body(self, data: bytes) -> None:
        self._silent = 0
        assert self._reading is not None
        self._reading.body.feed(data)

    def on_message_complete(self) -> None:
        assert self._reading is not None
        self._silent = 0
        if not self._upgrade_left:
            self._reading.body.end()
            self._reading = None

    # --- stopping ---

    @property
    def idle(self) -> bool:
        """Whether no whole request of it is being answered."""
        return self._message is None

    def stop(self) -> None:
        """The engine stops: no further request; streams end, a short answer is still given."""
        self._stopped = True
        if self._message is None:
            self._transport.close()
            return
        self._message.keep_alive = False
        if (self._message.streaming or self._raw is not None) and self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """Close at once."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    # --- parsing ---

    def _parse(self, data: bytes) -> None:
        self._segment = data if self._message is None else b""
        offset = 0
        try:
            while offset < len(data):
                in_body = self._reading is not None and self._reading.method
                piece = data[offset : offset + (_BODY_SLICE if in_body else _HEAD_SLICE)]
                self._silent += len(piece)
                self._parser.feed_data(piece)
                if self._silent > LINE_LIMIT:
                    raise Refused(431, "the request's headers are too large")
                offset += len(piece)
                if len(self._queue) >= _AHEAD and offset < len(data):
                    self._segment = self._segment[:offset]
                    self._hold(data[offset:])
                    return
        except httptools.HttpParserUpgrade as upgrade:
            self._segment = b""
            self._feed_upgrade(data[offset + upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._malformed(error, error.__context__)
        except Refused as refusal:
            self._malformed(refusal, refusal)

    def _feed_upgrade(self, data: bytes) -> None:
        """The body of a request that asks to upgrade; what follows it is the handler's."""
        if self._upgrade_left:
            body, data = data[: self._upgrade_left], data[self._upgrade_left :]
            self._upgrade_left -= len(body)
            assert self._reading is not None
            if body:
                self._reading.body.feed(body)
            if not self._upgrade_left:
                self._reading.body.end()
                self._reading = None
        if data:
            self._hold(data)

    def _malformed(self, error: Exception, cause: BaseException | None) -> None:
        refusal = cause if isinstance(cause, EngineError) else broken(error)
        if cause is not None and not isinstance(cause, EngineError):
            log.error("reading a request failed", exc_info=cause)
        self._closing = True
        last = self._queue[-1] if self._queue else self._message
        if last is not None:
            # The broken part is this one's body, or comes behind it: perhaps bytes for a
            # handler that takes the connection over without an upgrade.
            last.keep_alive = False
            last.body.fail(refusal)
            return
        self._writer.respond(failure(refusal), Message(keep_alive=False))
        self._close_gently()

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._flow.pause()
        self._watch()

    def _release(self) -> bytes:
        held = b"".join(self._held)
        for _ in self._held:
            self._flow.resume()
        self._held.clear()
        return held

    # --- one request after the other ---

    def _next(self) -> None:
        message = self._message = self._queue.popleft()
        if self._stopped:
            message.keep_alive = False
        self._task = self._loop.create_task(self._answer(message))
        if self._held and not message.body.complete:
            self._parse(self._release())  # the rest of its body came while others were answered

    async def _answer(self, message: Message) -> None:
        try:
            answer = await self._ask(message)
            if self._raw is None:
                await self._write(answer, message)
        except (ConnectionError, asyncio.CancelledError):
            self._transport.abort()
        except Exception:
            log.exception("%s %s: the answer broke off", message.method, _shown(message.url))
            self._transport.abort()
        self._finished(message)

    async def _ask(self, message: Message) -> Answer:
        try:
            url = urlsplit(message.url.decode("utf-8", "surrogateescape"))
            version, path = split_version(url.path)
            query = Query(url.query)
        except EngineError as error:
            return failure(error)
        except ValueError as error:
            return failure(broken(error))
        return await self._handle(
            Request(
                message.method,
                path,
                version,
                query,
                message.headers,
                message.body,
                self,
                self.closed,
            )
        )

    async def _write(self, answer: Answer, message: Message) -> None:
        if isinstance(answer, StreamResponse):
            message.streaming = True
            try:
                if not self.closed.is_set():
                    await self._writer.stream(answer, message)
            finally:
                message.streaming = False
                await _close(answer.body)
            return
        if self.closed.is_set():
            return
        if answer is None:
            answer = failure(EngineError("the engine gave no answer"))
        if not message.body.complete:
            message.keep_alive = False
        self._writer.respond(answer, message)
        if self._flow.full:
            await self._flow.drain()

    def _finished(self, message: Message) -> None:
        self._task = None
        self._message = None
        if self.closed.is_set():
            return
        message.body.discard()  # what the handler didn't read must not hold up the next one
        if self._raw is not None:
            self._raw.close()
        elif not message.keep_alive or not message.body.complete:
            self._close_gently()
        elif self._queue:
            self._next()
        else:
            if self._held:
                self._parse(self._release())
            if self._eof and self._message is None:
                self._transport.close()

    # --- the end ---

    def _close_gently(self) -> None:
        self._closing = True
        if self._eof or (self._reading is None and not self._held):
            self._transport.close()
            return
        # Closing with unread input would reset the connection, and the answer with it.
        self._release()
        self._transport.write_eof()
        self._loop.call_later(LINGER_SECONDS, self._transport.close)

    def _watch(self) -> None:
        """While the socket isn't read only poll() can tell that the client is gone."""
        if self._hang_up is None and (self._eof or self._flow.paused):
            self._hang_up = self._loop.call_later(HANG_UP_SECONDS, self._look)

    def _look(self) -> None:
        self._hang_up = None
        if self.closed.is_set():
            return
        if not self._flow.hung_up():
            self._watch()
        elif self._raw is not None and self._flow.paused:
            self.closed.set()  # what it sent before can still be read
        else:
            self._transport.abort()

    # --- taking over ---

    def hijack(self, request: Request, content_type: str, headers: Mapping[str, str]) -> Hijacked:
        """Answer and hand the socket over; called by Request.hijack. Raises ClientGone."""
        message = self._message
        assert message is not None and self._raw is None, "a request is hijacked once"
        if self.closed.is_set():
            raise ClientGone("the client is gone")
        raw = self._raw = RawConnection(self._flow, self._transport, self.closed)
        self._writer.take_over(content_type, request.upgrade, headers)
        self._queue.clear()
        early = _behind(self._segment, message) + self._release()
        if early:
            raw.feed(early)
        if self._eof:
            raw.feed_eof()
        return raw


def _upgrade_length(message: Message) -> int:
    if "transfer-encoding" in message.headers:
        raise Refused(400, "a request that asks to upgrade must tell its Content-Length")
    length = message.headers.get("content-length", "0")
    return int(length) if length.isdigit() else 0


def _behind(segment: bytes, message: Message) -> bytes:
    """What came behind a request in its own segment, from a client that didn't upgrade."""
    _, found, rest = segment.partition(b"\r\n\r\n")
    length = message.headers.get("content-length", "0")
    if not found or "transfer-encoding" in message.headers or not length.isdigit():
        return b""
    return rest[int(length) :]


def _shown(url: bytes) -> str:
    return url[:200].decode("utf-8", "backslashreplace")


async def _close(body: AsyncIterator[bytes]) -> None:
    aclose = getattr(body, "aclose", None)
    if aclose is not None:
        await aclose()
