"""Attached clients share one connection to conmon: tested against a socket of the same kind."""

import asyncio
import os
import socket

import pytest

from engine.runtime.hub import Hub


@pytest.fixture
def listener(tmp_path):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = os.open(tmp_path, os.O_PATH)
    server.bind(f"/proc/self/fd/{folder}/attach")
    os.close(folder)
    server.listen()
    with server:
        yield server


async def gather(streams):
    return [item async for item in streams]


async def test_output_reaches_every_client_in_order(tmp_path, listener):
    hub = Hub(tmp_path, stdin=False, closes_stdin=False)
    first, second = hub.attach(), hub.attach()
    server, _ = listener.accept()
    with server:
        for packet in (b"\x02one", b"\x02two", b"\x03err", b"\x02three"):
            server.send(packet)
    async with asyncio.timeout(5):
        wanted = [(1, b"onetwo"), (2, b"err"), (1, b"three")]
        assert await gather(first) == wanted
        assert await gather(second) == wanted


async def test_a_slow_client_holds_the_writer_back(tmp_path, listener):
    hub = Hub(tmp_path, stdin=False, closes_stdin=False)
    client = hub.attach()
    server, _ = listener.accept()
    server.setblocking(False)
    sent = 0
    with server:
        idle = 0
        while idle < 5:
            try:
                sent += server.send(b"\x02" + bytes(8192)) - 1
                idle = 0
            except BlockingIOError:
                idle += 1
                await asyncio.sleep(0.001)
        assert sent < 16 << 20
        server.close()
        async with asyncio.timeout(5):
            assert sum([len(data) async for _, data in client]) == sent


async def test_the_rest_of_an_ended_container_is_taken_from_a_client_that_never_reads(
    tmp_path, listener
):
    hub = Hub(tmp_path, stdin=False, closes_stdin=False)
    client = hub.attach()
    server, _ = listener.accept()
    server.setblocking(False)
    sent = 0
    with server:
        for wanted in (4 << 20, 12 << 20):
            while sent < wanted:
                try:
                    sent += server.send(b"\x02" + bytes(8192)) - 1
                except BlockingIOError:
                    await asyncio.sleep(0.001)
            hub.finish()
    client.close()


async def test_input_is_split_and_closed(tmp_path, listener):
    hub = Hub(tmp_path, stdin=True, closes_stdin=True)
    client = hub.attach()
    server, _ = listener.accept()
    with server:
        await client.write(b"a" * 40000)
        await client.close_stdin()
        received = []
        while packet := server.recv(1 << 16):
            received.append(len(packet))
        assert sum(received) == 40000 and max(received) <= 32 << 10
        with pytest.raises(BrokenPipeError):
            await client.write(b"more")
    client.close()


async def test_input_of_a_terminal_stays_open(tmp_path, listener):
    hub = Hub(tmp_path, stdin=True, closes_stdin=False)
    client = hub.attach()
    server, _ = listener.accept()
    with server:
        await client.close_stdin()
        await client.write(b"still")
        assert server.recv(100) == b"still"
    client.close()


async def test_an_ended_container_has_no_output(tmp_path):
    hub = Hub(tmp_path, stdin=False, closes_stdin=False)
    assert await gather(hub.attach()) == []
