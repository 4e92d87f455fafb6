"""The bus: everyone hears everything, nobody holds it up."""

import asyncio

from engine.events import BACKLOG, HISTORY, Events


async def test_subscribers_hear_what_comes_after():
    events = Events()
    events.publish("image", "pull", "x")
    with events.subscribe() as one, events.subscribe() as two:
        assert events.listeners == 2
        events.publish("container", "start", "id", {"name": "a"})
        for each in (one, two):
            (event,) = await anext(each)
            assert (event.type, event.action, event.actor_id) == ("container", "start", "id")
    assert events.listeners == 0


async def test_waiting_subscriber_is_woken_and_ended():
    events = Events()
    subscription = events.subscribe()
    waiting = asyncio.create_task(anext(subscription, None))
    await asyncio.sleep(0)
    events.publish("daemon", "reload", "")
    assert [event.action for event in await waiting] == ["reload"]
    waiting = asyncio.create_task(anext(subscription, None))
    await asyncio.sleep(0)
    subscription.close()
    assert await waiting is None


async def test_slow_subscriber_loses_the_oldest():
    events = Events()
    with events.subscribe() as subscription:
        for number in range(BACKLOG + 5):
            events.publish("x", str(number), "")
        heard = []
        while len(heard) < BACKLOG:
            heard += [event.action for event in await anext(subscription)]
        assert heard == [str(number) for number in range(5, BACKLOG + 5)]
        events.publish("x", "last", "")
        assert [event.action for event in await anext(subscription)] == ["last"]


async def test_everyone_reads_at_their_own_pace():
    events = Events()
    quick, slow = events.subscribe(), events.subscribe()
    for number in range(3 * BACKLOG):
        events.publish("x", str(number), "")
        assert [event.action for event in await anext(quick)] == [str(number)]
        if number == BACKLOG:
            assert (await anext(slow))[0].action == "1"
    assert (await anext(slow))[0].action == str(2 * BACKLOG)


async def test_a_crowd_is_woken_little_by_little():
    events = Events()
    crowd = [events.subscribe() for _ in range(300)]
    heard = [asyncio.create_task(anext(one)) for one in crowd]
    await asyncio.sleep(0)
    events.publish("x", "first", "")
    for _ in range(3):
        await asyncio.sleep(0)
    events.publish("x", "second", "")
    done = [task for task in heard if task.done()]
    assert 0 < len(done) < len(crowd)
    async with asyncio.timeout(5):
        batches = await asyncio.gather(*heard)
    assert [event.action for event in batches[0]] == ["first"]
    assert [event.action for event in batches[-1]] == ["first", "second"]
    assert [event.action for event in await anext(crowd[0])] == ["second"]


def test_history_is_bounded_and_times_rise():
    events = Events()
    for number in range(HISTORY + 10):
        events.publish("x", str(number), "")
    history = list(events.history())
    assert len(history) == HISTORY
    assert history[0].action == "10"
    times = [event.time_ns for event in history]
    assert times == sorted(set(times))


def test_wire_format_has_the_old_keys_where_docker_has_them():
    events = Events()
    wire = events.publish("container", "die", "id", {"image": "busybox", "exitCode": "1"}).to_wire()
    assert (wire["status"], wire["id"], wire["from"]) == ("die", "id", "busybox")
    assert wire["Actor"] == {"ID": "id", "Attributes": {"image": "busybox", "exitCode": "1"}}
    assert wire["time"] == wire["timeNano"] // 10**9
    assert "status" not in events.publish("volume", "create", "v").to_wire()
