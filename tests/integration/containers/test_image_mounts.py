"""`--mount type=image`: another image's files, read-only, for as long as the container exists."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from uuid import uuid4

import docker
import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def image(native_engine: NativeEngine) -> Iterator[str]:
    """An image of two layers with /data/deep/file."""
    run, name = native_engine.docker, f"i{uuid4().hex[:10]}"
    script = "mkdir -p /data/deep; echo hello >/data/deep/file; chown 5:6 /data/deep/file"
    run("run", "--name", name, "busybox", "sh", "-c", script)
    run("commit", name, name)
    run("rm", name)
    yield name
    run("rmi", "-f", name)


def test_files_are_there_and_stay_as_they_are(native_engine: NativeEngine, image: str) -> None:
    script = "cat /x/data/deep/file; stat -c %u:%g /x/data/deep/file; ls /x; touch /x/new"
    mount = f"type=image,source={image},target=/x"
    done = native_engine.docker(
        "run", "--rm", "--mount", mount, "busybox", "sh", "-c", script, check=False
    )
    assert done.returncode == 1
    assert done.stdout.split()[:3] == ["hello", "5:6", "bin"]
    assert done.stderr == "touch: /x/new: Read-only file system\n"


@pytest.mark.parametrize(
    ("subpath", "shown"), [("data/deep", "file\n"), ("data/deep/file", "/x\n")]
)
def test_a_part_of_an_image(
    native_engine: NativeEngine, image: str, subpath: str, shown: str
) -> None:
    mount = f"type=image,source={image},target=/x,image-subpath={subpath}"
    done = native_engine.docker("run", "--rm", "--mount", mount, "busybox", "ls", "/x")
    assert done.stdout == shown


def test_the_image_is_in_use(native_engine: NativeEngine, image: str) -> None:
    run, name = native_engine.docker, f"c{uuid4().hex[:10]}"
    mount = f"type=image,source={image},target=/x"
    run("run", "-d", "--name", name, "--mount", mount, "busybox", "sleep", "600")
    try:
        shown = run("inspect", name, "-f", "{{json .Mounts}}").stdout
        assert f'"Type":"image","Name":"{image}"' in shown and '"RW":false' in shown
        done = run("rmi", image, check=False)
        assert done.returncode == 1 and "conflict: unable to remove" in done.stderr
        native_engine.restart(kill=True)
        assert run("exec", name, "cat", "/x/data/deep/file").stdout == "hello\n"
        run("restart", "-t", "0", name)
        assert run("exec", name, "cat", "/x/data/deep/file").stdout == "hello\n"
        run("stop", "-t", "0", name)
        tar = tarfile.open(fileobj=io.BytesIO(_bytes_of(native_engine, f"{name}:/x/data/deep")))
        assert "deep/file" in tar.getnames()
        tar.close()
    finally:
        run("rm", "-f", name)
    left = [one.name for one in (native_engine.root / "snapshots").iterdir() if "-" in one.name]
    assert left == []


def _bytes_of(engine: NativeEngine, path: str) -> bytes:
    with_client = engine.client()
    try:
        name, _, inside = path.partition(":")
        pieces, _ = with_client.containers.get(name).get_archive(inside)
        return b"".join(pieces)
    finally:
        with_client.close()


def test_with_enhanced_isolation(native_engine: NativeEngine, image: str) -> None:
    native_engine.folder.chmod(0o711)  # whose root is nobody outside must be able to pass
    mount = f"type=image,source={image},target=/x,image-subpath=data"
    done = native_engine.docker(
        "run", "--rm", "--security-opt", "cove.isolation=enhanced", "--mount", mount,
        "busybox", "stat", "-c", "%u:%g", "/x/deep/file", "/x/deep",
    )  # fmt: skip
    assert done.stdout.split() == ["5:6", "0:0"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("source=busybox,target=/x,image-subpath=../etc", "subpath must be a relative path"),
        ("source=busybox,target=/x,image-subpath=no/such", "cannot access path"),
        ("target=/x", "field Source must not be empty"),
    ],
)
def test_what_cannot_be_mounted(native_engine: NativeEngine, options: str, words: str) -> None:
    done = native_engine.docker(
        "run", "--rm", "--mount", f"type=image,{options}", "busybox", "true", check=False
    )
    assert done.returncode in (125, 127) and words in done.stderr


def test_an_image_that_is_not_here(native_engine: NativeEngine) -> None:
    client = native_engine.client()
    try:
        mount = {"Type": "image", "Source": "nosuch", "Target": "/x"}
        with pytest.raises(docker.errors.NotFound, match="No such image: nosuch:latest"):
            client.api.create_container("busybox", host_config={"Mounts": [mount]})
    finally:
        client.close()
