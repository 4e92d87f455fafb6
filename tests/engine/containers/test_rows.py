"""Rows that are kept between lists: always what they would be if they were made anew."""

from __future__ import annotations

import json
from typing import Any

from engine.containers.container import Health
from engine.filters import Filters


async def shown(world: Any) -> list[dict[str, Any]]:
    """The list's text, which must say what the documents say."""
    text = world.containers.listed(Filters(), all=True, limit=0)
    documents = await world.containers.list(Filters(), all=True)
    found: list[dict[str, Any]] = json.loads(text)
    assert [list(row) for row in found] == [list(row) for row in documents]
    assert found == documents
    return found


async def test_rows_follow_every_change(world: Any) -> None:
    assert await shown(world) == []
    id = await world.create("web", Labels={"say": 'a "\0" ü'})
    assert (await shown(world))[0]["State"] == "created"
    await world.containers.start(id)
    (row,) = await shown(world)
    assert row["Status"].startswith("Up")
    assert row["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == "10.9.0.2"
    await world.containers.pause(id)
    assert "(Paused)" in (await shown(world))[0]["Status"]
    await world.containers.unpause(id)
    world.containers.store.get(id).health = Health("healthy")
    assert "(healthy)" in (await shown(world))[0]["Status"]
    await world.containers.rename(id, "other")
    assert (await shown(world))[0]["Names"] == ["/other"]
    await world.containers.kill(id)
    (row,) = await shown(world)
    assert row["Status"].startswith("Exited (137)")
    assert row["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == ""
    await world.containers.remove(id)
    assert await shown(world) == []


async def test_a_row_that_stays_is_not_made_again(world: Any) -> None:
    id = await world.create("web")
    container = world.containers.store.get(id)
    await shown(world)
    kept = container.row
    await shown(world)
    assert container.row is kept
    await world.containers.rename(id, "mail")
    await shown(world)
    assert container.row is not kept


async def test_an_image_that_lost_its_name(world: Any) -> None:
    await world.create("web")
    (row,) = await shown(world)
    assert row["Image"] == "busybox"
    world.images.image = type(world.images.image)(
        **{**vars(world.images.image), "id": "sha256:" + "9" * 64}
    )
    (row,) = await shown(world)
    assert row["Image"] == row["ImageID"]
