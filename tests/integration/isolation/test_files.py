"""Files have the owners that the container gave them, wherever they are looked at."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.integration.isolation.conftest import Box, Boxes
from tests.support.native import NativeEngine

pytestmark = pytest.mark.root
MAKE = "touch /f; mkdir /d; echo u > /d/u; chown -R 1000:2000 /d; ln -s u /d/l; chown -h 7:8 /d/l"


def owners(archive: bytes) -> dict[str, tuple[int, int]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: (member.uid, member.gid) for member in tar}


def binary(engine: NativeEngine, *args: str) -> bytes:
    return subprocess.run(
        ["docker", *args],
        env={**os.environ, "DOCKER_HOST": engine.url},
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout


def test_a_volume_holds_the_ids_of_inside(boxes: Boxes, engine: NativeEngine) -> None:
    volume = boxes.name()
    box = boxes.run("-v", f"{volume}:/v")
    try:
        box.sh("touch /v/root; touch /v/user; chown 1000:100 /v/user")
        assert box.sh("stat -c '%n %u %g' /v /v/*") == "/v 0 0\n/v/root 0 0\n/v/user 1000 100\n"
        where = engine.docker("volume", "inspect", "-f", "{{.Mountpoint}}", volume).stdout.strip()
        for name, wanted in (("root", (0, 0)), ("user", (1000, 100))):
            status = (Path(where) / name).stat()
            assert (status.st_uid, status.st_gid) == wanted
        # the same volume in another user namespace, and in none
        script = "stat -c '%u %g' /v/user; touch /v/more"
        for flags in ((), ("--userns", "host")):
            argv = ("run", "--rm", *flags, "-v", f"{volume}:/v", "busybox", "sh", "-c", script)
            assert engine.docker(*argv).stdout == "1000 100\n"
    finally:
        engine.docker("rm", "-f", box.name)
        engine.docker("volume", "rm", volume)


def test_a_bind_keeps_its_owners(boxes: Boxes, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)
    (tmp_path / "host").write_text("from the host\n")
    os.chown(tmp_path / "host", 1234, 5678)
    (tmp_path / "secret").write_text("for root\n")
    os.chmod(tmp_path / "secret", 0o600)
    box = boxes.run("-v", f"{tmp_path}:/b")
    assert box.sh("stat -c '%u %g' /b/host; cat /b/secret") == "1234 5678\nfor root\n"
    box.sh("touch /b/new; chown 42 /b/host")
    assert (tmp_path / "new").stat().st_uid == 0
    assert (tmp_path / "host").stat().st_uid == 42
    read_only = boxes.run("-v", f"{tmp_path}:/b:ro", "-v", f"{tmp_path}/host:/one")
    assert "Read-only file system" in read_only.sh("touch /b/x", check=False)
    assert read_only.sh("stat -c %u /one") == "42\n"


def test_a_mount_below_a_bind_keeps_its_owners(boxes: Boxes, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    assert boxes.engine.process is not None
    # natively the engine has a mount namespace of its own
    there = ("nsenter", "-m", "-t", str(boxes.engine.process.pid))
    subprocess.run([*there, "mount", "-t", "tmpfs", "none", tmp_path / "below"], check=True)
    try:
        script = f"echo x > {tmp_path}/below/file; chown 77:88 {tmp_path}/below/file"
        subprocess.run([*there, "sh", "-c", script], check=True)
        box = boxes.run("-v", f"{tmp_path}:/b")
        assert box.sh("stat -c '%u %g' /b/below/file") == "77 88\n"
        plain = boxes.run("--mount", f"type=bind,src={tmp_path},dst=/b,bind-recursive=disabled")
        assert plain.sh("ls /b/below") == ""
    finally:
        subprocess.run([*there, "umount", "-l", tmp_path / "below"], check=True)


def test_a_subpath_of_a_volume(boxes: Boxes, engine: NativeEngine) -> None:
    volume = boxes.name()
    fill = ("run", "--rm", "-v", f"{volume}:/v", "busybox", "mkdir", "-p", "/v/a/b")
    engine.docker(*fill)
    mount = ("--mount", f"type=volume,src={volume},dst=/s,volume-subpath=a")
    box = boxes.run(*mount)
    try:
        assert box.sh("ls -n /s | tail -n 1").split()[2:4] == ["0", "0"]
        box.sh("touch /s/b/x")
    finally:
        engine.docker("rm", "-f", box.name)
        engine.docker("volume", "rm", volume)


def test_the_content_of_the_image_fills_a_volume(boxes: Boxes, engine: NativeEngine) -> None:
    box = boxes.run("-v", "/etc")
    assert box.sh("stat -c '%u %g' /etc/passwd") == "0 0\n"


def test_commit_and_export_have_the_owners_of_inside(boxes: Boxes, engine: NativeEngine) -> None:
    box = boxes.run()
    box.sh(MAKE)
    image = f"{box.name}:made"
    engine.docker("commit", box.name, image)
    try:
        argv = ("run", "--rm", "--userns", "host", image, "stat", "-c", "%u:%g")
        shown = engine.docker(*argv, "/f", "/d", "/d/u", "/d/l").stdout.split()
        assert shown == ["0:0", "1000:2000", "1000:2000", "7:8"]
    finally:
        engine.docker("rmi", image)
    for stopped in (False, True):
        found = owners(binary(engine, "export", box.name))
        assert found["f"] == (0, 0) and found["d/u"] == (1000, 2000) and found["d/l"] == (7, 8)
        assert found["bin/busybox"] == (0, 0)
        if not stopped:
            engine.docker("stop", "-t", "0", box.name)


def test_diff_lists_what_was_written(boxes: Boxes, engine: NativeEngine) -> None:
    box = boxes.run()
    box.sh("touch /tmp/x; rm /etc/group")
    lines = engine.docker("diff", box.name).stdout.splitlines()
    assert {"A /tmp/x", "D /etc/group"} <= set(lines)


def tar_of(name: str, uid: int, gid: int) -> bytes:
    """A tar of one file with an owner."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.uid, info.gid = uid, gid
        tar.addfile(info)
    return out.getvalue()


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_copies_have_the_owners_of_inside(
    boxes: Boxes, engine: NativeEngine, tmp_path: Path, stopped: bool
) -> None:
    box = boxes.run("-v", "/v", "--tmpfs", "/t")
    box.sh(f"{MAKE}; cp -a /d /v/d")
    (tmp_path / "plain").write_text("in")
    if stopped:
        engine.docker("stop", "-t", "0", box.name)
    for where in ("/d", "/v/d"):
        found = owners(binary(engine, "cp", f"{box.name}:{where}", "-"))
        assert found["d/u"] == (1000, 2000) and found["d/l"] == (7, 8)
    places = ("/", "/v/") if stopped else ("/", "/v/", "/t/")
    for place in places:
        engine.docker("cp", "-", f"{box.name}:{place}", input=tar_of("in", 3000, 4000))
        engine.docker("cp", "-a", str(tmp_path / "plain"), f"{box.name}:{place}")
    if stopped:
        engine.docker("start", box.name)
    for place in places:
        assert box.sh(f"stat -c '%u:%g' {place}in {place}plain") == "3000:4000\n0:0\n"
        assert box.sh(f"cat {place}plain; rm {place}in {place}plain && echo gone") == "ingone\n"


CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw+ep


def capabilities(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        value = tar.getmember(name).pax_headers.get("SCHILY.xattr.security.capability", "")
    return value.encode("utf-8", "surrogateescape")


def test_capabilities_of_files_are_those_of_inside(boxes: Boxes, engine: NativeEngine) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("grep")
        content = Path(shutil.which("busybox") or "").read_bytes()
        info.size, info.mode = len(content), 0o755
        text = CAPABILITY.decode("utf-8", "surrogateescape")
        info.pax_headers = {"SCHILY.xattr.security.capability": text}
        tar.addfile(info, io.BytesIO(content))
    box = boxes.run("-v", "/v")
    for place in ("/", "/v"):
        engine.docker("cp", "-", f"{box.name}:{place}", input=out.getvalue())
    # it gives the capability to a user inside, who has none
    shown = box.sh("/grep CapEff /proc/self/status", "-u", "1000")
    assert shown.endswith("CapEff:\t0000000000002000\n"), shown
    for stopped in (False, True):
        for place in ("/grep", "/v/grep"):
            copied = binary(engine, "cp", f"{box.name}:{place}", "-")
            assert capabilities(copied, "grep") == CAPABILITY
        assert capabilities(binary(engine, "export", box.name), "grep") == CAPABILITY
        if not stopped:
            engine.docker("stop", "-t", "0", box.name)


def test_an_owner_beyond_the_range_is_nobody(box: Box, engine: NativeEngine) -> None:
    engine.docker("cp", "-", f"{box.name}:/", input=tar_of("far", 70000, 70001))
    assert box.sh("stat -c '%u:%g' /far") == "65534:65534\n"


def test_a_read_only_root_and_tmpfs(boxes: Boxes) -> None:
    box = boxes.run("--read-only", "--tmpfs", "/t:mode=750,uid=5", "--shm-size", "1m")
    assert "Read-only file system" in box.sh("touch /x", check=False)
    assert box.sh("touch /t/x /dev/shm/x; stat -c '%u %a' /t; stat -c %u /dev/shm/x") == (
        "5 750\n0\n"
    )
    assert (
        box.sh("stat -c '%u %g' /etc/hosts /etc/hostname /etc/resolv.conf").split("\n")[:3]
        == ["0 0"] * 3
    )
