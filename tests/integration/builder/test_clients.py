"""docker-py's builds: what it can ask for, and clients that misbehave."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import zstandard

from tests.integration.builder.conftest import Builds
from tests.support.archives import tar_of
from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture
def client(engine: NativeEngine) -> Iterator[docker.DockerClient]:
    with contextlib.closing(engine.client()) as client:
        yield client


def said(lines: Any) -> str:
    return "".join(line.get("stream", line.get("error", "")) for line in lines)


def test_a_dockerfile_alone(client: docker.DockerClient) -> None:
    image, lines = client.images.build(
        fileobj=io.BytesIO(b"FROM busybox\nARG A\nRUN echo a is $A\n"),
        tag="py:1",
        buildargs={"A": "5"},
        labels={"key": "value"},
        rm=True,
        forcerm=True,
        nocache=True,
    )
    assert "a is 5" in said(lines)
    assert (image.tags, image.labels) == (["py:1"], {"key": "value"})


@pytest.mark.parametrize(
    ("pack", "encoding"),
    [
        (gzip.compress, "gzip"),
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
        (zstandard.ZstdCompressor().compress, "zstd"),
        (bytes, None),
    ],
    ids=["gzip", "bzip2", "xz", "zstd", "plain"],
)
def test_contexts_in_every_compression(
    client: docker.DockerClient, pack: Callable[[bytes], bytes], encoding: str | None
) -> None:
    context = tar_of({"Other": b"FROM busybox\nCOPY a /a\nRUN cat /a\n", "a": b"there\n"})
    _, lines = client.images.build(
        fileobj=io.BytesIO(pack(context)),
        custom_context=True,
        encoding=encoding,
        dockerfile="Other",
        nocache=True,
    )
    assert "there" in said(lines)


def test_a_folder_with_its_own_wishes(client: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox AS one\nRUN grep h /etc/hosts | grep 1.2.3.4; df -k /dev/shm | tail -1\n"
        "FROM one\nRUN exit 1\n"
    )
    (tmp_path / ".dockerignore").write_text("ignored\n")
    (tmp_path / "ignored").write_text("")
    _, lines = client.images.build(
        path=str(tmp_path),
        target="one",
        network_mode="none",
        extra_hosts={"h": "1.2.3.4"},
        shmsize=16 << 20,
        container_limits={"memory": 64 << 20, "memswap": -1, "cpushares": 512, "cpusetcpus": "0"},
        cache_from=["busybox", "none-such:1"],
        platform="linux",
        nocache=True,
    )
    assert "1.2.3.4\th" in (told := said(lines)) and " 16384 " in told


def test_lines_one_by_one(client: docker.DockerClient) -> None:
    file = io.BytesIO(b"FROM busybox\nRUN exit 4\n")
    *_, last = client.api.build(fileobj=file, decode=True)
    message = "The command '/bin/sh -c exit 4' returned a non-zero code: 4"
    assert last == {"errorDetail": {"code": 4, "message": message}, "error": message}
    raw = b"".join(client.api.build(fileobj=io.BytesIO(b"FROM busybox\n"), quiet=True))
    assert raw.startswith(b'{"stream":"sha256:')


@pytest.mark.parametrize(
    ("dockerfile", "asked", "message"),
    [
        (b"FROM busybox\nWHAT\n", {}, "unknown instruction: WHAT"),
        (b"FROM busybox\n", {"squash": True}, "squash is only supported with experimental mode"),
        (b"FROM busybox\n", {"target": "x"}, 'target stage "x" could not be found'),
        (b"FROM busybox\n", {"platform": "a/b/c/d"}, "invalid OS or architecture"),
        (b" \n", {}, "cannot be empty"),
        (b"FROM busybox\n", {"container_limits": {"memory": 1 << 20}}, "Minimum memory limit"),
    ],
)
def test_refusals_have_a_status(
    client: docker.DockerClient, dockerfile: bytes, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(docker.errors.APIError) as caught:
        client.images.build(fileobj=io.BytesIO(dockerfile), **asked)
    assert caught.value.status_code == 400
    assert message in str(caught.value)


def test_contexts_that_are_none(client: docker.DockerClient) -> None:
    for content, message in (
        (b"no tar at all" * 100, "Error processing tar file"),
        (tar_of({"a": b""}), "Cannot locate specified Dockerfile: Dockerfile"),
        (tar_of({"Dockerfile": b"FROM busybox\n"})[:700], "Error processing tar file"),
        (b"", "Cannot locate specified Dockerfile"),
    ):
        with pytest.raises(docker.errors.APIError) as caught:
            client.images.build(fileobj=io.BytesIO(content), custom_context=True)
        assert (caught.value.status_code, message in str(caught.value)) == (400, True)


def test_buildkit_is_not_pretended(client: docker.DockerClient) -> None:
    assert client.api._get(client.api._url("/_ping")).headers["Builder-Version"] == "1"
    answer = client.api._post(client.api._url("/build"), params={"version": "2"}, data=b"")
    assert answer.status_code == 400


def test_a_client_that_goes_away_while_it_sends(builds: Builds) -> None:
    contexts = builds.engine.root / "builds/contexts"
    content = tar_of({"Dockerfile": b"FROM busybox\n", "big": b"x" * 3_000_000})
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(builds.engine.socket))
        connection.sendall(
            b"POST /build HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\n"
            b"Content-Length: %d\r\n\r\n" % len(content)
        )
        connection.sendall(content[:2_000_000])
        deadline = time.monotonic() + 5
        while not list(contexts.glob("*/big")) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(contexts.glob("*/big"))
    deadline = time.monotonic() + 5
    while list(contexts.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(contexts.iterdir()) == []


def test_a_quiet_build_ends_with_its_client(builds: Builds) -> None:
    command = f"sleep 77.{os.getpid()}"
    builds.write(f"FROM busybox\nRUN {command}\n")
    asking = subprocess.Popen(
        ["docker", "build", "-q", "--no-cache", str(builds.folder)],
        env={**os.environ, "DOCKER_HOST": builds.engine.url, "DOCKER_BUILDKIT": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert within(10, lambda: running(command))
    finally:
        asking.send_signal(signal.SIGINT)
        asking.wait(10)
    assert within(5, lambda: not running(command))


def running(command: str) -> bool:
    """Whether a process runs exactly this command."""
    words = command.encode().replace(b" ", b"\0") + b"\0"
    for line in list(Path("/proc").glob("[0-9]*/cmdline")):
        with contextlib.suppress(OSError):
            if line.read_bytes() == words:
                return True
    return False


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    """Wait for it; whether it happened."""
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.05)
    return happened()
