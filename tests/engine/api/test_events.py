"""GET /events: which events, from when, until when."""

import asyncio
import json
import time

import pytest

from engine.api.events import routes, wanted
from engine.api.query import Query
from engine.errors import BadRequest
from engine.events import Event, Events
from engine.filters import Filters
from engine.times import SECOND


class Request:
    def __init__(self, query: str) -> None:
        self.query = Query(query)


async def collect(events: Events, query: str) -> list[str]:
    answer = await routes(events)[0].handler(Request(query))
    text = b"".join([piece async for piece in answer.body])
    return [json.loads(line)["Action"] for line in text.splitlines()]


def seconds(event: Event, shift: int = 0) -> str:
    moment = event.time_ns + shift
    return f"{moment // SECOND}.{moment % SECOND:09}"


async def test_history_between_two_moments():
    events = Events()
    told = [events.publish("image", f"a{number}", "x") for number in range(4)]
    query = f"since={seconds(told[1])}&until={seconds(told[2])}"
    assert await collect(events, query) == ["a1", "a2"]
    assert await collect(events, f"until={seconds(told[1])}") == ["a0", "a1"]
    assert events.listeners == 0


async def test_live_until_a_moment():
    events = Events()
    events.publish("image", "old", "x")
    until = time.time() + 0.1
    collecting = asyncio.create_task(collect(events, f"since={time.time():.9f}&until={until:.9f}"))
    await asyncio.sleep(0.02)
    events.publish("image", "new", "x")
    assert await asyncio.wait_for(collecting, 5) == ["new"]


async def test_live_without_end_forgets_its_subscription():
    events = Events()
    answer = await routes(events)[0].handler(Request(""))
    waiting = asyncio.create_task(anext(answer.body))
    await asyncio.sleep(0)
    events.publish("volume", "create", "v")
    assert json.loads(await waiting)["Actor"]["ID"] == "v"
    await answer.body.aclose()
    assert events.listeners == 0


async def test_bad_moment():
    with pytest.raises(BadRequest):
        await collect(Events(), "since=yesterday")


START = Event("container", "start", "abcdef", {"name": "web", "image": "nginx:1", "tier": "x"})
EXEC = Event("container", "exec_create: sh -c x", "abcdef", {"name": "web"})
PULL = Event("image", "pull", "nginx:1", {"name": "nginx"})


@pytest.mark.parametrize(
    ("filters", "passing"),
    [
        ({}, [START, EXEC, PULL]),
        ({"type": ["container"]}, [START, EXEC]),
        ({"event": ["start", "pull"]}, [START, PULL]),
        ({"event": ["exec_create"]}, [EXEC]),
        ({"container": ["web"]}, [START, EXEC]),
        ({"container": ["abc"]}, [START, EXEC]),
        ({"image": ["nginx"]}, [START, PULL]),
        ({"image": ["nginx:1"]}, [START, PULL]),
        ({"label": ["tier=x"]}, [START]),
        ({"type": ["container"], "event": ["pull"]}, []),
        ({"scope": ["swarm"]}, []),
    ],
)
def test_filters(filters, passing):
    assert [event for event in (START, EXEC, PULL) if wanted(event, Filters(filters))] == passing
