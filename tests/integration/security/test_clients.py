"""Hostile clients of the socket: the others don't notice."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root
GET = b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"


@pytest.fixture
def room() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(engine: NativeEngine, room: ExitStack) -> socket.socket:
    connection = room.enter_context(socket.socket(socket.AF_UNIX))
    connection.settimeout(10)
    deadline = time.monotonic() + 10
    while True:
        try:
            connection.connect(str(engine.socket))
            return connection
        except BlockingIOError:  # the queue of the listener is full for a moment
            assert time.monotonic() < deadline
            time.sleep(0.02)


def answers(engine: NativeEngine) -> bool:
    with ExitStack() as room:
        connection = connect(engine, room)
        connection.sendall(GET)
        return connection.recv(64).startswith(b"HTTP/1.1 200")


def resident(engine: NativeEngine) -> int:
    """MiB of memory that the engine has."""
    assert engine.process is not None
    lines = Path(f"/proc/{engine.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS"))


def flood(connection: socket.socket, piece: bytes, most: int) -> int:
    """Send until the engine has had enough; bytes that it took."""
    sent = 0
    connection.settimeout(0.5)
    try:
        while sent < most:
            sent += connection.send(piece)
    except OSError:
        pass
    return sent


@pytest.mark.parametrize(
    "start",
    [
        b"GET /_ping HTTP/1.1\r\nX: ",
        b"GET /",
        b"POST /containers/create HTTP/1.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99999999999\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"POST /_ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        b"POST /_ping HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    ],
    ids=["header", "address", "json", "chunk", "trailer", "unread"],
)
def test_what_never_ends_takes_no_memory(
    native_engine: NativeEngine, room: ExitStack, start: bytes
) -> None:
    before = resident(native_engine)
    connection = connect(native_engine, room)
    connection.sendall(start)
    flood(connection, b"a" * (1 << 18), 64 << 20)
    assert answers(native_engine)
    assert resident(native_engine) < before + 40


def test_thousands_of_idle_and_half_requests(native_engine: NativeEngine, room: ExitStack) -> None:
    before = resident(native_engine)
    for number in range(2000):
        connection = connect(native_engine, room)
        if number % 2:
            connection.send(GET[:30])
    assert answers(native_engine)
    assert resident(native_engine) < before + 60
    assert native_engine.docker("ps", timeout=20).stdout


@pytest.mark.parametrize("body", [b"[" * 300_000, b'{"a":' * 200_000, b"1" * 100_000, b'"\xff"'])
def test_json_bombs(native_engine: NativeEngine, room: ExitStack, body: bytes) -> None:
    connection = connect(native_engine, room)
    head = "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"invalid JSON" in answer


def test_an_attach_that_never_reads(native_engine: NativeEngine, room: ExitStack) -> None:
    """Its container may have to wait; nobody else does, and what it writes isn't piled up."""
    name = f"c-{uuid4().hex[:10]}"
    script = "while :; do yes 0123456789abcdef; done"
    command = ("busybox", "sh", "-c", script)
    native_engine.docker("create", "--name", name, "--log-driver", "none", *command)
    before = resident(native_engine)
    try:
        connection = connect(native_engine, room)
        connection.sendall(
            f"POST /containers/{name}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert b"101" in connection.recv(64)
        native_engine.docker("start", name)
        time.sleep(1)
        assert resident(native_engine) < before + 40
        assert native_engine.docker("run", "--rm", "busybox", "echo", "ok").stdout == "ok\n"
    finally:
        native_engine.docker("rm", "-f", name)


def test_filters_that_would_run_for_ever(native_engine: NativeEngine, room: ExitStack) -> None:
    name = "a" * 200
    native_engine.docker("create", "--name", name, "busybox")
    try:
        begun = time.monotonic()
        done = native_engine.docker("ps", "-a", "--filter", "name=(a+)+b", check=False)
        assert "too complex" in done.stderr
        assert time.monotonic() - begun < 5
        shown = native_engine.docker("ps", "-aq", "--filter", "name=^a+$").stdout
        assert len(shown.split()) == 1
    finally:
        native_engine.docker("rm", name)
