"""Texts of inspect that are kept: always what they would be if they were made anew."""

from __future__ import annotations

import json
from typing import Any

from engine.containers.container import Health


async def shown(world: Any, id: str) -> dict[str, Any]:
    """The text, which must say what the document says."""
    found: dict[str, Any] = json.loads(world.containers.inspected(id))
    assert found == await world.containers.inspect(id)
    return found


async def test_a_text_follows_every_change(world: Any) -> None:
    id = await world.create("web", Labels={"say": 'a "\0" ü'})
    assert (await shown(world, id))["State"]["Status"] == "created"
    await world.containers.start(id)
    found = await shown(world, id)
    assert found["State"]["Running"] and found["State"]["Pid"]
    assert found["NetworkSettings"]["IPAddress"] == "10.9.0.2"
    container = world.containers.store.get(id)
    container.exec_ids.add("e1")
    assert (await shown(world, id))["ExecIDs"] == ["e1"]
    container.exec_ids.discard("e1")
    container.health = Health("healthy")
    assert (await shown(world, id))["State"]["Health"]["Log"] == []
    container.health.log.append({"ExitCode": 0})
    assert (await shown(world, id))["State"]["Health"]["Log"] == [{"ExitCode": 0}]
    await world.containers.update(id, {"Memory": 64 << 20, "MemorySwap": -1})
    assert (await shown(world, id))["HostConfig"]["Memory"] == 64 << 20
    await world.containers.rename(id, "other")
    assert (await shown(world, id))["Name"] == "/other"
    await world.containers.kill(id)
    found = await shown(world, id)
    assert (found["State"]["ExitCode"], found["NetworkSettings"]["IPAddress"]) == (137, "")


async def test_a_text_that_stays_is_not_made_again(world: Any) -> None:
    id = await world.create("web")
    text = world.containers.inspected(id)
    assert world.containers.inspected("web") is text
    for number in range(70):
        world.containers.inspected(await world.create(f"other{number}"))
    again = world.containers.inspected(id)
    assert again == text and again is not text
