"""Images that others wrote (skopeo, umoci), indexes of several platforms, digests, many tags."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.archives import archive_of, config_of, tar_of
from tests.support.docker_registry import Registry
from tests.support.native import NativeEngine

pytestmark = pytest.mark.root

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


class Writer:
    """Puts blobs and manifests into a registry by hand."""

    def __init__(self, registry: Registry, repository: str) -> None:
        self.name = f"{registry.host}/{repository}"
        self._repository = repository
        self._connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=20)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> dict[str, str]:
        headers = {"Content-Type": kind} if kind else {}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status < 300, content
        return dict(answer.getheaders())

    def blob(self, content: bytes, kind: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = self._ask("POST", f"/v2/{self._repository}/blobs/uploads/")
        location = begun["Location"].partition("127.0.0.1")[2].partition("/")[2]
        self._ask("PUT", f"/{location}&digest={digest}", content, "application/octet-stream")
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    def manifest(self, tag: str, document: dict[str, Any]) -> dict[str, Any]:
        content = json.dumps(document).encode()
        kind = document["mediaType"]
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._ask("PUT", f"/v2/{self._repository}/manifests/{tag or digest}", content, kind)
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    def image(self, tag: str, layer: bytes, packed: bytes, kind: str, **platform: str) -> Any:
        """An OCI image of one layer; its descriptor with the platform."""
        config = json.loads(config_of([layer])) | platform
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(json.dumps(config).encode(), OCI_CONFIG),
            "layers": [self.blob(packed, kind)],
        }
        stated = {"os": "linux", "architecture": config["architecture"], **platform}
        return {**self.manifest(tag, document), "platform": stated}


@pytest.fixture
def writer(registry: Registry, request: pytest.FixtureRequest) -> Iterator[Writer]:
    writer = Writer(registry, f"by-hand/{request.node.name.partition('[')[0].replace('_', '-')}")
    yield writer
    writer.close()


@pytest.fixture
def engine(native_engine: NativeEngine) -> Iterator[NativeEngine]:
    """The shared engine, without what a test pulled."""
    before = set(native_engine.docker("images", "-aq", "--no-trunc").stdout.split())
    yield native_engine
    for image in set(native_engine.docker("images", "-aq", "--no-trunc").stdout.split()) - before:
        native_engine.docker("rmi", "-f", image, check=False)


def zstd(content: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(content)


def read_file(engine: NativeEngine, image: str, name: str, *flags: str) -> bytes:
    """A file of an image, through a container that never runs."""
    container = engine.docker("create", *flags, image, "x").stdout.strip()
    try:
        done = subprocess.run(
            ["docker", "-H", engine.url, "cp", f"{container}:{name}", "-"],
            capture_output=True,
            check=True,
        )
    finally:
        engine.docker("rm", container)
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        file = tar.extractfile(tar.getmembers()[0])
        assert file is not None
        return file.read()


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [("+gzip", lambda plain: gzip.compress(plain, 1, mtime=0)), ("+zstd", zstd), ("", bytes)],
)
def test_layers_of_all_kinds(engine: NativeEngine, writer: Writer, suffix: str, pack: Any) -> None:
    content = os.urandom(3000)
    layer = tar_of({"file": content})
    found = writer.image("1", layer, pack(layer), OCI_LAYER + suffix)
    out = engine.docker("pull", f"{writer.name}:1").stdout
    assert f"Digest: {found['digest']}" in out
    assert read_file(engine, f"{writer.name}:1", "/file") == content
    # and goes to others as it came, unless it was plain
    engine.docker("tag", f"{writer.name}:1", f"{writer.name}-again:1")
    engine.docker("push", "-q", f"{writer.name}-again:1")
    inspected = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{writer.name}-again:1")
    (sent,) = json.loads(inspected)["layers"]
    assert sent["mediaType"].endswith("zstd" if suffix == "+zstd" else "gzip")
    if suffix:
        assert sent["digest"] == f"sha256:{hashlib.sha256(pack(layer)).hexdigest()}"


def skopeo(*args: str) -> str:
    done = subprocess.run(["skopeo", *args], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("kind", [OCI_INDEX, DOCKER_LIST])
def test_platforms_of_an_index(engine: NativeEngine, writer: Writer, kind: str) -> None:
    native = json.loads(config_of([]))["architecture"]
    platforms = [
        {"architecture": "s390x"},
        {"architecture": "arm", "variant": "v6"},
        {"architecture": "arm", "variant": "v7"},
        {"architecture": native},
    ]
    entries = []
    for platform in platforms:
        layer = tar_of({"name": "/".join(platform.values()).encode()})
        entries.append(
            writer.image("", layer, gzip.compress(layer), f"{OCI_LAYER}+gzip", **platform)
        )
    unknown = {"platform": {"os": "unknown", "architecture": "unknown"}}
    index = {
        "schemaVersion": 2,
        "mediaType": kind,
        "manifests": [{**entries[0], **unknown}, *entries],
    }
    whole = writer.manifest("1", index)
    name = f"{writer.name}:1"
    for flags, wanted in (
        ((), native),
        (("--platform", "linux/s390x"), "s390x"),
        (("--platform", "linux/arm/v6"), "arm/v6"),
        (("--platform", "linux/arm"), "arm/v7"),
        (("--platform", "arm"), "arm/v7"),
        (("--platform", f"linux/{native}"), native),
    ):
        out = engine.docker("pull", *flags, name).stdout
        assert f"Digest: {whole['digest']}" in out
        assert read_file(engine, name, "/name", *flags) == wanted.encode()
    absent = engine.docker("pull", "--platform", "linux/mips", name, check=False)
    wanted = "no matching manifest for linux/mips in the manifest list entries"
    assert absent.returncode == 1 and wanted in absent.stderr
    nonsense = engine.docker("pull", "--platform", "a/b/c/d", name, check=False)
    assert nonsense.returncode == 1 and "invalid" in nonsense.stderr
    client = engine.client()
    try:
        described = client.api.inspect_distribution(name)
    finally:
        client.close()
    assert described["Descriptor"]["digest"] == whole["digest"]
    assert {"architecture": "arm", "os": "linux", "variant": "v6"} in described["Platforms"]
    # the digest of the index, and of one platform's manifest inside it
    engine.docker("pull", "-q", f"{writer.name}@{whole['digest']}")
    out = engine.docker("pull", f"{writer.name}@{entries[1]['digest']}").stdout
    assert f"Status: Downloaded newer image for {writer.name}@{entries[1]['digest']}" in out


def test_digest_and_tag_together(engine: NativeEngine, writer: Writer) -> None:
    layer = tar_of({"file": b"pinned"})
    old = writer.image("1", layer, gzip.compress(layer), f"{OCI_LAYER}+gzip")
    newer = tar_of({"file": b"newer"})
    writer.image("1", newer, gzip.compress(newer), f"{OCI_LAYER}+gzip")
    pinned = f"{writer.name}:1@{old['digest']}"
    out = engine.docker("pull", pinned).stdout
    assert f"Digest: {old['digest']}" in out
    assert read_file(engine, pinned, "/file") == b"pinned"
    shown = json.loads(engine.docker("inspect", pinned).stdout)[0]
    assert shown["RepoTags"] == [] and shown["RepoDigests"] == [f"{writer.name}@{old['digest']}"]
    other = f"{writer.name}@sha256:{'0' * 64}"
    missing = engine.docker("pull", other, check=False)
    assert f"manifest for {other} not found: manifest unknown" in missing.stderr


def test_all_tags_of_a_repository(engine: NativeEngine, writer: Writer) -> None:
    layer = tar_of({"file": b"same"})
    for number in range(5):
        writer.image(f"v{number}", layer, gzip.compress(layer), f"{OCI_LAYER}+gzip")
    engine.docker("pull", "-q", "-a", writer.name)
    out = engine.docker("images", "--format", "{{.Tag}}", writer.name).stdout
    assert sorted(out.split()) == [f"v{number}" for number in range(5)]
    none = engine.docker("pull", "-a", f"{writer.name}-none", check=False)
    assert f"repository {writer.name}-none not found: name unknown" in none.stderr


def test_skopeo_writes_we_read(engine: NativeEngine, registry: Registry, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(archive_of("other:1", [tar_of({"by": b"skopeo"})]))
    for form, flags in (
        ("v2s2", ()),
        ("oci", ()),
        ("oci", ("--dest-compress-format", "zstd", "--dest-compress")),
    ):
        target = f"{registry.host}/skopeo/{form}:{len(flags)}"
        copy = ["copy", "-q", "--dest-tls-verify=false", "--format", form, *flags]
        skopeo(*copy, f"docker-archive:{archive}", f"docker://{target}")
        engine.docker("pull", "-q", target)
        assert read_file(engine, target, "/by") == b"skopeo"


def test_umoci_writes_we_read_and_skopeo_reads_what_we_push(
    engine: NativeEngine, registry: Registry, tmp_path: Path
) -> None:
    layout, root = tmp_path / "layout", tmp_path / "root"
    root.mkdir()
    (root / "by").write_text("umoci")

    def umoci(*args: str) -> None:
        subprocess.run(["umoci", *args], check=True, capture_output=True)

    umoci("init", "--layout", str(layout))
    umoci("new", "--image", f"{layout}:1")
    umoci("insert", "--image", f"{layout}:1", str(root), "/made")
    umoci("config", "--image", f"{layout}:1", "--config.env", "BY=umoci")
    target = f"{registry.host}/umoci/app:1"
    skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:1", f"docker://{target}")
    engine.docker("pull", "-q", target)
    assert read_file(engine, target, "/made/by") == b"umoci"
    assert "BY=umoci" in engine.docker("inspect", target).stdout
    again = f"{registry.host}/umoci/again:1"
    engine.docker("tag", target, again)
    engine.docker("push", "-q", again)
    skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{again}", f"oci:{tmp_path}/back:1")
    umoci("unpack", "--image", f"{tmp_path}/back:1", str(tmp_path / "bundle"))
    assert (tmp_path / "bundle/rootfs/made/by").read_text() == "umoci"


def test_a_plain_layer_is_compressed_once(engine: NativeEngine, registry: Registry) -> None:
    layers = [tar_of({f"f{number}": os.urandom(200_000)}) for number in range(3)]
    name = f"{registry.host}/once/app:1"
    engine.docker("load", "-q", input=archive_of(name, layers))
    out = engine.docker("push", name).stdout
    assert out.count(": Pushed") == 3
    blobs = engine.root / "content/blobs/sha256"
    sent = {each["digest"] for each in json.loads(_raw(name))["layers"]}
    assert all((blobs / digest.removeprefix("sha256:")).exists() for digest in sent)
    plain = {hashlib.sha256(layer).hexdigest() for layer in layers}
    deadline = time.monotonic() + 10
    while plain & {path.name for path in blobs.iterdir()}:  # they go behind the answer
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert engine.docker("push", name).stdout.count("Layer already exists") == 3
    engine.docker("tag", name, f"{registry.host}/once/again:1")
    assert engine.docker("push", f"{registry.host}/once/again:1").stdout.count("Mounted from") == 3


def _raw(name: str) -> str:
    return skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
