"""Bytes and progress lines between the loop and threads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from engine.images.streams import Cancelled, Feed, Outlet, Progress


async def pieces(count: int, size: int = 1 << 20) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * size


async def test_a_feed_passes_everything_in_order_with_back_pressure() -> None:
    feed = Feed()
    filling = asyncio.create_task(feed.fill(pieces(20)))
    await asyncio.sleep(0.02)
    assert not filling.done()  # 20 MB don't fit: the client waits

    def read() -> bytes:
        out = b""
        while piece := feed.read(300_000):
            out += piece[:1] + piece[-1:]
        return out

    read_back = await asyncio.to_thread(read)
    await filling
    assert bytes(sorted(set(read_back))) == bytes(range(20))


async def test_a_reader_learns_that_the_client_went_away() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError

    feed = Feed()
    await feed.fill(broken())
    assert feed.read(10) == b"some"
    with pytest.raises(Cancelled):
        feed.read(10)


async def test_closing_a_feed_lets_the_client_finish() -> None:
    feed = Feed()
    filling = asyncio.create_task(feed.fill(pieces(20)))
    await asyncio.sleep(0)
    feed.close()
    async with asyncio.timeout(2):
        await filling


async def test_an_outlet_stops_its_writer_when_the_client_is_gone() -> None:
    outlet = Outlet()

    def write() -> int:
        sent = 0
        try:
            while True:
                sent += outlet.write(b"x" * (1 << 20))
        except Cancelled:
            return sent

    task = asyncio.create_task(asyncio.to_thread(write))
    async for _ in outlet:
        break
    outlet.close()
    async with asyncio.timeout(2):
        assert await task < 64 << 20


async def test_progress_lines() -> None:
    progress = Progress()
    progress.status("Pulling fs layer", "abc")
    progress.fail("no", 404)
    progress.end()
    lines = [json.loads(line) async for line in progress]
    assert lines == [
        {"status": "Pulling fs layer", "id": "abc"},
        {"errorDetail": {"message": "no", "code": 404}, "error": "no"},
    ]


async def test_lines_never_hold_up_who_tells_them() -> None:
    """Nobody reads: lines are left out at last, but never the one that says what failed."""
    progress = Progress()
    text = "x" * (1 << 20)
    for _ in range(80):
        progress.emit(stream=text)
    progress.fail("it failed", 3)
    progress.end()
    lines = [line async for line in progress]
    assert 60 < len(lines) < 70
    assert json.loads(lines[-1])["errorDetail"] == {"message": "it failed", "code": 3}
