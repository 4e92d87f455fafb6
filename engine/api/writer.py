"""Answers onto the wire: heads, whole bodies, chunked streams."""

import asyncio
import time
from collections.abc import Mapping

from engine.api.flow import Flow
from engine.api.message import Message
from engine.api.response import Response, StreamResponse

# http.HTTPStatus has them all, for a millisecond at import
_REASONS = {
    101: "Switching Protocols",
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    411: "Length Required",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    499: "Client Closed Request",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
_DATE = "%a, %d %b %Y %H:%M:%S GMT"
HIGH_WATER = 1 << 18  # bytes that wait for a slow client before the one who writes must
BODYLESS = frozenset({204, 304})


class ServerHeaders:
    """The header lines of every answer, the date among them, and the empty line."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._second = 0
        self._text = b""

    def render(self) -> bytes:
        """The lines as they are now."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            date = time.strftime(_DATE, time.gmtime(second))
            self._text = f"{self._fixed}Date: {date}\r\n\r\n".encode()
        return self._text


class Writer:
    """Writes the answers of one connection."""

    def __init__(self, transport: asyncio.Transport, flow: Flow, server: ServerHeaders) -> None:
        self._transport = transport
        self._flow = flow
        self._server = server

    def go_on(self) -> None:
        """Tell a client that waits that its body is wanted (Expect: 100-continue)."""
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def take_over(self, content_type: str, upgrade: str, headers: Mapping[str, str]) -> None:
        """The head of a hijacked connection, in dockerd's words."""
        if upgrade:
            head = (
                f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\n"
                f"Connection: Upgrade\r\nUpgrade: {_clean(upgrade)}\r\n"
            )
        else:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n"
        head += "".join(f"{name}: {_clean(value)}\r\n" for name, value in headers.items())
        self._transport.write(head.encode("latin-1", "replace") + self._server.render())

    def respond(self, response: Response, message: Message) -> None:
        """A whole answer in one write."""
        lines = _head(response.status, response.headers, message)
        if response.status not in BODYLESS and "Content-Length" not in response.headers:
            lines.append(f"Content-Length: {len(response.body)}\r\n")
        head = "".join(lines).encode("latin-1", "replace") + self._server.render()
        if message.method == "HEAD" or response.status in BODYLESS:
            self._transport.write(head)
        else:
            self._transport.write(head + response.body)

    async def stream(self, response: StreamResponse, message: Message) -> None:
        """The head at once, then each piece as it comes. Raises what the stream raises."""
        chunked = message.http_11
        if not chunked:
            message.keep_alive = False
        lines = _head(response.status, response.headers, message)
        lines.append(f"Content-Type: {response.content_type}\r\n")
        if chunked:
            lines.append("Transfer-Encoding: chunked\r\n")
        self._transport.write("".join(lines).encode("latin-1", "replace") + self._server.render())
        if message.method == "HEAD":
            return
        self._transport.set_write_buffer_limits(high=response.held or HIGH_WATER)
        async for piece in response.body:
            if piece:
                self._send(piece, chunked)
            if self._flow.full:
                await self._flow.drain()
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        if chunked:
            self._transport.write(b"0\r\n\r\n")

    def _send(self, piece: bytes, chunked: bool) -> None:
        if chunked:
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            self._transport.write(piece)


def _head(status: int, headers: Mapping[str, str], message: Message) -> list[str]:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\n"]
    for name, value in headers.items():
        lines.append(f"{name}: {_clean(value)}\r\n")
    if not message.keep_alive:
        lines.append("Connection: close\r\n")
    elif not message.http_11:
        lines.append("Connection: keep-alive\r\n")
    return lines


def _clean(value: str) -> str:
    """A header's value must not start a new line."""
    return value.replace("\r", " ").replace("\n", " ")
