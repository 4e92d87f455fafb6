"""cp, export, diff and commit: nothing gets out of a container's root, whatever links it holds."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from docker.errors import APIError, NotFound

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture
def box(native_engine: NativeEngine) -> Iterator[Any]:
    with closing(native_engine.client()) as client:
        volume = f"v-{uuid4().hex}"
        container = client.containers.run(
            "busybox", "sleep 600", detach=True, volumes={volume: {"bind": "/vol", "mode": "rw"}}
        )
        yield container
        container.remove(force=True)
        client.volumes.get(volume).remove()


def tar(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def names(pieces: Any) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        return archive.getnames()


@pytest.mark.parametrize("stopped", [False, True])
def test_in_and_out(native_engine: NativeEngine, box: Any, tmp_path: Path, stopped: bool) -> None:
    if stopped:
        box.kill()
        box.wait()
    (tmp_path / "src/sub").mkdir(parents=True)
    (tmp_path / "src/sub/file").write_text("deep")
    (tmp_path / "src/link").symlink_to("sub/file")
    big = bytes(range(256)) * 20000
    (tmp_path / "src/big").write_bytes(big)
    native_engine.docker("cp", str(tmp_path / "src"), f"{box.id}:/vol/")
    native_engine.docker("cp", f"{box.id}:/vol/src", str(tmp_path / "back"))
    assert (tmp_path / "back/big").read_bytes() == big
    assert (tmp_path / "back/sub/file").read_text() == "deep"
    assert (tmp_path / "back/link").readlink() == Path("sub/file")
    if not stopped:
        assert box.exec_run("cat /vol/src/link").output == b"deep"


def test_names_and_stat_of_archives(box: Any) -> None:
    pieces, known = box.get_archive("/etc/passwd")
    assert names(pieces) == ["passwd"]
    assert known["name"] == "passwd" and known["size"] > 0
    box.exec_run(["sh", "-c", "mkdir /d; touch /d/f; ln -s /d /l"])
    assert names(box.get_archive("/d")[0]) == ["d", "d/f"]
    assert names(box.get_archive("/d/.")[0]) == [".", "./f"]
    link = box.get_archive("/l")[1]
    assert link["linkTarget"] == "/d" and link["mode"] & 1 << 27
    with pytest.raises(NotFound, match="Could not find the file /nosuch in container"):
        box.get_archive("/nosuch")


def test_what_cannot_be_unpacked(box: Any) -> None:
    with pytest.raises(NotFound, match="Could not find the file /nosuch in container"):
        box.put_archive("/nosuch", tar(x=b""))
    with pytest.raises(APIError, match="extraction point is not a directory"):
        box.put_archive("/etc/passwd", tar(x=b""))
    with pytest.raises(APIError, match="400"):
        box.put_archive("/tmp", b"this is no tar" * 100)


def test_links_lead_nowhere_outside(box: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    box.exec_run(["sh", "-c", f"mkdir -p {outside}; ln -s {outside} /out; ln -s ../../../.. /up"])
    box.put_archive("/out", tar(a=b"1"))
    box.put_archive("/up", tar(cove_escape=b"2"))
    box.put_archive("/", tar(**{"../../../cove_escape2": b"3"}))
    assert list(outside.iterdir()) == []
    assert not Path("/cove_escape").exists() and not Path("/cove_escape2").exists()
    assert box.exec_run(f"cat {outside}/a /cove_escape /cove_escape2").output == b"123"
    box.kill()
    box.wait()
    box.put_archive("/out", tar(b=b"4"))
    assert list(outside.iterdir()) == []
    pieces, _ = box.get_archive(f"{outside}/b")
    assert names(pieces) == ["b"]


def test_a_read_only_root_takes_no_files(native_engine: NativeEngine) -> None:
    with closing(native_engine.client()) as client:
        container = client.containers.create("busybox", "true", read_only=True)
        with pytest.raises(APIError, match="container rootfs is marked read-only"):
            container.put_archive("/tmp", tar(x=b""))
        container.remove()


def test_export_and_diff(box: Any) -> None:
    box.exec_run(["sh", "-c", "touch /new; rm /etc/group; echo x >> /etc/passwd; touch /vol/v"])
    assert box.diff() == [
        {"Path": "/etc", "Kind": 0},
        {"Path": "/etc/group", "Kind": 2},
        {"Path": "/etc/passwd", "Kind": 0},
        {"Path": "/new", "Kind": 1},
        {"Path": "/vol", "Kind": 1},
    ]
    listed = names(box.export())
    assert "new" in listed and "bin/busybox" in listed
    assert "etc/group" not in listed and "vol/v" not in listed
    assert not any(name.startswith("proc/") for name in listed)


def test_commit(native_engine: NativeEngine, box: Any) -> None:
    repository = f"c-{uuid4().hex[:10]}"
    box.exec_run(["sh", "-c", "echo kept > /file; rm /etc/group"])
    image = box.commit(
        repository, tag="1", message="why", author="me", changes='CMD ["cat", "/file"]'
    )
    try:
        done = native_engine.docker("run", "--rm", f"{repository}:1")
        assert done.stdout == "kept\n"
        gone = native_engine.docker(
            "run", "--rm", f"{repository}:1", "ls", "/etc/group", check=False
        )
        assert gone.returncode == 1
        assert (image.attrs["Author"], image.attrs["Comment"]) == ("me", "why")
        assert image.history()[0]["Comment"] == "why"
        box.reload()
        assert box.status == "running"
    finally:
        native_engine.docker("rmi", f"{repository}:1")
