"""What containers and images put in the way of the engine's work on files leads nowhere."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from docker.errors import APIError
from docker.types import Mount

from engine.linux import confined
from engine.linux.removal import remove_tree
from engine.volumes import tree
from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture
def client(native_engine: NativeEngine) -> Iterator[Any]:
    with closing(native_engine.client()) as client:
        yield client


@pytest.fixture
def volume(client: Any) -> Iterator[Any]:
    volume = client.volumes.create(f"s-{uuid4().hex}")
    yield volume
    for container in client.containers.list(all=True, filters={"volume": volume.name}):
        container.remove(force=True)
    volume.remove(force=True)


def subpath(volume: Any, path: str) -> Mount:
    mount = Mount("/m", volume.name, type="volume")
    mount["VolumeOptions"] = {"Subpath": path}
    return mount


def test_a_subpath_stays_in_its_volume(
    native_engine: NativeEngine, client: Any, volume: Any, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("host")
    place = Path(volume.attrs["Mountpoint"])
    (place / "out").symlink_to(tmp_path)
    (place / "up").symlink_to("../" * 20 + str(tmp_path)[1:])
    (place / "in").mkdir()
    (place / "in/file").write_text("volume")
    (place / "link").symlink_to("/in")
    for path in ("out", "up"):
        with pytest.raises(APIError, match="escapes the base directory"):
            client.containers.run("busybox", "ls /m", mounts=[subpath(volume, path)], remove=True)
    for path, command, output in (("link", "cat /m/file", b"volume"), ("in/file", "cat /m", b"v")):
        container = client.containers.create("busybox", command, mounts=[subpath(volume, path)])
        container.start()
        container.wait()
        assert container.logs().startswith(output)
        pins = native_engine.root / "containers" / container.id / "pins"
        assert not pins.exists() or not list(pins.iterdir())
        container.remove()
    assert not (tmp_path / "in").exists()


def test_a_subpath_swapped_during_starts(client: Any, volume: Any, tmp_path: Path) -> None:
    """A container with the volume swaps a folder for a link to the host's, as fast as it can."""
    (tmp_path / "secret").write_text("host")
    place = Path(volume.attrs["Mountpoint"])
    (place / "a/sub").mkdir(parents=True)
    (place / "b").symlink_to(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/secret").write_text("host")
    ending = threading.Event()

    def swap() -> None:
        while not ending.is_set():
            for one, other in (("a", "t"), ("b", "a"), ("t", "b")):
                with suppress(OSError):
                    os.rename(place / one, place / other)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(6):
            with suppress(APIError):
                mounts = [subpath(volume, "a/sub")]
                assert client.containers.run("busybox", "ls /m", mounts=mounts, remove=True) == b""
    finally:
        ending.set()
        thread.join()


def test_an_image_is_copied_into_no_link(volume: Any, tmp_path: Path) -> None:
    """A container that already has the volume swaps the copy's folders for links to the host."""
    source, outside, place = tmp_path / "src", tmp_path / "out", Path(volume.attrs["Mountpoint"])
    outside.mkdir()
    for number in range(300):
        (source / f"d{number}").mkdir(parents=True)
        (source / f"d{number}/file").touch()
    ending = threading.Event()

    def swap() -> None:
        while not ending.is_set():
            for name in os.listdir(place):
                with suppress(OSError):
                    os.rmdir(place / name)
                    os.symlink(outside, place / name)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        with suppress(OSError):
            folders = {"from": source, "to": place}
            asyncio.run(
                confined.run(
                    lambda: confined.enter_folders(tmp_path, folders),
                    lambda: tree.copy("/from", "/to"),
                )
            )
    finally:
        ending.set()
        thread.join()
    assert list(outside.iterdir()) == []
    assert sorted(tmp_path.iterdir()) == [outside, source]  # its mounts were nobody else's


def test_volumes_are_filled_from_the_image(client: Any, volume: Any) -> None:
    box = client.containers.create("busybox", volumes={volume.name: {"bind": "/etc", "mode": "rw"}})
    place = Path(volume.attrs["Mountpoint"])
    assert (place / "passwd").read_text().startswith("root:")
    box.remove()


def tar(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_cp_writes_to_no_device(client: Any) -> None:
    """A container makes a node of a disk in the place of the file that's being copied in."""
    script = "while :; do rm -f /x/f; mknod /x/f b 7 7; done"
    box = client.containers.run(
        "busybox", ["sh", "-c", f"mkdir /x; {script}"], detach=True, init=False
    )
    try:
        time.sleep(0.3)
        for _ in range(30):
            try:
                box.put_archive("/x", tar("f", b"overwritten" * 1000))
            except APIError as error:
                # never ENXIO: nobody opened the device
                assert "File exists" in str(error) or "No such file" in str(error)
            pieces, _ = _read(box, "/x")
            assert b"overwritten" * 1000 in pieces or b"overwritten" not in pieces
    finally:
        box.remove(force=True)


def _read(box: Any, path: str) -> tuple[bytes, Any]:
    try:
        pieces, known = box.get_archive(path)
        return b"".join(pieces), known
    except APIError:
        return b"", None


def test_mounts_of_a_stopped_container_stay_inside(
    client: Any, volume: Any, tmp_path: Path
) -> None:
    """One volume below another that holds a link to the host in its way."""
    place = Path(volume.attrs["Mountpoint"])
    (place / "way").symlink_to(tmp_path)
    inner = client.volumes.create(f"s-{uuid4().hex}")
    box = client.containers.create(
        "busybox",
        volumes={
            volume.name: {"bind": "/v", "mode": "rw"},
            inner.name: {"bind": "/v/way/deep", "mode": "rw"},
        },
    )
    try:
        with suppress(APIError):
            box.put_archive("/v/way", tar("f", b"x"))
        assert list(tmp_path.iterdir()) == []
    finally:
        box.remove()
        inner.remove()


@pytest.mark.parametrize("place", ["/proc", "/proc/sys", "/link", "/up/self/attr"])
def test_nothing_is_mounted_over_proc(client: Any, native_engine: NativeEngine, place: str) -> None:
    box = client.containers.create("busybox", "true")
    links = io.BytesIO()
    with tarfile.open(fileobj=links, mode="w") as archive:
        for name, target in (("link", "/proc/sys"), ("up", "x/../../proc")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    box.put_archive("/", links.getvalue())
    image = box.commit(f"p-{uuid4().hex[:10]}", changes=f'VOLUME ["{place}"]')
    box.remove()
    try:
        done = native_engine.docker("run", "--rm", image.id, "ls", place, check=False)
        assert done.returncode == 125
        assert "check proc-safety" in done.stderr and "cannot be mounted" in done.stderr
    finally:
        client.images.remove(image.id, force=True)


@pytest.mark.parametrize("link", ["/proc", "../proc", "deep/../../proc/sys/net"])
def test_a_link_in_a_volume_leads_no_mount_over_proc(client: Any, volume: Any, link: str) -> None:
    place = Path(volume.attrs["Mountpoint"])
    (place / "deep").mkdir()
    (place / "way").symlink_to(link)
    (place / "fine").symlink_to("deep")
    volumes = [f"{volume.name}:/v"]
    assert client.containers.run(
        "busybox", "ls /v/deep", volumes=volumes, tmpfs={"/v/fine/x": ""}, remove=True
    ) == (b"x\n")
    with pytest.raises(APIError, match="because it is (inside /proc|not of type proc)"):
        client.containers.run("busybox", "true", volumes=volumes, tmpfs={"/v/way": ""}, remove=True)


def test_a_joined_network_shares_its_files(client: Any) -> None:
    """A container can write anything into /etc/hosts; the engine doesn't read it back."""
    box = client.containers.run("busybox", "sleep 60", detach=True)
    try:
        box.exec_run(
            ["sh", "-c", "echo '\\377 mine' >> /etc/hosts; truncate -s 1T /etc/resolv.conf"]
        )
        shown = client.containers.run(
            "busybox",
            "tail -n 1 /etc/hosts",
            network_mode=f"container:{box.id}",
            remove=True,
        )
        assert shown.endswith(b"mine\n")
    finally:
        box.remove(force=True)


def test_numbers_that_are_none(client: Any) -> None:
    """Digits of other scripts in the image's passwd, or of a length that no number has."""
    box = client.containers.create("busybox", "true")
    lines = f"a:x:\u00b2:\u00b3::/:/bin/sh\nb:x:{'9' * 5000}:0::/:/\nc:x:7:8::/:/bin/sh\n"
    box.put_archive("/etc", tar("passwd", lines.encode()))
    image = box.commit(f"n-{uuid4().hex[:10]}")
    box.remove()
    try:
        assert client.containers.run(image.id, "id -u", user="c", remove=True) == b"7\n"
        for user in ("a", "b", "\u00b2", "9" * 5000):
            with pytest.raises(APIError, match="400|unable to find user|range"):
                client.containers.run(image.id, "id", user=user, remove=True)
    finally:
        client.images.remove(image.id, force=True)


def commit_running(client: Any, id: str) -> str:
    """The id of the image of a container that isn't paused meanwhile."""
    path = client.api._url("/commit")
    words = {"container": id, "repo": f"h-{uuid4().hex[:10]}", "pause": "false"}
    answer = client.api.post(path, params=words, json={})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["Id"])


def test_an_image_of_a_running_container_holds_only_its_own(client: Any, tmp_path: Path) -> None:
    """A container swaps folders for links to the host's while it becomes an image."""
    for number in range(20):
        (tmp_path / f"f{number}").write_text("of the host")
    script = (
        "for i in $(seq 20); do mkdir -p /za$i; for j in $(seq 0 19); do echo own >/za$i/f$j; done;"
        f" done; touch /ready; while :; do for i in $(seq 20); do mv /za$i /zb$i;"
        f" ln -s {tmp_path} /za$i;"
        " rm /za$i; mv /zb$i /za$i; done; done"
    )
    box = client.containers.run("busybox", ["sh", "-c", script], detach=True)
    image = None
    try:
        while box.exec_run("test -e /ready").exit_code:
            time.sleep(0.05)
        image = client.images.get(commit_running(client, box.id))
        inside = client.containers.run(
            image.id, ["sh", "-c", "cat /za*/* /zb*/* 2>/dev/null; true"], remove=True
        )
        assert b"own" in inside and b"host" not in inside
    finally:
        box.remove(force=True)
        if image is not None:
            client.images.remove(image.id, force=True)


def test_a_removal_enters_no_mount(tmp_path: Path) -> None:
    """A killed engine can leave a volume, or a folder of the user's, mounted in a container's."""
    volume, top = tmp_path / "volume", tmp_path / "top"
    (volume / "below").mkdir(parents=True)
    (volume / "below/kept").write_text("kept")
    (top / "pins/0").mkdir(parents=True)
    (top / "other").write_text("x")
    subprocess.run(["mount", "--bind", volume, top / "pins/0"], check=True)
    try:
        assert not remove_tree(top)
        assert (volume / "below/kept").read_text() == "kept"
        assert not (top / "other").exists()
    finally:
        subprocess.run(["umount", top / "pins/0"], check=True)
    assert remove_tree(top) and not top.exists()
