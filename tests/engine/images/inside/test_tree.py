"""Layers laid over each other, on plain folders (whiteouts: tests/integration/images)."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadRequest, NotFound
from engine.images.inside.changes import changes, summarize
from engine.images.inside.entries import Type
from engine.images.inside.tree import Tree
from engine.snapshots.diff import Kind


def layers_of(tmp_path: Path, *trees: dict[str, str]) -> list[Path]:
    """Folders with files; a value `-> x` is a link to x."""
    folders = []
    for number, tree in enumerate(trees):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, content in tree.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content.startswith("-> "):
                path.symlink_to(content[3:])
            else:
                path.write_text(content)
        folders.append(folder)
    return folders


def test_the_upper_layer_wins(tmp_path: Path) -> None:
    tree = Tree(layers_of(tmp_path, {"etc/a": "1", "etc/b": "22"}, {"etc/a": "333"}))
    entries, total = tree.page("/etc")
    assert [(e.path, e.size, e.layer) for e in entries] == [("/etc/a", 3, 1), ("/etc/b", 2, 0)]
    assert total == 2


def test_pages_continue_behind_a_name(tmp_path: Path) -> None:
    tree = Tree(layers_of(tmp_path, {f"f{n}": "" for n in range(10)}))
    first, total = tree.page("/", "", 4)
    second, _ = tree.page("/", first[-1].path[1:], 100)
    assert total == 10
    assert [e.path for e in first + second] == [f"/f{n}" for n in range(10)]


def test_links_are_shown_and_never_followed(tmp_path: Path) -> None:
    tree = Tree(layers_of(tmp_path, {"host": "-> /", "etc/passwd": "x"}))
    entry, _ = tree.find("/host")
    assert (entry.type, entry.target) == (Type.LINK, "/")
    with pytest.raises(NotFound, match="no file /host/etc/passwd"):
        tree.find("/host/etc/passwd")
    with pytest.raises(BadRequest, match="/host is a symlink, not a directory"):
        tree.folder("/host")


@pytest.mark.parametrize("path", ["../x", "/a/../../etc", "a\0b"])
def test_paths_stay_inside(tmp_path: Path, path: str) -> None:
    with pytest.raises(BadRequest, match="invalid path"):
        Tree(layers_of(tmp_path, {"a": ""})).find(path)


def test_changes_say_what_a_layer_hides(tmp_path: Path) -> None:
    layers = layers_of(
        tmp_path, {"etc/a": "1234", "etc/sub/x": "", "dir/f": "55555"}, {"etc/a": "7", "new": "88"}
    )
    found = [(c.kind, c.entry.path, c.hidden) for c in changes(layers)]
    assert found == [(Kind.MODIFIED, "/etc/a", 4), (Kind.ADDED, "/new", 0)]
    summary = summarize(layers)
    assert (summary.added, summary.modified, summary.written, summary.hidden) == (1, 1, 3, 4)


def test_a_file_in_a_folders_place_hides_all_of_it(tmp_path: Path) -> None:
    layers = layers_of(tmp_path, {"dir/f": "55555", "dir/sub/g": "1"}, {"dir": "now a file"})
    [change] = changes(layers)
    assert (change.kind, change.hidden) == (Kind.MODIFIED, 6)


def test_changes_continue_behind_any_path(tmp_path: Path) -> None:
    names = ["a/1", "a/2", "a/b/3", "a-b", "a.b/4", "b", "c/d/e/5"]
    layers = layers_of(tmp_path, {}, dict.fromkeys(names, ""))
    whole = [c.entry.path for c in changes(layers)]
    assert len(whole) == len(names) + len({"a", "a/b", "a.b", "c", "c/d", "c/d/e"})
    for number, path in enumerate(whole):
        assert [c.entry.path for c in changes(layers, path)] == whole[number + 1 :]
