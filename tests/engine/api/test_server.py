"""The socket: who may use it, what is in its way, how it ends."""

import asyncio
import socket
import stat

import pytest

from engine.api.server import Server, SocketError


async def nothing(request):
    return None


async def test_stale_socket_is_replaced(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    server = Server(nothing, "x")
    await server.start(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await server.stop()
    assert not path.exists()


async def test_served_socket_is_left_alone(scene):
    with pytest.raises(SocketError, match="already served"):
        await Server(nothing, "x").start(scene.path)


async def test_file_in_the_way(tmp_path):
    (tmp_path / "s").write_text("precious")
    with pytest.raises(SocketError, match="not a socket"):
        await Server(nothing, "x").start(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "precious"


async def test_path_too_long(tmp_path):
    with pytest.raises(SocketError, match="longer than 107 bytes"):
        await Server(nothing, "x").start(tmp_path / ("x" * 120))


async def test_stop_ends_streams_and_idle_connections(scene, client):
    idle = await scene.client()
    await client.send(b"GET /stream?wait=1 HTTP/1.1\r\nHost: d\r\n\r\n")
    await client.head()
    await asyncio.wait_for(scene.server.stop(), 2)
    assert scene.ended.is_set()
    assert await idle.rest() == b""


async def test_mode_and_group(tmp_path):
    server = Server(nothing, "x")
    await server.start(tmp_path / "s", mode=0o660)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660
    await server.stop()
    await server.stop()


async def test_too_many_connections_cost_the_oldest_that_is_idle(scene):
    server = Server(scene.server._handle, "x", most=3)
    path = scene.path.with_name("few")
    await server.start(path)
    try:
        busy, *idle = [await asyncio.open_unix_connection(path) for _ in range(3)]
        busy[1].write(b"GET /stream?wait=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        assert (await busy[0].readline()).startswith(b"HTTP/1.1 200")
        more = await asyncio.open_unix_connection(path)
        more[1].write(b"GET /things/a HTTP/1.1\r\nHost: d\r\n\r\n")
        assert (await more[0].readline()).startswith(b"HTTP/1.1 200")
        assert await asyncio.wait_for(idle[0][0].read(), 2) == b""
        idle[1][1].write(b"GET /things/a HTTP/1.1\r\nHost: d\r\n\r\n")
        assert (await idle[1][0].readline()).startswith(b"HTTP/1.1 200")
    finally:
        await server.stop()
        for _, writer in (busy, *idle, more):
            writer.close()
