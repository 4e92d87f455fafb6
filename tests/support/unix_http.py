"""Single requests to an engine that may die under them."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any


class Gone(Exception):
    """The engine died under a request: nobody knows whether it was done."""


class Connection(http.client.HTTPConnection):
    """One request a connection: nothing is left open when the engine dies under it."""

    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, target: str, body: Any = None) -> tuple[int, bytes]:
    """Status and body of an answer; `body` is bytes (a tar) or JSON. Raises Gone."""
    raw = body is None or isinstance(body, bytes)
    content = body if raw else json.dumps(body)
    kind = "application/x-tar" if raw else "application/json"
    try:
        with closing(Connection(path)) as connection:
            connection.request(method, target, content, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Gone from error


def lines(text: bytes) -> Iterator[Any]:
    """The JSON values of a progress stream."""
    for line in text.splitlines():
        if line.strip():
            yield json.loads(line)
