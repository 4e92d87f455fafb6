"""One request as a handler sees it, and the connection that it may take over."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from engine.api.body import Body
from engine.api.frames import RAW_MEDIA_TYPE
from engine.api.query import Query
from engine.errors import BadRequest

# JSON bodies are small; a build context or an archive goes through chunks().
JSON_LIMIT = 4 << 20


class Hijacked(Protocol):
    """A connection that belongs to a handler: bytes both ways, each direction ends on its own."""

    closed: asyncio.Event

    async def read(self) -> bytes:
        """What the client sent; b"" when it sends no more (it may still be reading)."""
        ...

    def write(self, *pieces: bytes) -> None:
        """Send, in order; never blocks. Without effect once the client is gone."""
        ...

    async def drain(self) -> None:
        """Wait while the client is slow. Raises ConnectionResetError when it's gone."""
        ...

    async def delivered(self) -> None:
        """Wait, for a moment at most, until the client has taken what was written so far."""
        ...

    def write_eof(self) -> None:
        """Tell the client that no more comes, and keep reading."""
        ...

    def close(self) -> None:
        """Send what is written, then close. Closing twice is safe."""
        ...


class Hijacker(Protocol):
    """The connection, as far as `Request.hijack` needs it."""

    def hijack(
        self, request: "Request", content_type: str, headers: Mapping[str, str]
    ) -> Hijacked: ...


class Request:
    """A parsed request; `params` are the named parts of the route's pattern."""

    __slots__ = (
        "_body",
        "_connection",
        "closed",
        "headers",
        "method",
        "params",
        "path",
        "query",
        "upgrade",
        "version",
    )

    def __init__(
        self,
        method: str,
        path: str,
        version: tuple[int, int],
        query: Query,
        headers: Mapping[str, str],
        body: Body,
        connection: Hijacker,
        closed: asyncio.Event,
    ) -> None:
        self.method = method
        self.path = path
        self.version = version
        self.query = query
        self.headers = headers
        self.params: dict[str, str] = {}
        self.closed = closed
        self.upgrade = headers.get("upgrade", "") if _asks_upgrade(headers) else ""
        self._body = body
        self._connection = connection

    async def read(self, limit: int = JSON_LIMIT) -> bytes:
        """The whole body; 413 when it's longer than limit bytes."""
        return await self._body.read(limit)

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; the client waits while the handler is busy."""
        return self._body.chunks()

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object, {} when it's empty. Raises BadRequest."""
        text = await self._body.read(JSON_LIMIT)
        if not text.strip():
            return {}
        media_type = self.headers.get("content-type", "")
        if media_type.partition(";")[0].strip().lower() != "application/json":
            raise BadRequest(
                f"unsupported Content-Type header ({media_type}): must be 'application/json'"
            )
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _malformed(error) from error
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise BadRequest(f"invalid JSON: expected an object, got {_KINDS[type(value)]}")
        return value

    async def hijack(
        self, content_type: str = RAW_MEDIA_TYPE, headers: Mapping[str, str] | None = None
    ) -> Hijacked:
        """Answer 101 (or 200 to a client that didn't ask to upgrade) and take the connection over.

        The handler owns it from here on, closes it, and returns None. `headers` join the answer's.
        """
        return self._connection.hijack(self, content_type, headers or {})


def _malformed(error: Exception) -> BadRequest:
    """The sentence that dockerd's decoder has for a body that ends early or goes on."""
    if isinstance(error, json.JSONDecodeError):
        if error.msg == "Extra data":
            return BadRequest("unexpected content after JSON")
        if error.pos >= len(error.doc.rstrip()):
            return BadRequest("invalid JSON: unexpected EOF")
    return BadRequest(f"invalid JSON: {error}")


_KINDS: dict[type, str] = {
    bool: "bool",
    float: "number",
    int: "number",
    list: "array",
    str: "string",
}


def _asks_upgrade(headers: Mapping[str, str]) -> bool:
    return "upgrade" in headers.get("connection", "").lower()
