"""What docker-py's own integration tests found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from io import BytesIO

import docker
import pytest
from docker.errors import APIError, ImageLoadError, NotFound
from docker.types import IPAMConfig, IPAMPool

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture
def client(native_engine: NativeEngine) -> Iterator[docker.DockerClient]:
    with contextlib.closing(native_engine.client()) as client:
        yield client


@pytest.fixture
def sleeper(client: docker.DockerClient) -> Iterator[docker.models.containers.Container]:
    container = client.containers.run("busybox", ["sleep", "600"], detach=True)
    yield container
    container.remove(force=True, v=True)


def test_a_followed_log_comes_line_by_line(client: docker.DockerClient) -> None:
    stream = client.containers.run(
        "busybox", ["sh", "-c", "echo hello; echo; echo world; printf end"], stream=True
    )
    assert list(stream) == [b"hello\n", b"\n", b"world\n", b"end"]


def test_a_log_read_at_once_comes_line_by_line(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["seq", "3"], detach=True)
    container.wait()
    assert list(container.logs(stream=True, follow=False)) == [b"1\n", b"2\n", b"3\n"]
    container.remove()


def test_the_start_of_an_exec_decides_on_frames(
    client: docker.DockerClient, sleeper: docker.models.containers.Container
) -> None:
    command = ["sh", "-c", "echo out; echo err >&2"]
    for terminal in (False, True):
        made = client.api.exec_create(sleeper.id, command, tty=terminal)
        framed = client.api.exec_start(made, demux=True)
        assert framed == ((b"out\r\nerr\r\n", None) if terminal else (b"out\n", b"err\n"))
    made = client.api.exec_create(sleeper.id, command, tty=True)
    assert client.api.exec_start(made, tty=True) == b"out\r\nerr\r\n"


def test_detach_keys_of_the_clients_configuration(
    client: docker.DockerClient, sleeper: docker.models.containers.Container
) -> None:
    # docker-py writes that field with a small letter
    client.api._general_configs["detachKeys"] = "ctrl-p"
    made = client.api.exec_create(sleeper.id, "cat", stdin=True, tty=True)
    with client.api.exec_start(made, tty=True, socket=True) as stream:
        stream._sock.settimeout(20)
        stream._sock.sendall(b"\x10")
        assert stream._sock.recv(1000) == b""


def test_a_link_has_a_name_and_can_be_taken_away(
    client: docker.DockerClient, sleeper: docker.models.containers.Container
) -> None:
    other = client.containers.run(
        "busybox", ["sleep", "600"], detach=True, links={sleeper.name: "db"}
    )
    try:
        path = f"{other.name}/db"
        assert other.attrs["HostConfig"]["Links"] == [f"/{sleeper.name}:/{path}"]
        assert client.api.inspect_container(path)["Id"] == sleeper.id

        def names() -> list[str]:
            rows = client.api.containers(filters={"id": sleeper.id})
            return [name for row in rows for name in row["Names"]]

        assert names() == [f"/{sleeper.name}", f"/{path}"]
        assert b"\tdb " in other.exec_run("cat /etc/hosts").output
        with pytest.raises(APIError, match="cannot remove the default link name"):
            client.api.remove_container(other.name, link=True)
        with pytest.raises(NotFound, match="No such container"):
            client.api.remove_container(f"{other.name}/no", link=True)
        client.api.remove_container(path, link=True)
        assert names() == [f"/{sleeper.name}"]
        assert client.api.inspect_container(other.id)["HostConfig"]["Links"] is None
        assert b"\tdb " not in other.exec_run("cat /etc/hosts").output
        with pytest.raises(NotFound):
            client.api.inspect_container(path)
    finally:
        other.remove(force=True)


def test_a_network_shows_what_it_was_asked(client: docker.DockerClient) -> None:
    pool = IPAMPool(
        subnet="10.93.7.0/24", iprange="10.93.7.128/25", aux_addresses={"a": "10.93.7.9"}
    )
    network = client.networks.create("shows", ipam=IPAMConfig(pool_configs=[pool]))
    try:
        network.reload()
        assert network.attrs["IPAM"] == {
            "Driver": "default",
            "Options": None,
            "Config": [
                {
                    "Subnet": "10.93.7.0/24",
                    "IPRange": "10.93.7.128/25",
                    "AuxiliaryAddresses": {"a": "10.93.7.9"},
                }
            ],
        }
    finally:
        network.remove()


def test_a_failed_load_is_told_inside_the_answer(client: docker.DockerClient) -> None:
    with pytest.raises(ImageLoadError, match="tar stream"):
        client.images.load(b"abc")
    answer = client.api.post(client.api._url("/images/load"), data=BytesIO(b"abc"))
    assert answer.status_code == 200
    assert "error" in answer.json()


def test_the_version_has_what_clients_read(client: docker.DockerClient) -> None:
    assert {"GoVersion", "Version", "Os", "Arch", "KernelVersion"} <= client.version().keys()


def test_the_last_name_of_a_parent_can_be_taken(client: docker.DockerClient) -> None:
    parent = client.images.get("busybox")
    for name, below in (("line:old", "busybox"), ("line:new", "line:old")):
        made = client.containers.create(below, ["true"])
        made.commit("line", name.partition(":")[2], changes=f"LABEL of={name}")
        made.remove()
    client.images.remove("line:old")
    with pytest.raises(NotFound):
        client.images.get("line:old")
    pruned = client.images.prune({"dangling": False, "label": "of=line:new"})
    assert [step for step in pruned["ImagesDeleted"] if "Untagged" in step] == [
        {"Untagged": "line:new"}
    ]
    assert len(pruned["ImagesDeleted"]) >= 3
    assert client.images.get("busybox").id == parent.id


def test_only_the_images_of_cache_from_are_a_cache(client: docker.DockerClient) -> None:
    text = b"FROM busybox\nENV FOO=bar\nRUN touch baz\nRUN touch bax\n"

    def hits(tag: str, **options: object) -> int:
        lines = client.api.build(fileobj=BytesIO(text), tag=tag, decode=True, rm=True, **options)
        return sum("Using cache" in line.get("stream", "") for line in lines)

    try:
        hits("from:1")
        assert hits("from:2", cache_from=["from:1"]) == 3
        assert hits("from:2") == 3
        assert hits("from:2", cache_from=["nosuchtag"]) == 0
    finally:
        for tag in ("from:1", "from:2"):
            client.images.remove(tag, force=True)
