"""Life cycles on fakes: states, events in dockerd's order, restart policies, removal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.errors import BadRequest, Conflict, EngineError, NotFound, NotModified
from engine.filters import Filters
from engine.runtime.bundle import RuntimeFailure


async def test_a_run_from_create_to_remove(world: Any) -> None:
    id = await world.create("web")
    assert world.state(id).status == "created"
    await world.containers.start("web")
    assert world.state(id).status == "running"
    waiting = world.containers.wait(id)
    world.runtime.running[id].end(3)
    assert (await waiting).exit_code == 3
    assert world.state(id).status == "exited"
    await world.containers.remove(id)
    assert world.actions() == ["create", "start", "die", "destroy"]
    assert world.database.records == {}
    assert world.snapshots.held == set()
    assert world.networks.opened == {}


async def test_names_conflict_and_come_back(world: Any) -> None:
    id = await world.create("web")
    with pytest.raises(Conflict) as caught:
        await world.create("web")
    assert caught.value.message == (
        f'Conflict. The container name "/web" is already in use by container "{id}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    await world.containers.rename("web", "old")
    other = await world.create("web")
    assert world.containers.store.get("web").id == other
    with pytest.raises(BadRequest, match="same name as its current name"):
        await world.containers.rename("web", "web")
    assert world.networks.names[id] == "old"


async def test_a_failed_create_leaves_nothing(world: Any) -> None:
    with pytest.raises(NotFound, match="No such image: nosuch"):
        await world.create("web", Image="nosuch")
    with pytest.raises(BadRequest):
        await world.create("web", HostConfig={"Memory": 1})
    assert world.snapshots.held == set()
    assert await world.create("web")


async def test_a_failed_start_is_told_and_undone(world: Any) -> None:
    id = await world.create()
    following = world.containers.wait(id, "next-exit")
    world.runtime.refusal = RuntimeFailure("exec: no such file", 127)
    with pytest.raises(RuntimeFailure):
        await world.containers.start(id)
    state = world.state(id)
    assert (state.status, state.exit_code, state.error) == ("created", 127, "exec: no such file")
    assert not state.starting
    assert world.networks.opened == {}
    assert not following.done()  # the client that started it was told; the next run may end
    world.runtime.refusal = None
    await world.containers.start(id)
    assert world.state(id).error == ""
    world.runtime.running[id].end(3)
    assert (await following).exit_code == 3


async def test_auto_remove_after_a_failed_start(world: Any) -> None:
    id = await world.create(HostConfig={"AutoRemove": True, "NetworkMode": "nosuch"})
    gone = world.containers.wait(id, "removed")
    with pytest.raises(NotFound, match="failed to set up container networking: network nosuch"):
        await world.containers.start(id)
    assert (await gone).exit_code == 128


async def test_stop_asks_then_kills(world: Any) -> None:
    id = await world.started()
    world.runtime.stubborn = True
    await world.containers.stop(id, timeout=0)
    signals = [call[2] for call in world.runtime.calls if call[0] == "kill"]
    assert signals == [15, 9]
    assert world.state(id).exit_code == 137
    assert world.actions() == ["create", "start", "kill", "kill", "die", "stop"]
    with pytest.raises(NotModified):
        await world.containers.stop(id)


async def test_kill_needs_a_running_container(world: Any) -> None:
    with pytest.raises(NotFound, match="cannot kill container: none: No such container: none"):
        await world.containers.kill("none")
    with pytest.raises(BadRequest, match="cannot kill container: none: invalid signal: BLA"):
        await world.containers.kill("none", "BLA")
    id = await world.create("web")
    with pytest.raises(Conflict) as caught:
        await world.containers.kill("web")
    assert caught.value.message == f"cannot kill container: web: container {id} is not running"
    await world.containers.start(id)
    await world.containers.kill("web", "USR1")
    assert world.state(id).status == "running"
    await world.containers.kill("web")
    assert world.state(id).exit_code == 137


async def test_pause_and_unpause(world: Any) -> None:
    id = await world.started("web")
    await world.containers.pause(id)
    with pytest.raises(Conflict, match="is already paused"):
        await world.containers.pause(id)
    with pytest.raises(Conflict, match="cannot start a paused container"):
        await world.containers.start(id)
    with pytest.raises(Conflict, match='cannot remove container "web": container is paused'):
        await world.containers.remove("web")
    await world.containers.unpause(id)
    with pytest.raises(EngineError, match="is not paused"):
        await world.containers.unpause(id)


async def test_always_restarts_and_stop_ends_it(world: Any) -> None:
    id = await world.started(HostConfig={"RestartPolicy": {"Name": "always"}})
    first = world.runtime.running[id]
    first.end(1)
    await world.until(lambda: world.state(id).status == "restarting")
    await world.until(lambda: world.state(id).status == "running")
    assert world.runtime.running[id] is not first
    assert world.state(id).restart_count == 1
    await world.containers.stop(id)
    await asyncio.sleep(0.15)
    assert world.state(id).status == "exited"


async def test_on_failure_counts(world: Any) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 1}
    id = await world.started(HostConfig={"RestartPolicy": policy})
    world.runtime.running[id].end(1)
    await world.until(lambda: world.state(id).restart_count == 1)
    await world.until(lambda: world.state(id).status == "running")
    world.runtime.running[id].end(1)
    await world.until(lambda: world.state(id).status == "exited")
    clean = await world.started(HostConfig={"RestartPolicy": policy})
    world.runtime.running[clean].end(0)
    await world.until(lambda: world.state(clean).status == "exited")
    assert world.state(clean).restart_count == 0


async def test_stopping_during_the_pause_before_a_restart(world: Any) -> None:
    id = await world.started(HostConfig={"RestartPolicy": {"Name": "always"}})
    world.runtime.running[id].end(1)
    await world.until(lambda: world.state(id).status == "restarting")
    await world.containers.stop(id)
    assert world.state(id).status == "exited"
    await asyncio.sleep(0.12)
    assert world.state(id).status == "exited"


async def test_auto_remove_takes_anonymous_volumes_along(world: Any) -> None:
    id = await world.started(
        HostConfig={"AutoRemove": True, "Binds": ["/data", "named:/other"]},
    )
    assert len(world.volumes.held) == 2
    gone = world.containers.wait(id, "removed")
    world.runtime.running[id].end(5)
    assert (await gone).exit_code == 5
    assert list(world.volumes.held) == ["named"]


async def test_remove_of_a_running_container(world: Any) -> None:
    id = await world.started("web")
    with pytest.raises(Conflict) as caught:
        await world.containers.remove("web")
    assert caught.value.message == (
        'cannot remove container "web": container is running: '
        "stop the container before removing or force remove"
    )
    await world.containers.remove(id, force=True)
    assert world.containers.store.find(id) is None


async def test_a_cancelled_start_goes_on(world: Any) -> None:
    id = await world.create()
    task = asyncio.create_task(world.containers.start(id))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await world.until(lambda: world.state(id).status == "running")
    assert not world.state(id).starting


async def test_wait_conditions(world: Any) -> None:
    id = await world.create()
    assert (await world.containers.wait(id)).exit_code == 0
    following = world.containers.wait(id, "next-exit")
    await world.containers.start(id)
    world.runtime.running[id].end(9)
    assert (await following).exit_code == 9
    with pytest.raises(BadRequest, match='invalid condition: "x"'):
        world.containers.wait(id, "x")


async def test_restart_keeps_an_auto_removed_container(world: Any) -> None:
    id = await world.started(HostConfig={"AutoRemove": True})
    await world.containers.restart(id)
    assert world.state(id).status == "running"
    assert world.actions()[-1] == "restart"


async def test_update_changes_limits_and_policy(world: Any) -> None:
    id = await world.started()
    await world.containers.update(id, {"Memory": 64 << 20, "MemorySwap": -1})
    assert world.runtime.calls[-1][0] == "update"
    assert world.runtime.calls[-1][2].memory == 64 << 20
    await world.containers.update(id, {"RestartPolicy": {"Name": "always"}})
    assert world.containers.store.get(id).record.restart_policy == "always"
    with pytest.raises(BadRequest, match="Minimum memory limit"):
        await world.containers.update(id, {"Memory": 1000})
    with pytest.raises(Conflict, match=f"Cannot update container {id}: Memory limit should be"):
        await world.containers.update(id, {"Memory": 65 << 20})


async def test_an_update_speaks_of_what_it_changes_alone(world: Any) -> None:
    id = await world.started(HostConfig={"OomKillDisable": True, "NanoCpus": 10**8})
    assert await world.containers.update(id, {"CpuShares": 5}) == []
    with pytest.raises(Conflict, match="CPU Quota cannot be updated as NanoCPUs has already"):
        await world.containers.update(id, {"CpuQuota": 5000})


async def test_a_signal_wakes_a_paused_container(world: Any) -> None:
    id = await world.started()
    await world.containers.pause(id)
    await world.containers.kill(id, "USR1")
    assert world.state(id).status == "running"


async def test_an_update_tells_what_it_cannot_change(world: Any) -> None:
    id = await world.started()
    found = await world.containers.update(id, {"Ulimits": [{"Name": "nofile"}], "CpuPercent": 3})
    assert found == [
        "linux does not support CPU percent. Percent discarded.",
        "Ulimits can't be changed after the container was made. Ulimits discarded.",
    ]
    with pytest.raises(BadRequest, match="Invalid QoS settings"):
        await world.containers.update(id, {"IOMaximumIOps": 5})
    with pytest.raises(BadRequest, match=r"field UpdateConfig\.Memory of type int64"):
        await world.containers.update(id, {"Memory": "x"})


async def test_the_list_shows_an_id_once_the_name_is_gone(world: Any) -> None:
    id = await world.create("web")
    (row,) = await world.containers.list(Filters(), all=True)
    assert (row["Id"], row["Image"]) == (id, "busybox")
    world.containers.store.get(id).record.config["Image"] = "other"
    (row,) = await world.containers.list(Filters(), all=True)
    assert row["Image"] == row["ImageID"] == world.images.image.id


async def test_an_image_among_the_mounts_is_a_snapshot_of_its_own(world: Any) -> None:
    mount = {"Type": "image", "Source": "busybox", "Target": "/i"}
    id = await world.create(HostConfig={"Mounts": [{"Type": "tmpfs", "Target": "/t"}, mount]})
    assert world.snapshots.held == {id, f"{id}-1"}
    point = world.containers.store.get(id).record.mounts[1]
    assert (point.type, point.name, point.writable) == ("image", "busybox", False)
    assert world.containers.image_users(point.options["image"]) == [(id, False)]
    assert set(world.containers.chains()) == {id, f"{id}-1"}
    await world.containers.remove(id)
    assert world.snapshots.held == set()
