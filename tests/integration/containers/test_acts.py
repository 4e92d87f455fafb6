"""What clients do to containers, by docker-py: states, errors in dockerd's words, events."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import docker
import pytest
from docker.errors import APIError, NotFound

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture
def client(native_engine: NativeEngine) -> Iterator[docker.DockerClient]:
    client = native_engine.client()
    yield client
    client.close()


@pytest.fixture
def sleeper(client: docker.DockerClient) -> Iterator[Any]:
    container = client.containers.run("busybox", "sleep 600", detach=True, name=f"t-{uuid4().hex}")
    yield container
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return


def refused(status: int, words: str) -> Any:
    return pytest.raises(APIError, match=f"(?s){status}.*{words}")


def test_stop_start_restart(client: docker.DockerClient, sleeper: Any) -> None:
    sleeper.stop(timeout=1)
    sleeper.reload()
    assert sleeper.attrs["State"]["ExitCode"] == 137
    sleeper.stop()  # 304 is no error
    sleeper.start()
    sleeper.start()
    first = client.api.inspect_container(sleeper.id)["State"]["Pid"]
    sleeper.restart(timeout=0)
    assert client.api.inspect_container(sleeper.id)["State"]["Pid"] not in (0, first)


def test_pause(client: docker.DockerClient, sleeper: Any) -> None:
    sleeper.pause()
    sleeper.reload()
    assert sleeper.status == "paused"
    with refused(409, "is already paused"):
        sleeper.pause()
    with refused(409, "is paused, unpause the container before exec"):
        sleeper.exec_run("true")
    with refused(409, "container is paused and must be unpaused first"):
        sleeper.remove()
    sleeper.unpause()
    with refused(500, "is not paused"):
        sleeper.unpause()
    sleeper.pause()
    sleeper.kill()
    assert sleeper.wait()["StatusCode"] == 137


def test_errors(client: docker.DockerClient, sleeper: Any) -> None:
    with refused(409, f"The container name ./{sleeper.name}. is already in use"):
        client.containers.create("busybox", name=sleeper.name)
    with refused(409, "container is running: stop the container before removing or force remove"):
        sleeper.remove()
    with refused(404, "No such container: nosuch"):
        client.containers.get("nosuch").start()
    with refused(400, "same name as its current name"):
        sleeper.rename(sleeper.name)
    with refused(400, "invalid signal: FOO"):
        sleeper.kill("FOO")
    sleeper.kill()
    with refused(409, "is not running"):
        sleeper.kill()


def test_rename_and_list(client: docker.DockerClient, sleeper: Any) -> None:
    new = f"r-{uuid4().hex}"
    sleeper.rename(new)
    rows = client.api.containers(filters={"name": new})
    assert [row["Names"] for row in rows] == [[f"/{new}"]]
    assert rows[0]["State"] == "running"
    assert rows[0]["Status"].startswith("Up ")
    sleeper.kill()
    assert client.api.containers(filters={"name": new}) == []
    exited = client.api.containers(all=True, filters={"name": new, "exited": 137})
    assert exited[0]["Status"].startswith("Exited (137) ")


def test_list_filters(client: docker.DockerClient) -> None:
    key = uuid4().hex
    made = [
        client.containers.create(
            "busybox",
            "true",
            labels={key: str(number)},
            ports={"80/tcp": None},
            name=f"{key}-{number}",
        )
        for number in range(3)
    ]

    def found(**filters: Any) -> list[str]:
        rows = client.api.containers(all=True, filters={"label": key, **filters})
        return [row["Labels"][key] for row in rows]

    try:
        assert found() == ["2", "1", "0"]
        assert found(before=made[1].id) == ["0"]
        assert found(since=made[1].name) == ["2"]
        assert found(status="created") == ["2", "1", "0"]
        assert found(status="running") == []
        assert found(ancestor="busybox") == ["2", "1", "0"]
        assert found(ancestor="nosuch") == []
        assert found(network="bridge") == ["2", "1", "0"]
        assert found(expose="80") == []  # ports are those of running containers
        assert found(id=made[0].id[:20]) == ["0"]
        assert found(label=f"{key}=1") == ["1"]
        assert len(client.api.containers(all=True, limit=2, filters={"label": key})) == 2
        with refused(400, "invalid filter 'nosuch'"):
            client.api.containers(filters={"nosuch": "x"})
        sizes = client.api.containers(all=True, size=True, filters={"label": key})
        assert all(row["SizeRootFs"] > 1_000_000 for row in sizes)
    finally:
        pruned = client.containers.prune(filters={"label": key})
    assert sorted(pruned["ContainersDeleted"]) == sorted(one.id for one in made)


def test_logs(client: docker.DockerClient) -> None:
    script = "echo one; echo two >&2; sleep 0.3; echo three; printf partial"
    container = client.containers.run("busybox", ["sh", "-c", script], detach=True)
    try:
        followed = b"".join(container.logs(stream=True, follow=True))
        assert followed.endswith(b"three\npartial")
        assert container.logs(stdout=True, stderr=False) == b"one\nthree\npartial"
        assert container.logs(stdout=False, stderr=True) == b"two\n"
        assert container.logs(tail=1) == b"partial"
        stamped = container.logs(timestamps=True, stderr=False).splitlines()[0]
        assert stamped.endswith(b"Z one") and len(stamped) == 34
        assert container.logs(until=int(time.time()) - 3600) == b""
    finally:
        container.remove(force=True)


def test_logs_end_with_the_container_and_survive_a_restart(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo run; sleep 0.2"], detach=True)
    try:
        container.wait()
        container.start()
        container.wait()
        assert container.logs() == b"run\nrun\n"
    finally:
        container.remove(force=True)


def test_no_logs_without_a_driver(client: docker.DockerClient) -> None:
    config = docker.types.LogConfig(type="none")
    container = client.containers.run("busybox", "echo x", detach=True, log_config=config)
    try:
        with refused(501, "configured logging driver does not support reading"):
            container.logs()
    finally:
        container.remove(force=True)


def test_events_of_a_life(client: docker.DockerClient, native_engine: NativeEngine) -> None:
    name = f"e-{uuid4().hex}"
    began = time.time()
    container = client.containers.run(
        "busybox", "sleep 600", detach=True, name=name, labels={"k": "v"}
    )
    container.pause()
    container.unpause()
    container.rename(f"{name}x")
    container.stop(timeout=0)
    container.remove()
    until = time.time() + 1
    events = client.events(
        since=began, until=until, decode=True, filters={"container": container.id}
    )
    seen = [(event["Action"], event["Actor"]["Attributes"]) for event in events]
    assert [action for action, _ in seen] == [
        "create", "start", "pause", "unpause", "rename", "kill", "kill", "die", "stop", "destroy",
    ] or [action for action, _ in seen] == [
        "create", "start", "pause", "unpause", "rename", "kill", "die", "stop", "destroy",
    ]  # fmt: skip
    first = seen[0][1]
    assert (first["name"], first["image"], first["k"]) == (name, "busybox", "v")
    died = next(attributes for action, attributes in seen if action == "die")
    assert died["exitCode"] in ("137", "143") and died["execDuration"].isdigit()


def test_restart_policy(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox",
        "false",
        detach=True,
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
    )
    try:
        deadline = time.monotonic() + 10
        while True:
            container.reload()
            if container.status == "exited":
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert container.attrs["RestartCount"] == 2
    finally:
        container.remove(force=True)


def test_update_of_a_running_container(client: docker.DockerClient, sleeper: Any) -> None:
    sleeper.update(mem_limit="64m", memswap_limit=-1, cpu_shares=512)
    sleeper.reload()
    host = sleeper.attrs["HostConfig"]
    assert (host["Memory"], host["CpuShares"]) == (64 << 20, 512)
    with refused(400, "Minimum memory limit allowed is 6MB"):
        sleeper.update(mem_limit="1m")


def test_stats_and_top(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "while :; do :; done"], detach=True, nano_cpus=500_000_000
    )
    try:
        one = container.stats(stream=False)
        used = one["cpu_stats"]["cpu_usage"]["total_usage"]
        before = one["precpu_stats"]["cpu_usage"]["total_usage"]
        system = one["cpu_stats"]["system_cpu_usage"] - one["precpu_stats"]["system_cpu_usage"]
        percent = (used - before) / system * one["cpu_stats"]["online_cpus"] * 100
        assert 10 < percent < 70
        assert one["name"] == f"/{container.name}"
        assert one["memory_stats"]["usage"] > 0 and "eth0" in one["networks"]
        top = container.top()
        assert "while :" in top["Processes"][0][-1]
        stream = container.stats(stream=True, decode=True)
        assert next(stream)["id"] == container.id
        stream.close()
    finally:
        container.remove(force=True)


def test_wait_conditions(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "exit 4"])
    results: list[Any] = []
    waiter = threading.Thread(target=lambda: results.append(container.wait(condition="next-exit")))
    waiter.start()
    time.sleep(0.3)
    container.start()
    waiter.join(10)
    assert results[0]["StatusCode"] == 4
    gone = threading.Thread(target=lambda: results.append(container.wait(condition="removed")))
    gone.start()
    time.sleep(0.3)
    container.remove()
    gone.join(10)
    assert results[1]["StatusCode"] == 4


def test_inspect_has_every_field(client: docker.DockerClient, sleeper: Any) -> None:
    shown = client.api.inspect_container(sleeper.id)
    assert {
        "Id", "Created", "Path", "Args", "State", "Image", "ResolvConfPath", "HostnamePath",
        "HostsPath", "LogPath", "Name", "RestartCount", "Driver", "Platform", "MountLabel",
        "ProcessLabel", "AppArmorProfile", "ExecIDs", "HostConfig", "GraphDriver", "Mounts",
        "Config", "NetworkSettings",
    } <= set(shown)  # fmt: skip
    assert shown["State"]["Running"] and shown["State"]["Pid"] > 0
    assert shown["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert shown["NetworkSettings"]["IPAddress"]


def test_published_ports(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox", "sleep 60", detach=True, ports={"80/tcp": ("127.0.0.1", None), "81/udp": None}
    )
    try:
        container.reload()
        ports = container.attrs["NetworkSettings"]["Ports"]
        assert ports["80/tcp"][0]["HostIp"] == "127.0.0.1"
        assert int(ports["80/tcp"][0]["HostPort"]) > 0
        taken = {"80/tcp": ("127.0.0.1", int(ports["80/tcp"][0]["HostPort"]))}
        other = client.containers.create("busybox", "true", ports=taken)
        with refused(500, "port is already allocated"):
            other.start()
        other.remove()
    finally:
        container.remove(force=True)


def test_health_check(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox",
        ["sh", "-c", "sleep 0.5; touch /ok; sleep 600"],
        detach=True,
        healthcheck={"test": "test -e /ok", "interval": 200_000_000, "retries": 1},
    )
    try:
        seen, deadline = [], time.monotonic() + 10
        while "healthy" not in seen:
            assert time.monotonic() < deadline, seen
            seen.append(client.api.inspect_container(container.id)["State"]["Health"]["Status"])
            time.sleep(0.05)
        assert seen[0] == "starting" and "unhealthy" in seen
        row = client.api.containers(filters={"id": container.id, "health": "healthy"})[0]
        assert row["Status"].endswith("(healthy)")
    finally:
        container.remove(force=True)
