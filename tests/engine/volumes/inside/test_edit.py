"""Single files of a volume: looked at, written, deleted."""

import os
import stat

import pytest

from engine.errors import BadRequest, Conflict, NotFound
from engine.volumes.inside import browse, edit


def test_a_page_leaves_out_nothing_and_repeats_nothing(tmp_path):
    names = [f"n{number:03}" for number in range(25)]
    for name in names:
        (tmp_path / name).touch()
    seen, after = [], ""
    while True:
        found, total = browse.page(tmp_path, "/", after, 10)
        assert total == 25
        seen += [one.path[1:] for one in found]
        if len(found) < 10:
            break
        after = seen[-1]
    assert seen == names


def test_links_are_followed_inside(tmp_path):
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "folder/file").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    (root / "short").symlink_to("/folder")
    (root / "out").symlink_to("../secret")
    (root / "loop").symlink_to("loop")
    entry, content = browse.open_file(root, "/short/file")
    with content:
        assert content.read(100) == b"inside"
    assert entry.path == "/short/file"
    with pytest.raises(NotFound, match="the volume has no file /out"):
        browse.open_file(root, "/out")
    with pytest.raises(BadRequest, match="too many levels"):
        browse.open_file(root, "/loop")
    with pytest.raises(NotFound, match="removed meanwhile"):
        browse.page(tmp_path / "gone", "/", "", 1)


def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadRequest, match="/pipe is a fifo; only a file has content"):
        browse.open_file(tmp_path, "/pipe")
    with pytest.raises(BadRequest, match="is a fifo"):
        edit.write(tmp_path, "/pipe", iter([b"x"]))


def test_written_in_one_step(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o640)
    held = file.open()
    entry = edit.write(tmp_path, "file", iter([b"new ", b"text"]))
    assert (entry.size, entry.mode) == (8, 0o640)
    assert (file.read_text(), held.read()) == ("new text", "old")
    held.close()
    assert edit.write(tmp_path, "/other", iter([]), edit.Owner(mode=0o600)).mode == 0o600
    assert edit.write(tmp_path, "/third", iter([])).mode == 0o644
    assert sorted(os.listdir(tmp_path)) == ["file", "other", "third"]


class Broken(Exception):
    pass


def test_broken_off(tmp_path):
    (tmp_path / "file").write_text("old")

    def pieces():
        yield b"new"
        raise Broken

    for path in ("/file", "/new"):
        with pytest.raises(Broken):
            edit.write(tmp_path, path, pieces())
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_folders(tmp_path):
    made = edit.make_folder(tmp_path, "/a", edit.Owner(mode=0o711))
    assert (made.type, made.mode) == ("directory", 0o711)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o711
    with pytest.raises(Conflict, match="/a is there already"):
        edit.make_folder(tmp_path, "/a")
    (tmp_path / "a/b").mkdir()
    with pytest.raises(Conflict, match="/a is not empty"):
        edit.delete(tmp_path, "/a", recursive=False)
    edit.delete(tmp_path, "/a", recursive=True)
    assert os.listdir(tmp_path) == []
    with pytest.raises(BadRequest, match="not / itself"):
        edit.delete(tmp_path, "/", recursive=True)


def test_cleared(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").touch()
    (tmp_path / "link").symlink_to("a")
    edit.clear(tmp_path)
    assert os.listdir(tmp_path) == []
