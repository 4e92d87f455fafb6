"""Pull and push against a real registry, with the real docker CLI and docker-py."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.archives import archive_of, tar_of
from tests.support.docker_registry import Registry
from tests.support.native import NativeEngine
from tests.support.registry_proxy import Proxy

pytestmark = pytest.mark.root

Push = Callable[..., str]


@pytest.fixture
def engine(native_engine: NativeEngine) -> Iterator[NativeEngine]:
    """The shared engine, with the registry's images gone afterwards."""
    yield native_engine
    form = '{{join .RepoTags " "}} {{join .RepoDigests " "}}'
    ids = native_engine.docker("images", "-q", "--no-trunc").stdout.split()
    for image in set(ids):
        names = native_engine.docker("inspect", "-f", form, image).stdout.split()
        for name in names:
            if name.startswith("127.0.0.1:"):
                # digests go together with the last tag of their repository
                native_engine.docker("rmi", "-f", name, check=False)


def lines_of_pull(engine: NativeEngine, reference: str) -> list[dict[str, object]]:
    client = engine.client()
    try:
        return list(client.api.pull(reference, stream=True, decode=True))
    finally:
        client.close()


def test_pull_tells_what_dockerd_tells(
    engine: NativeEngine, pushed: Push, registry: Registry
) -> None:
    reference = f"{registry.host}/{pushed('progress', layers=3)}"
    lines = lines_of_pull(engine, reference)
    assert lines[0] == {"status": "Pulling from progress", "id": "1"}
    statuses = [str(line["status"]) for line in lines]
    for word in ("Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"):
        assert statuses.count(word) == 3, word
    done = [line["id"] for line in lines if line["status"] == "Pull complete"]
    begun = [line["id"] for line in lines if line["status"] == "Pulling fs layer"]
    assert done == begun
    assert statuses[-2].startswith("Digest: sha256:")
    assert statuses[-1] == f"Status: Downloaded newer image for {reference}"
    again = engine.docker("pull", reference).stdout
    assert f"Status: Image is up to date for {reference}" in again
    assert f"Digest: {statuses[-2].removeprefix('Digest: ')}" in again


def test_a_current_tag_costs_no_manifest(
    engine: NativeEngine, pushed: Push, proxy: Proxy, registry: Registry
) -> None:
    name = pushed("current", layers=1)
    reference = f"{proxy.host}/{name}"
    engine.docker("pull", "-q", reference)
    proxy.requests.clear()
    assert "Status: Image is up to date" in engine.docker("pull", reference).stdout
    assert [method for method, path, _ in proxy.requests if "/manifests/" in path] == ["HEAD"]
    # the tag moves
    engine.docker("tag", "busybox", f"{registry.host}/{name}")
    engine.docker("push", "-q", f"{registry.host}/{name}")
    assert "Status: Downloaded newer image" in engine.docker("pull", reference).stdout


def test_what_was_pushed_comes_back(engine: NativeEngine, registry: Registry) -> None:
    name = f"{registry.host}/roundtrip:v1"
    engine.docker("tag", "busybox", name)
    out = engine.docker("push", name).stdout
    assert f"The push refers to repository [{registry.host}/roundtrip]" in out
    assert ": Pushed" in out and "v1: digest: sha256:" in out
    assert "Layer already exists" in engine.docker("push", name).stdout
    image_id = engine.docker("inspect", "-f", "{{.Id}}", name).stdout
    digest = json.loads(engine.docker("inspect", name).stdout)[0]["RepoDigests"][0]
    engine.docker("rmi", name)
    engine.docker("pull", "-q", digest)
    assert engine.docker("inspect", "-f", "{{.Id}}", digest).stdout == image_id
    inspected = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{name}"],
        capture_output=True,
        check=True,
    )
    assert json.loads(inspected.stdout)["Digest"] == digest.partition("@")[2]


def test_mount_from_another_repository(
    engine: NativeEngine, pushed: Push, registry: Registry
) -> None:
    source = f"{registry.host}/{pushed('mount/source')}"
    engine.docker("pull", "-q", source)
    engine.docker("tag", source, f"{registry.host}/mount/target:1")
    out = engine.docker("push", f"{registry.host}/mount/target:1").stdout
    assert out.count("Mounted from mount/source") == 2


def test_all_tags(engine: NativeEngine, registry: Registry) -> None:
    for tag in ("one", "two"):
        engine.docker("tag", "busybox", f"{registry.host}/many:{tag}")
    engine.docker("push", "-q", "-a", f"{registry.host}/many")
    engine.docker("rmi", f"{registry.host}/many:one", f"{registry.host}/many:two")
    engine.docker("pull", "-q", "-a", f"{registry.host}/many")
    out = engine.docker("images", "--format", "{{.Tag}}", f"{registry.host}/many").stdout
    assert sorted(out.split()) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "{host}/missing:1",
            "manifest for {host}/missing:1 not found: manifest unknown: manifest unknown",
        ),
        ("127.0.0.1:9/app", "dial tcp 127.0.0.1:9: connect: connection refused"),
        ("registry.invalid/app", "dial tcp: lookup registry.invalid: no such host"),
    ],
)
def test_refusals(engine: NativeEngine, registry: Registry, name: str, message: str) -> None:
    done = engine.docker("pull", name.format(host=registry.host), check=False)
    assert done.returncode == 1
    assert message.format(host=registry.host) in done.stderr
    assert done.stderr.startswith("Error response from daemon: ")


def test_a_cut_download_is_resumed(engine: NativeEngine, pushed: Push, proxy: Proxy) -> None:
    name = pushed("cut", megabytes=2)
    proxy.cut_after = 1 << 19
    engine.docker("pull", "-q", f"{proxy.host}/{name}")
    ranges = [value for method, path, value in proxy.requests if "/blobs/" in path and value != ""]
    assert len(ranges) == 2
    assert all(int(value.removeprefix("bytes=").rstrip("-")) >= 1 << 19 for value in ranges)


def test_two_pulls_fetch_a_layer_once(engine: NativeEngine, pushed: Push, proxy: Proxy) -> None:
    name = pushed("twice", megabytes=2)
    proxy.delay = 0.02
    argv = ["docker", "-H", engine.url, "pull", "-q", f"{proxy.host}/{name}"]
    pulls = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(3)]
    for pull in pulls:
        pull.communicate(timeout=30)
        assert pull.returncode == 0
    layers = [path for path in proxy.blobs()]
    configs = 3  # each pull reads the small config for itself
    assert len(layers) <= 2 + configs and len(set(layers)) == 3


def blobs_of(engine: NativeEngine) -> tuple[list[str], list[str], list[str]]:
    content = engine.root / "content"
    return (
        sorted(path.name for path in (content / "blobs/sha256").iterdir()),
        sorted(path.name for path in (content / "ingest").iterdir()),
        sorted(path.name for path in (engine.root / "layers").iterdir()),
    )


def eventually(check: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_cancelled_pull_stops_and_leaves_nothing(
    engine: NativeEngine, pushed: Push, proxy: Proxy
) -> None:
    name = pushed("cancel", megabytes=6)
    before = blobs_of(engine)
    proxy.delay = 0.1
    pull = subprocess.Popen(
        ["docker", "-H", engine.url, "pull", f"{proxy.host}/{name}"], stdout=subprocess.DEVNULL
    )
    eventually(lambda: any(blobs_of(engine)[1]))
    pull.terminate()
    pull.wait(10)
    assert proxy.broken.wait(10)
    eventually(lambda: blobs_of(engine) == before)


def test_who_still_waits_gets_the_layer(engine: NativeEngine, pushed: Push, proxy: Proxy) -> None:
    name = pushed("joined", megabytes=4, layers=1)
    proxy.delay = 0.05
    argv = ["docker", "-H", engine.url, "pull", "-q", f"{proxy.host}/{name}"]
    first = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    eventually(lambda: any(blobs_of(engine)[1]))
    second = subprocess.Popen(argv, stdout=subprocess.PIPE)
    eventually(lambda: len(proxy.blobs()) == 3)  # the layer, and the config for each
    time.sleep(0.3)
    first.terminate()
    first.wait(10)
    second.communicate(timeout=30)
    assert second.returncode == 0
    assert not proxy.broken.is_set()
    assert len(proxy.blobs()) == 3


def test_a_cancelled_push_leaves_nothing(
    engine: NativeEngine, registry: Registry, proxy: Proxy
) -> None:
    name = f"{proxy.host}/unsent:1"
    engine.docker("load", "-q", input=archive_of(name, [tar_of({"file": os.urandom(6 << 20)})]))
    before = blobs_of(engine)
    proxy.upload_delay = 0.1
    argv = ["docker", "-H", engine.url, "push", name]
    push = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: any(method == "PATCH" for method, _, _ in proxy.requests))
    push.terminate()
    push.wait(10)
    assert proxy.broken.wait(10)
    eventually(lambda: blobs_of(engine) == before)
    proxy.upload_delay = 0
    assert ": Pushed" in engine.docker("push", name).stdout


def test_other_bytes_than_promised(engine: NativeEngine, pushed: Push, proxy: Proxy) -> None:
    name = pushed("corrupt")
    before = blobs_of(engine)
    proxy.corrupt = True
    done = engine.docker("pull", f"{proxy.host}/{name}", check=False)
    assert done.returncode == 1
    proxy.corrupt = False
    eventually(lambda: blobs_of(engine) == before)
    engine.docker("pull", "-q", f"{proxy.host}/{name}")


def test_kill_in_mid_pull(engine: NativeEngine, pushed: Push, proxy: Proxy) -> None:
    name = pushed("killed", megabytes=4)
    before = blobs_of(engine)
    proxy.delay = 0.05
    pull = subprocess.Popen(
        ["docker", "-H", engine.url, "pull", f"{proxy.host}/{name}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: any(blobs_of(engine)[1]))
    engine.restart(kill=True)
    pull.wait(10)
    assert blobs_of(engine) == before
    proxy.delay = 0
    engine.docker("pull", "-q", f"{proxy.host}/{name}")


def test_distribution_says_digest_and_platform(
    engine: NativeEngine, pushed: Push, registry: Registry
) -> None:
    name = pushed("described")
    client = engine.client()
    try:
        found = client.api.inspect_distribution(f"{registry.host}/{name}")
    finally:
        client.close()
    assert found["Descriptor"]["digest"].startswith("sha256:")
    assert found["Platforms"][0]["os"] == "linux"


def test_platform_of_an_index(engine: NativeEngine, registry: Registry, tmp_path: Path) -> None:
    layers = [tar_of({"file": b"x"})]
    (tmp_path / "a.tar").write_bytes(archive_of("index/app:1", layers))
    subprocess.run(
        [
            *("skopeo", "copy", "-q", "--dest-tls-verify=false"),
            f"docker-archive:{tmp_path}/a.tar",
            f"docker://{registry.host}/index/app:amd",
        ],
        check=True,
    )
    reference = f"{registry.host}/index/app:amd"
    done = engine.docker("pull", "--platform", "linux/s390x", reference, check=False)
    assert "does not match the specified platform (linux/s390x)" in done.stderr
    engine.docker("pull", "-q", reference)
