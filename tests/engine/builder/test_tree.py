"""What a source of COPY means in a tree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.builder.globs import BadPattern
from engine.builder.tree import NoSource, Tree


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    for name in ("x/a.txt", "x/y/b.txt", "x/y/z/c.txt", "w/d.txt", "w/e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(".")
    tree = Tree(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    yield tree
    tree.close()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("x/a.txt", ["x/a.txt"]),
        ("/x/../w", ["w"]),
        ("*/*.txt", ["w/d.txt", "x/a.txt"]),
        ("x/?/*", ["x/y/b.txt", "x/y/z"]),
        ("no*", []),
        ("**/b.txt", []),
    ],
)
def test_find(tree: Tree, pattern: str, found: list[str]) -> None:
    assert tree.find(pattern) == found


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("**/*.txt", ["w/d.txt", "x/a.txt", "x/y/b.txt", "x/y/z/c.txt"]),
        ("x/**/c.txt", ["x/y/z/c.txt"]),
        ("x/**", ["x/a.txt", "x/y"]),
        ("**/y", ["x/y"]),
        ("x/y", ["x/y"]),
    ],
)
def test_two_stars_go_through_folders(tree: Tree, pattern: str, found: list[str]) -> None:
    assert tree.find(pattern, deep=True) == found


def test_what_is_not_there(tree: Tree) -> None:
    with pytest.raises(NoSource):
        tree.find("x/missing")
    with pytest.raises(BadPattern):
        tree.find("x/a[")
