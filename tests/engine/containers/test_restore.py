"""What the next engine makes of the records of one that was killed."""

from __future__ import annotations

import asyncio
from typing import Any


async def next_engine(world: Any) -> None:
    await world.containers.close()
    world.containers = world.again()
    world.containers.load()
    await world.containers.restore()


async def test_a_running_container_is_taken_back(world: Any) -> None:
    id = await world.started("web")
    world.runtime.adopted[id] = world.runtime.running[id]
    await next_engine(world)
    assert world.state(id).status == "running"
    assert world.networks.restored == [id]
    assert world.containers.store.get("web").sandbox.endpoints["bridge"].ipv4 == "10.9.0.2"
    waiting = world.containers.wait(id)
    world.runtime.running[id].end(7)
    assert (await waiting).exit_code == 7


async def test_one_that_is_gone_without_a_trace_exits_137(world: Any) -> None:
    id = await world.started()
    await next_engine(world)
    state = world.state(id)
    assert (state.status, state.exit_code, state.pid) == ("exited", 137, 0)
    assert state.finished_at


async def test_policies_after_a_crash_of_the_machine(world: Any) -> None:
    always = await world.started(HostConfig={"RestartPolicy": {"Name": "unless-stopped"}})
    stopped = await world.started(HostConfig={"RestartPolicy": {"Name": "unless-stopped"}})
    never = await world.started()
    await world.containers.stop(stopped)
    await next_engine(world)
    await world.until(lambda: world.state(always).status == "running")
    assert world.state(stopped).status == "exited"
    assert world.state(never).status == "exited"


async def test_half_a_start_is_undone(world: Any) -> None:
    id = await world.create()
    world.database.records[id]["state"]["starting"] = True
    await next_engine(world)
    assert world.state(id).status == "created"
    await world.containers.start(id)  # waits for what is being undone
    assert [call[0] for call in world.runtime.calls] == ["delete", "create", "start"]


async def test_the_api_need_not_wait_for_repairs(world: Any) -> None:
    ids = [await world.started(f"c{number}") for number in range(6)]
    gate = asyncio.Event()
    busy: list[str] = []

    async def delete(id: str) -> None:
        busy.append(id)
        await gate.wait()

    world.runtime.delete = delete
    await next_engine(world)
    assert {world.state(id).status for id in ids} == {"exited"}
    await world.until(lambda: busy)
    starting = asyncio.create_task(world.containers.start(ids[0]))
    await asyncio.sleep(0.01)
    assert len(busy) < len(ids) and not starting.done()
    gate.set()
    await starting
    await world.until(lambda: set(busy) == set(ids))
    assert world.database.records[ids[-1]]["state"]["exit_code"] == 137


async def test_half_a_create_and_half_a_removal_are_swept(world: Any) -> None:
    id = await world.create()
    lost = "c" * 64
    (world.settings.folder / lost).mkdir()
    world.snapshots.held |= {lost, f"{lost}-0", "some-builder-key"}
    gone = await world.create()
    world.snapshots.held.discard(gone)
    await next_engine(world)
    await world.until(lambda: not {lost, f"{lost}-0"} & world.snapshots.held)
    assert not (world.settings.folder / lost).exists()
    assert world.snapshots.held == {id, "some-builder-key"}
    assert world.containers.store.find(gone) is None


async def test_an_auto_removed_container_that_ended_meanwhile_goes(world: Any) -> None:
    id = await world.started(HostConfig={"AutoRemove": True})
    await next_engine(world)
    await world.until(lambda: world.containers.store.find(id) is None)
