"""What goes into the root file system: libraries, Python, our own files, the welcome image."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from image_build import debian, elf, python_files, rootfs, welcome
from image_build.errors import BuildError


def test_a_programs_libraries_are_found_with_theirs(tmp_path: Path) -> None:
    program = Path(sys.executable).resolve()
    names = elf.needed(program.read_bytes())
    assert "libc.so.6" in names
    with pytest.raises(BuildError, match="which none of the packages brings"):
        elf.library_closure([program], [tmp_path])


def test_package_archives_tell_name_and_version() -> None:
    name = "busybox-static_1%3a1.37.0-6+b9_arm64.deb"
    assert debian.parse_archive_name(name) == ("busybox-static", "1:1.37.0-6+b9")
    assert debian.parse_archive_name("lock") is None


def test_package_sets_of_last_week_are_dropped(tmp_path: Path) -> None:
    for name, age in (("packages-amd64-1", debian.CACHE_AGE + 60), ("packages-amd64-2", 60)):
        listing = tmp_path / name / ".versions"
        listing.parent.mkdir()
        listing.write_text("crun 1.21\n")
        os.utime(listing, (time.time() - age,) * 2)
    debian.remove_stale(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["packages-amd64-2"]


def test_the_library_is_trimmed_by_patterns() -> None:
    drop = ["test", "*/tests", "lib-dynload/_test*", "turtle.py"]
    assert python_files.is_dropped("test/support/x.py", drop)
    assert python_files.is_dropped("unittest/tests/a.py", drop)
    assert python_files.is_dropped("lib-dynload/_testcapi.cpython-313.so", drop)
    assert not python_files.is_dropped("asyncio/base_events.py", drop)
    assert not python_files.is_dropped("lib-dynload/_ssl.cpython-313.so", drop)


def test_wheels_are_unpacked_without_their_surplus(tmp_path: Path) -> None:
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("x/__init__.py", "")
        archive.writestr("x/a.c", "")
        archive.writestr("x-1.dist-info/METADATA", "")
    python_files.unpack_wheels([wheel], tmp_path / "out", ["*.c", "*.dist-info/*"])
    found = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert found == ["__init__.py"]


def test_our_files_win_over_the_packages(tmp_path: Path) -> None:
    source, root = tmp_path / "ours", tmp_path / "root"
    (source / "sbin").mkdir(parents=True)
    (source / "sbin/poweroff").write_text("#!/bin/sh\n")
    (source / "sbin/poweroff").chmod(0o700)
    (source / "sbin/halt").symlink_to("poweroff")
    (root / "sbin").mkdir(parents=True)
    (root / "sbin/poweroff").symlink_to("busybox")
    rootfs.copy_over(source, root)
    assert (root / "sbin/poweroff").stat().st_mode & 0o777 == 0o755
    assert not (root / "sbin/poweroff").is_symlink()
    assert (root / "sbin/halt").readlink() == Path("poweroff")


def test_busybox_never_hides_a_real_program(tmp_path: Path) -> None:
    for folder in ("usr/bin", "usr/sbin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/sbin/modprobe").symlink_to("../bin/kmod")
    rootfs.link_applets(tmp_path, ["modprobe", "sh", "init"])
    assert sorted(path.name for path in (tmp_path / "usr/bin").iterdir()) == ["sh"]


def test_a_pattern_that_matches_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="usr/bin/gone"):
        rootfs.copy_kept(tmp_path, tmp_path / "root", ["usr/bin/gone"])


def test_the_welcome_image_is_an_archive_that_docker_loads() -> None:
    content = welcome.archive(b"ELF", ["busybox", "sh", "cat", "httpd"], "aarch64")
    assert content == welcome.archive(b"ELF", ["busybox", "sh", "cat", "httpd"], "aarch64")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        (entry,) = json.loads(read(tar, "manifest.json"))
        config = json.loads(read(tar, entry["Config"]))
        layer = read(tar, entry["Layers"][0])
    assert entry["RepoTags"] == ["cove/welcome:latest"]
    assert config["architecture"] == "arm64"
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getmember("bin/sh").linkname == "busybox"
        assert tar.getmember("tmp").mode == 0o1777
        assert b"Welcome to Cove." in read(tar, config["config"]["Cmd"][1].lstrip("/"))


def read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()
