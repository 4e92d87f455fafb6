"""Answers as values: a body that is there, or one that comes piece by piece."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from engine.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. Header names as they go over the wire."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamResponse:
    """An answer in chunks, each sent at once.

    When the client goes away the iterator is cancelled where it waits, and closed. `held` bytes
    may wait for a slow client before the iterator must (0: as many as for any answer).
    """

    body: AsyncIterator[bytes]
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    held: int = 0


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_JSON = {"Content-Type": "application/json"}


def encode(value: Any) -> bytes:
    """JSON with a newline at its end, as Docker writes it."""
    # Names of files need not be valid UTF-8; what can't be encoded goes out as "?".
    return _encode(value).encode(errors="replace") + b"\n"


def json_response(value: Any, status: int = 200) -> Response:
    """An answer with a JSON body."""
    return Response(status, encode(value), _JSON)


def encoded_response(text: str) -> Response:
    """An answer whose JSON is there already."""
    return Response(200, text.encode(errors="replace") + b"\n", _JSON)


def created(value: Any) -> Response:
    """201 with a JSON body."""
    return json_response(value, 201)


def no_content() -> Response:
    """204."""
    return Response(204)


def text_response(text: str, status: int = 200) -> Response:
    """A plain text answer."""
    return Response(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"})
