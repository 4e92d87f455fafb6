"""Copies of folder trees, and their sizes."""

import os
import stat

from engine.volumes import tree


def test_copy_keeps_what_there_is(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "folder").mkdir(parents=True)
    target.mkdir()
    (source / "file").write_text("text")
    os.chmod(source / "file", 0o4711)
    os.utime(source / "file", ns=(1_000_000_001, 2_000_000_002))
    os.link(source / "file", source / "folder" / "same")
    os.symlink("/nowhere", source / "link")
    os.mkfifo(source / "pipe")
    os.utime(source / "folder", ns=(3, 4))
    tree.copy(source, target)
    status = (target / "file").stat()
    assert stat.S_IMODE(status.st_mode) == 0o4711
    assert status.st_mtime_ns == 2_000_000_002
    assert (target / "folder" / "same").stat().st_ino == status.st_ino
    assert os.readlink(target / "link") == "/nowhere"
    assert stat.S_ISFIFO((target / "pipe").stat().st_mode)
    assert (target / "folder").stat().st_mtime_ns == 4


def test_copy_keeps_holes(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    target.mkdir()
    with open(source / "sparse", "wb") as file:
        file.seek(5 << 20)
        file.write(b"end")
        file.truncate(8 << 20)
    tree.copy(source, target)
    copied = target / "sparse"
    assert copied.stat().st_size == 8 << 20
    assert copied.read_bytes() == (source / "sparse").read_bytes()
    assert copied.stat().st_blocks <= (source / "sparse").stat().st_blocks + 16


def test_size_counts_a_linked_file_once_and_follows_nothing(tmp_path):
    (tmp_path / "a").write_bytes(bytes(1000))
    os.link(tmp_path / "a", tmp_path / "b")
    os.symlink("/usr", tmp_path / "link")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "c").write_bytes(bytes(10))
    assert tree.size_of(tmp_path) == 1010 + len("/usr")


def test_empty(tmp_path):
    assert tree.is_empty(tmp_path)
    (tmp_path / "lost+found").mkdir()
    assert tree.is_empty(tmp_path)
    (tmp_path / "x").touch()
    assert not tree.is_empty(tmp_path)
