"""Copies of trees by descriptor."""

import os
import stat

import pytest

from engine.errors import EngineError
from engine.linux.removal import remove_tree
from engine.volumes.inside.copying import Copier, extents
from engine.volumes.inside.progress import Progress
from engine.volumes.inside.walk import Stopped, measure, walk


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/file").write_text("text")
    os.chmod(folder / "sub/file", 0o4711)
    os.utime(folder / "sub/file", ns=(1_000_000_001, 2_000_000_002))
    os.link(folder / "sub/file", folder / "same")
    (folder / "link").symlink_to("/nowhere")
    os.link(folder / "link", folder / "link2", follow_symlinks=False)
    os.mkfifo(folder / "pipe")
    os.utime(folder / "sub", ns=(3, 4))
    os.chmod(folder, 0o750)
    return folder


def copy(source, target, progress=None):
    target.mkdir(exist_ok=True)
    fds = [os.open(one, os.O_RDONLY | os.O_DIRECTORY) for one in (source, target)]
    try:
        copier = Copier(*fds, progress or Progress())
        copier.run()
        return copier
    finally:
        for fd in fds:
            os.close(fd)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_what_is_kept(source, tmp_path):
    before, progress = descriptors(), Progress()
    copy(source, tmp_path / "to", progress)
    target = tmp_path / "to"
    status = (target / "sub/file").stat()
    assert stat.S_IMODE(status.st_mode) == 0o4711
    assert (status.st_mtime_ns, status.st_nlink) == (2_000_000_002, 2)
    assert (target / "same").stat().st_ino == status.st_ino
    assert os.readlink(target / "link") == "/nowhere"
    assert os.lstat(target / "link").st_ino == os.lstat(target / "link2").st_ino
    assert stat.S_ISFIFO(os.lstat(target / "pipe").st_mode)
    assert (target / "sub").stat().st_mtime_ns == 4
    assert stat.S_IMODE(target.stat().st_mode) == 0o750
    assert (progress.bytes, progress.files) == (4, 3)
    assert descriptors() == before


def test_large_files_and_holes(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    contents = {}
    for number in range(10):
        contents[f"large{number}"] = os.urandom(1000) * (2000 + number)
        (source / f"large{number}").write_bytes(contents[f"large{number}"])
    with open(source / "sparse", "wb") as file:
        file.seek(5 << 20)
        file.write(b"end")
        file.truncate(8 << 20)
    progress = Progress()
    copy(source, tmp_path / "to", progress)
    for name, content in contents.items():
        assert (tmp_path / "to" / name).read_bytes() == content
    copied = tmp_path / "to/sparse"
    assert copied.read_bytes() == (source / "sparse").read_bytes()
    assert copied.stat().st_blocks <= (source / "sparse").stat().st_blocks + 16
    assert progress.bytes == sum(map(len, contents.values())) + (8 << 20)


def test_stopped(source, tmp_path):
    before, progress = descriptors(), Progress()
    progress.stop()
    with pytest.raises(Stopped):
        copy(source, tmp_path / "to", progress)
    assert descriptors() == before


def test_a_failure_in_a_thread_is_the_copys(tmp_path):
    """Something has the name of a large file's folder: the copy ends, with the true reason."""
    source, target = tmp_path / "source", tmp_path / "to"
    source.mkdir()
    target.mkdir()
    for number in range(20):
        (source / f"f{number:02}").write_bytes(bytes(2 << 20))
    (target / "f10").touch()
    before = descriptors()
    with pytest.raises(FileExistsError):
        copy(source, target)
    assert descriptors() == before


def test_too_deep(tmp_path):
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1005):  # deeper than what clears folders away after tests can go
        os.mkdir("d", dir_fd=deep)
        below = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    top, before = os.open(tmp_path, os.O_RDONLY), descriptors()
    with pytest.raises(EngineError, match="too deep: 1000 folders at most"):
        list(walk(top))
    assert descriptors() == before
    os.close(top)
    assert remove_tree(tmp_path / "d")


def test_sums(source):
    fd = os.open(source, os.O_RDONLY)
    found = measure(fd)
    os.close(fd)
    assert (found.size, found.files, found.folders) == (4 + len("/nowhere"), 5, 1)


def test_extents(tmp_path):
    with open(tmp_path / "file", "wb+") as file:
        assert list(extents(file.fileno(), 0)) == []
        file.truncate(1 << 20)
        assert list(extents(file.fileno(), 1 << 20)) == []
        os.pwrite(file.fileno(), b"x" * 4096, 1 << 19)
        assert list(extents(file.fileno(), 1 << 20)) == [(1 << 19, (1 << 19) + 4096)]
