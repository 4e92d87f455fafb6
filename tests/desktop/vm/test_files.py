"""Disk, keys, image and shares: what a boot needs on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from desktop.failure import ExitCode, Failure
from desktop.vm import disk, image, keys, prepare


def test_the_disk_is_sparse_and_only_grows(tmp_path: Path) -> None:
    path = tmp_path / "data.raw"
    assert disk.prepare(path, 4)
    assert path.stat().st_size == 4 << 30
    assert disk.used_bytes(path) < 1 << 20
    with path.open("r+b") as file:
        file.write(b"kept")
    assert not disk.prepare(path, 6)
    assert not disk.prepare(path, 4)
    assert disk.size_gib(path) == 6
    with path.open("rb") as file:
        assert file.read(4) == b"kept"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_host_is_told_before_a_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(Failure, match="has no room") as caught:
        disk.prepare(tmp_path / "data.raw", 4)
    assert "100 MB free" in caught.value.why and "Make room" in caught.value.hint
    assert not (tmp_path / "data.raw").exists()


def test_a_disk_in_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="can't be prepared"):
        disk.prepare(tmp_path / "none" / "data.raw", 4)


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    pair = keys.prepare(tmp_path / "host", tmp_path / "user")
    before = [path.read_bytes() for path in (pair.host, pair.user, pair.user_public)]
    assert before[0].startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    assert before[2].startswith(b"ssh-ed25519 ") and before[0] != before[1]
    assert pair.host.stat().st_mode & 0o777 == 0o600
    keys.prepare(tmp_path / "host", tmp_path / "user")
    assert [path.read_bytes() for path in (pair.host, pair.user, pair.user_public)] == before


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "image"
    folder.mkdir()
    files = {}
    for name in ("vmlinuz", "initrd", "rootfs.erofs"):
        (folder / name).write_bytes(name.encode() * 100)
        digest = hashlib.sha256(name.encode() * 100).hexdigest()
        files[name] = {"size": len(name) * 100, "sha256": digest}
    manifest = {"format": 1, "arch": "x86_64", "files": files, "cmdline": "quiet"}
    manifest["kernel"] = {"version": "6.12"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_whole_image_is_found(built: Path, tmp_path: Path) -> None:
    found = image.find(built, "x86_64", tmp_path / "checked.json")
    assert (found.cmdline, found.kernel_version) == ("quiet", "6.12")
    assert set(json.loads((tmp_path / "checked.json").read_text())) == {
        "vmlinuz",
        "initrd",
        "rootfs.erofs",
    }


def test_damage_is_found_though_the_size_is_right(built: Path, tmp_path: Path) -> None:
    checked = tmp_path / "checked.json"
    image.find(built, "x86_64", checked)
    path = built / "rootfs.erofs"
    path.write_bytes(b"X" + path.read_bytes()[1:])
    os.utime(path, ns=(1, 1))
    with pytest.raises(Failure, match=r"rootfs\.erofs is damaged") as caught:
        image.find(built, "x86_64", checked)
    assert "scripts/build-vm" in caught.value.hint
    assert caught.value.exit_code == ExitCode.MISSING


@pytest.mark.parametrize("name", ["vmlinuz", "initrd", "rootfs.erofs", "manifest.json"])
def test_what_is_missing_is_named(built: Path, name: str) -> None:
    (built / name).unlink()
    with pytest.raises(Failure, match=name) as caught:
        image.find(built, "x86_64")
    assert caught.value.exit_code == ExitCode.MISSING


def test_a_cut_file_is_damaged(built: Path) -> None:
    os.truncate(built / "vmlinuz", 10)
    with pytest.raises(Failure, match="damaged"):
        image.find(built, "x86_64")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 9, "files": {}}'])
def test_a_manifest_that_isnt_one(built: Path, text: str) -> None:
    (built / "manifest.json").write_text(text)
    with pytest.raises(Failure, match=r"manifest\.json"):
        image.find(built, "x86_64")


def test_an_image_for_another_computer(built: Path) -> None:
    with pytest.raises(Failure, match="doesn't fit"):
        image.find(built, "aarch64")


def test_shares_are_folders_and_dont_lie_in_each_other(tmp_path: Path) -> None:
    for name in ("a", "a/b", "a-b"):
        (tmp_path / name).mkdir()
    paths = tuple(str(tmp_path / name) for name in ("a/b", "a-b", "a"))
    shares = prepare.plan_shares(paths)
    assert [(each.tag, each.path) for each in shares] == [
        ("share0", str(tmp_path / "a-b")),
        ("share1", str(tmp_path / "a")),
    ]
    assert [each.path for each in prepare.plan_shares(("/", "/root"))] == ["/"]


def test_a_share_that_isnt_there(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="doesn't exist") as caught:
        prepare.plan_shares((str(tmp_path / "none"),))
    assert caught.value.exit_code == ExitCode.SETTING
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="isn't a folder"):
        prepare.plan_shares((str(tmp_path / "file"),))
