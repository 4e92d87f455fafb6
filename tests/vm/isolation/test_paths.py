"""Paths that lead elsewhere: in `docker cp`, and in the folders that the computer shares."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import VM
from tests.vm.isolation.conftest import IMAGE, KINDS, Box, new_name, start

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]
STATE = "/var/lib/cove"


def tar_of(name: str, content: bytes = b"in\n", link: str = "") -> bytes:
    """A tar of one file, or of a link and a file below it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        if link:
            info = tarfile.TarInfo("way")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_cp_out_through_links_and_dots_stays_inside(boxes: dict[str, Box], kind: str) -> None:
    box = boxes[kind]
    box.sh(
        f"ln -sfn {STATE} /link; ln -sfn ../../../../../..{STATE} /dots; ln -sfn /proc/1/root /r"
    )
    for path in ("/link/", "/dots/", f"/../../..{STATE}/", f"/r{STATE}/", "/proc/1/root/run/cove/"):
        done = box.vm.docker("cp", f"{box.name}:{path}", "-", check=False, text=False)
        assert done.returncode != 0, path
        assert b"engine.db" not in done.stdout and b"engine.sock" not in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_cp_in_through_links_and_dots_stays_inside(boxes: dict[str, Box], kind: str) -> None:
    box = boxes[kind]
    box.sh("mkdir -p /in/run/cove; ln -sfn /run /in/run/link")
    for data in (
        tar_of("../../../../run/cove/escaped"),
        tar_of("/run/cove/escaped"),
        tar_of("way/escaped", link="/run/cove"),
        tar_of("way/escaped", link="../../../../run/cove"),
    ):
        box.vm.docker("cp", "-", f"{box.name}:/in", input=data, text=False, check=False)
    assert "escaped" not in box.vm.shell("ls /run/cove /run /; ls /var/lib/cove")


def test_cp_while_a_link_is_swapped_stays_inside(running: VM) -> None:
    box = start(running)
    try:
        box.sh("mkdir -p /a /d/cove; echo own > /d/cove/machine.json; ln -s /run /l")
        swap = "while :; do mv /d /a/d; mv /l /d; mv /d /l; mv /a/d /d; done"
        running.docker("exec", "-d", box.name, "sh", "-c", swap)
        for _ in range(4):
            done = running.docker(
                "cp", f"{box.name}:/d/cove/machine.json", "-", check=False, text=False
            )
            assert b"shares" not in done.stdout
            running.docker(
                "cp", "-", f"{box.name}:/d/cove", input=tar_of("escaped"), check=False, text=False
            )
        assert "escaped" not in running.shell("ls /run/cove")
    finally:
        running.docker("rm", "-f", box.name)


@pytest.fixture
def share(running: VM) -> Iterator[Path]:
    """A folder of the computer that the VM sees, with links that lead out of it."""
    with tempfile.TemporaryDirectory(prefix=".cove-test-", dir=Path.home()) as folder:
        path = Path(folder)
        (path / "real").mkdir()
        (path / "real/file").write_text("shared\n")
        (path / "inside").symlink_to(path / "real")
        (path / "near").symlink_to("real")
        (path / "out").symlink_to(STATE)
        (path / "dots").symlink_to("../" * 12 + STATE.lstrip("/"))
        (path / "sockets").symlink_to("/run/cove")
        yield path


def test_a_link_in_a_share_leads_into_shares(running: VM, share: Path) -> None:
    for name in ("inside", "near"):
        argv = ("run", "--rm", "-v", f"{share}/{name}:/s", IMAGE, "cat", "/s/file")
        assert running.docker(*argv).stdout == "shared\n"


@pytest.mark.parametrize("name", ["out", "dots", "sockets", "out/engine"])
def test_a_link_in_a_share_leads_nowhere_into_the_vm(running: VM, share: Path, name: str) -> None:
    mount = ("--mount", f"type=bind,src={share}/{name},dst=/s")
    for flags in (("-v", f"{share}/{name}:/s"), mount):
        done = running.docker("run", "--rm", *flags, IMAGE, "ls", "/s", check=False)
        assert done.returncode != 0, done.stdout
        assert "engine" not in done.stdout
    assert not os.path.lexists(f"{STATE}/engine/new")


def test_a_link_in_a_share_makes_no_folder_in_the_vm(running: VM, share: Path) -> None:
    argv = ("run", "--rm", "-v", f"{share}/out/made:/s", IMAGE, "true")
    running.docker(*argv, check=False)
    assert "made" not in running.shell(f"ls {STATE}")


def test_a_volume_of_a_share_follows_no_link_into_the_vm(running: VM, share: Path) -> None:
    name = new_name()
    options = ("-o", "type=none", "-o", "o=bind", "-o", f"device={share}/out")
    running.docker("volume", "create", *options, name)
    try:
        done = running.docker("run", "--rm", "-v", f"{name}:/s", IMAGE, "ls", "/s", check=False)
        assert done.returncode != 0 and "engine" not in done.stdout
    finally:
        running.docker("volume", "rm", name)


def test_a_link_made_by_a_container_is_not_followed(running: VM, share: Path) -> None:
    """A container that writes to a share makes the next one's source a link into the VM."""
    script = f"rm -r /s/real; ln -s {STATE} /s/real"
    flags = ("--userns", "host", "-v", f"{share}:/s")
    running.docker("run", "--rm", *flags, IMAGE, "sh", "-c", script)
    argv = ("run", "--rm", "-v", f"{share}/real:/s", IMAGE, "ls", "/s")
    done = running.docker(*argv, check=False)
    assert done.returncode != 0 and "engine" not in done.stdout


def test_a_source_swapped_for_a_link_during_starts(running: VM, share: Path) -> None:
    """A container turns a folder of a share into a link and back while others mount it."""
    box = start(running, "--userns", "host", "-v", f"{share}:/s")
    try:
        box.sh(f"ln -s {STATE} /s/link")
        swap = "cd /s; while :; do mv real r; mv link real; mv real link; mv r real; done"
        running.docker("exec", "-d", box.name, "sh", "-c", swap)
        for _ in range(4):
            argv = ("run", "--rm", "-v", f"{share}/real:/s", IMAGE, "ls", "/s")
            done = running.docker(*argv, check=False)
            # a folder is made where nothing stands for a moment: the names may be mixed up
            assert not {"engine", "lost+found"} & set(done.stdout.split())
    finally:
        running.docker("rm", "-f", box.name)
