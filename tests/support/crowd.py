"""Clients that speak bytes, many at a time, and what the others notice of them."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.native import NativeEngine

_PATIENCE = 20.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = connected(self._path)


def connected(path: Path) -> socket.socket:
    """A connection; while the listener's queue is full it is tried again."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_PATIENCE)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.connect(str(path))
            return connection
        except BlockingIOError:
            assert time.monotonic() < deadline, "the engine accepts nobody"
            time.sleep(0.02)


def resident(engine: NativeEngine) -> float:
    """MB of memory that the engine has."""
    assert engine.process is not None
    lines = Path(f"/proc/{engine.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def ask(engine: NativeEngine, method: str, path: str, body: Any = None) -> Any:
    """One whole request: its JSON or its bytes. Raises AssertionError for an error."""
    connection = _Connection(engine.socket)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    assert answer.status < 400, f"{method} {path}: {answer.status} {data[:300]!r}"
    return json.loads(data) if data.startswith((b"{", b"[")) else data


def create(engine: NativeEngine, *command: str, **config: Any) -> str:
    """A new busybox container's id."""
    body = {"Image": "busybox", "Cmd": command, **config}
    return str(ask(engine, "POST", "/containers/create", body)["Id"])


def life(engine: NativeEngine) -> float:
    """What another client does all day: a container's whole life. Seconds that it took."""
    begun = time.monotonic()
    id = create(engine, "echo", "well")
    ask(engine, "POST", f"/containers/{id}/start")
    ask(engine, "POST", f"/containers/{id}/wait")
    assert b"well" in ask(engine, "GET", f"/containers/{id}/logs?stdout=1")
    assert b"busybox" in ask(engine, "GET", f"/containers/{id}/archive?path=/bin/busybox")
    assert id in {one["Id"] for one in ask(engine, "GET", "/containers/json?all=1")}
    ask(engine, "DELETE", f"/containers/{id}")
    return time.monotonic() - begun


class Crowd:
    """Connections that are held open until `leave`."""

    def __init__(self, engine: NativeEngine) -> None:
        self.engine = engine
        self.sockets: list[socket.socket] = []

    def join(self, data: bytes = b"") -> socket.socket:
        """One more client, which says `data`."""
        connection = connected(self.engine.socket)
        self.sockets.append(connection)
        connection.sendall(data)
        return connection

    def say(self, piece: bytes, seconds: float) -> None:
        """All send until nobody takes any more, or the time is over."""
        deadline = time.monotonic() + seconds
        for connection in self.sockets:
            connection.setblocking(False)
        while time.monotonic() < deadline:
            if not sum(_send(connection, piece) for connection in self.sockets):
                time.sleep(0.05)

    def leave(self) -> None:
        """Close all connections; twice is safe."""
        for connection in self.sockets:
            connection.close()
        self.sockets.clear()


def _send(connection: socket.socket, piece: bytes) -> int:
    with suppress(OSError):
        return connection.send(piece)
    return 0


def head(method: str, path: str, *headers: str) -> bytes:
    """The head of a request, in bytes."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: d", *headers, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def soon(look: Callable[[], Any], seconds: float = 10) -> Any:
    """What `look` gives as soon as it's true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
