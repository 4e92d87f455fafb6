"""Trees are deleted whatever their shape."""

from __future__ import annotations

import os
from pathlib import Path

from engine.linux.removal import remove_tree


def make_deep(top: Path, depth: int) -> None:
    """Folders in each other, some with a file beside, deeper than a path can name."""
    fd = os.open(top, os.O_RDONLY)
    for level in range(depth):
        if level % 20 == 0:
            os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
        os.mkdir("deep", dir_fd=fd)
        below = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def test_a_tree_deeper_than_any_path(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    make_deep(top, 1100)
    (top / ".removed-0").write_text("a name that the removal would like to use")
    assert remove_tree(top)
    assert not top.exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True)
    (top / "sub/link").symlink_to(kept)
    assert remove_tree(top)
    assert (kept / "file").exists()
    (tmp_path / "link").symlink_to(kept)
    assert not remove_tree(tmp_path / "link")
    assert (kept / "file").exists()


def test_what_is_not_there_is_fine(tmp_path: Path) -> None:
    assert remove_tree(tmp_path / "nothing")
