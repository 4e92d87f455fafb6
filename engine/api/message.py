"""What a connection knows of one request, from its first byte to the end of its answer."""

from engine.api.body import Body
from engine.errors import EngineError

HEADER_LIMIT = 64 << 10
URL_LIMIT = 32 << 10
LINE_LIMIT = 96 << 10  # bytes that the parser may keep to itself: a line without an end


class Refused(EngineError):
    """A request that breaks a limit before it is whole."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _nothing() -> None:
    return None


def no_body() -> Body:
    """A body that is complete and empty."""
    body = Body(_nothing, _nothing)
    body.end()
    return body


class Message:
    """Filled by the parser's callbacks; header names in lower case, repeated ones joined."""

    __slots__ = (
        "_header_size",
        "body",
        "headers",
        "http_11",
        "keep_alive",
        "method",
        "streaming",
        "url",
    )

    def __init__(self, keep_alive: bool = True) -> None:
        self.method = ""
        self.url = b""
        self.headers: dict[str, str] = {}
        self.http_11 = True
        self.keep_alive = keep_alive
        self.streaming = False
        self.body = no_body()
        self._header_size = 0

    def add_url(self, url: bytes) -> None:
        """A piece of the request's address. Raises Refused."""
        self.url += url
        if len(self.url) > URL_LIMIT:
            raise Refused(414, "the request's address is too long")

    def add_header(self, name: bytes, value: bytes) -> None:
        """One header line. Raises Refused."""
        self._header_size += len(name) + len(value)
        if self._header_size > HEADER_LIMIT:
            raise Refused(431, "the request's headers are too large")
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        held = self.headers.get(key)
        self.headers[key] = text if held is None else f"{held}, {text}"
