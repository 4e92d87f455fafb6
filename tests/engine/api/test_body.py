"""Bodies that must fit in memory: how large, how many, how slow."""

from __future__ import annotations

import asyncio

import pytest

from engine.api import body as module
from engine.api.body import LARGE_AT_A_TIME, SMALL, Body, BodyTooLarge, BodyTooSlow


def body() -> Body:
    return Body(lambda: None, lambda: None)


async def test_small_ones_never_wait_for_large_ones():
    large = [body() for _ in range(LARGE_AT_A_TIME + 2)]
    reading = [asyncio.create_task(one.read(10 * SMALL)) for one in large]
    for one in large:
        one.feed(bytes(SMALL + 1))
    await asyncio.sleep(0.01)
    small = body()
    small.feed(b"small")
    small.end()
    assert await asyncio.wait_for(small.read(SMALL), 5) == b"small"
    for one in large:
        one.feed(b"x")
        one.end()
    done = await asyncio.wait_for(asyncio.gather(*reading), 5)
    assert {len(text) for text in done} == {SMALL + 2}


async def test_a_large_one_that_stops_coming_gives_its_turn_up(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    stuck = [body() for _ in range(LARGE_AT_A_TIME)]
    reading = [asyncio.create_task(one.read(10 * SMALL)) for one in stuck]
    for one in stuck:
        one.feed(bytes(SMALL + 1))
    await asyncio.sleep(0.01)
    honest = body()
    honest.feed(bytes(2 * SMALL))
    honest.end()
    assert len(await asyncio.wait_for(honest.read(10 * SMALL), 5)) == 2 * SMALL
    for one in reading:
        with pytest.raises(BodyTooSlow):
            await one


@pytest.mark.parametrize("limit", [10, SMALL, 2 * SMALL])
async def test_limits(limit):
    for size, fits in ((limit, True), (limit + 1, False)):
        one = body()
        for start in range(0, size, 50_000):
            one.feed(bytes(min(50_000, size - start)))
        one.end()
        if fits:
            assert len(await one.read(limit)) == size
        else:
            with pytest.raises(BodyTooLarge, match=f"more than {limit} bytes"):
                await one.read(limit)
