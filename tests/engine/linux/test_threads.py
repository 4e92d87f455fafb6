"""Work in threads of their own."""

import asyncio
import threading

import pytest

from engine.linux.threads import apart


async def test_it_gives_what_the_work_gives():
    assert await apart(lambda: threading.current_thread().name, "mine") == "mine"
    with pytest.raises(ZeroDivisionError):
        await apart(lambda: 1 // 0, "broken")


async def test_many_that_wait_hold_up_nobody():
    gate = threading.Event()
    waiting = [asyncio.create_task(apart(gate.wait, "waits")) for _ in range(50)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 5) == 1
    waiting[0].cancel()
    gate.set()
    assert await asyncio.gather(*waiting[1:]) == [True] * 49
