"""The engine about itself, as the docker CLI and docker-py see it."""

import json
import threading
import time

import docker
import pytest

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def client(native_engine):
    client = native_engine.client()
    yield client
    client.close()


def test_version(native_engine, client):
    shown = json.loads(native_engine.docker("version", "--format", "{{json .Server}}").stdout)
    assert shown["Platform"]["Name"] == "Cove"
    assert (shown["ApiVersion"], shown["MinAPIVersion"]) == ("1.51", "1.24")
    assert {"Engine", "crun", "conmon"} <= {one["Name"] for one in shown["Components"]}
    assert all(one["Version"] for one in shown["Components"])
    assert client.ping()


def test_info_prints_without_complaint(native_engine, client):
    done = native_engine.docker("info")
    assert "ERROR" not in done.stdout + done.stderr
    assert "Storage Driver: overlay2" in done.stdout
    info = client.info()
    assert info["NCPU"] >= 1
    assert info["MemTotal"] > 1 << 28
    assert info["DockerRootDir"] == str(native_engine.root)
    assert info["Images"] >= 1
    total = info["ContainersRunning"] + info["ContainersPaused"] + info["ContainersStopped"]
    assert info["Containers"] == total


def test_info_counts_containers(client):
    before = client.info()
    container = client.containers.create("busybox", "true")
    try:
        after = client.info()
        assert after["ContainersStopped"] == before["ContainersStopped"] + 1
    finally:
        container.remove()


def test_disk_usage(native_engine, client):
    volume = client.volumes.create("df-volume")
    try:
        usage = client.df()
        assert usage["LayersSize"] > 0
        row = next(one for one in usage["Volumes"] if one["Name"] == "df-volume")
        assert row["UsageData"] == {"RefCount": 0, "Size": 0}
        assert any("busybox:latest" in (one["RepoTags"] or ()) for one in usage["Images"])
        assert "Local Volumes" in native_engine.docker("system", "df").stdout
        assert "df-volume" in native_engine.docker("system", "df", "-v").stdout
    finally:
        volume.remove()


def test_events_are_live_and_remembered(native_engine, client):
    stream = client.events(decode=True, filters={"type": "volume", "volume": "evented"})
    seen: list[str] = []

    def read() -> None:
        for event in stream:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    native_engine.docker("volume", "create", "evented")
    native_engine.docker("volume", "rm", "evented")
    reader.join(10)
    stream.close()
    assert seen == ["create", "destroy"]
    now = f"{time.time():.9f}"  # the CLI would round "0s" down to a whole second
    done = native_engine.docker(
        "events", "--since", "1m", "--until", now, "--filter", "volume=evented"
    )
    lines = done.stdout.splitlines()
    assert [line.split()[1:4] for line in lines] == [
        ["volume", "create", "evented"],
        ["volume", "destroy", "evented"],
    ]


def test_what_there_is_not(native_engine):
    done = native_engine.docker("service", "ls", check=False)
    assert done.returncode == 1
    assert "This node is not a swarm manager" in done.stderr
    assert native_engine.docker("plugin", "ls", "-q").stdout == ""


@pytest.mark.parametrize("version", ["1.24", "1.40", "1.44", "1.51"])
def test_older_clients(native_engine, version):
    client = docker.DockerClient(base_url=native_engine.url, version=version)
    try:
        assert client.version()["ApiVersion"] == "1.51"
        client.containers.list(all=True)
        client.images.list()
    finally:
        client.close()
