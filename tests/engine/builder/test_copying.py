"""COPY's placing: what lands in a layer, over what the image has."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.builder.copying import Order, Placing
from engine.builder.ownership import Owner, parse_mode
from engine.builder.tree import Item, NoSource, Tree, clean, digest
from engine.errors import BadRequest

ME = Owner(os.getuid(), os.getgid())
FOLDER = os.O_PATH | os.O_DIRECTORY


class Bench:
    """A source, an image below, and the layer that is filled."""

    def __init__(self, folder: Path) -> None:
        self.source, self.below, self.layer = (
            folder / name for name in ("source", "below", "layer")
        )
        for each in (self.source, self.below, self.layer):
            each.mkdir()
        self.trees: list[Tree] = []

    def tree(self, path: Path) -> Tree:
        self.trees.append(Tree(os.open(path, FOLDER)))
        return self.trees[-1]

    def write(self, path: str, content: str = "x", mode: int = 0o644) -> Path:
        place = self.source / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        place.chmod(mode)
        return place

    def copy(self, sources: list[str], destination: str, **order: object) -> None:
        tree = self.tree(self.source)
        items = [list(tree.items(path, None, None)) for each in sources for path in tree.find(each)]
        asked = Order(destination, **{"owner": ME, **order})  # type: ignore[arg-type]
        Placing(self.tree(self.below), self.layer, asked).run(items)

    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.layer))
            for path in self.layer.rglob("*")
            if not path.is_dir() or path.is_symlink()
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for tree in bench.trees:
        tree.close()


def test_a_file_becomes_the_destination_or_goes_into_it(bench: Bench) -> None:
    bench.write("a")
    bench.copy(["a"], "/one")
    bench.copy(["a"], "/two/")
    (bench.below / "three").mkdir()
    bench.copy(["a"], "/three")
    assert bench.files() == ["one", "three/a", "two/a"]


def test_a_folder_gives_its_content(bench: Bench) -> None:
    bench.write("d/x/one")
    bench.write("d/two")
    bench.copy(["d"], "/to")
    assert bench.files() == ["to/two", "to/x/one"]


def test_the_image_s_own_links_lead_to_the_destination(bench: Bench) -> None:
    bench.write("a")
    (bench.below / "usr/lib").mkdir(parents=True)
    (bench.below / "lib").symlink_to("/usr/lib")
    bench.copy(["a"], "/lib/")
    assert bench.files() == ["usr/lib/a"]


def test_with_link_the_image_isn_t_looked_at(bench: Bench) -> None:
    bench.write("a")
    (bench.below / "lib").symlink_to("/usr/lib")
    bench.copy(["a"], "/lib/", alone=True)
    assert bench.files() == ["lib/a"]


def test_no_link_leads_out(bench: Bench, tmp_path: Path) -> None:
    bench.write("a")
    outside = tmp_path / "outside"
    outside.mkdir()
    (bench.below / "out").symlink_to(f"../../..{outside}")
    bench.copy(["a"], "/out/")
    assert list(outside.iterdir()) == []
    (bench.source / "secret").symlink_to("../outside/secret")
    (outside / "secret").write_text("secret")
    with pytest.raises(NoSource):
        bench.copy(["secret"], "/x")


def test_a_source_s_own_link_is_followed_and_those_in_a_folder_stay(bench: Bench) -> None:
    bench.write("d/real", "content")
    (bench.source / "d/link").symlink_to("real")
    bench.copy(["d/link"], "/one")
    bench.copy(["d"], "/two")
    assert (bench.layer / "one").read_text() == "content"
    assert os.readlink(bench.layer / "two/link") == "real"


def test_existing_folders_keep_mode_and_time(bench: Bench) -> None:
    bench.write("a")
    (bench.below / "etc").mkdir(mode=0o711)
    os.chmod(bench.below / "etc", 0o711)
    os.utime(bench.below / "etc", (1000, 1000))
    bench.copy(["a"], "/etc/new/a", stamp=5_000_000_000)
    etc, new = os.stat(bench.layer / "etc"), os.stat(bench.layer / "etc/new")
    assert (stat.S_IMODE(etc.st_mode), etc.st_mtime) == (0o711, 1000)
    assert (stat.S_IMODE(new.st_mode), new.st_mtime) == (0o755, 5)


def test_a_file_never_replaces_a_folder_nor_the_reverse(bench: Bench) -> None:
    bench.write("a")
    bench.write("d/b")
    (bench.below / "x/a").mkdir(parents=True)
    with pytest.raises(BadRequest, match="cannot copy to directory: /x/a"):
        bench.copy(["a"], "/x/")
    (bench.below / "y").write_text("")
    with pytest.raises(BadRequest, match="cannot copy to non-directory: /y"):
        bench.copy(["d"], "/y")


def test_several_sources_need_a_folder(bench: Bench) -> None:
    bench.write("a")
    bench.write("b")
    with pytest.raises(BadRequest, match="the destination must be a directory and end with a /"):
        bench.copy(["a", "b"], "/x")
    bench.copy(["[ab]"], "/x/")
    assert bench.files() == ["x/a", "x/b"]


def test_modes_times_and_hard_links_are_kept(bench: Bench) -> None:
    place = bench.write("d/a", mode=0o4750)
    os.utime(place, ns=(1, 123_456_789))
    os.link(place, bench.source / "d/b")
    bench.copy(["d"], "/d")
    first, second = os.stat(bench.layer / "d/a"), os.stat(bench.layer / "d/b")
    assert stat.S_IMODE(first.st_mode) == 0o4750
    assert first.st_mtime_ns == 123_456_789
    assert first.st_ino == second.st_ino


def test_a_mode_that_is_asked_for(bench: Bench) -> None:
    bench.write("d/a", mode=0o600)
    bench.copy(["d"], "/d", mode=parse_mode("u=rwX,go=rX"))
    assert stat.S_IMODE(os.stat(bench.layer / "d").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(bench.layer / "d/a").st_mode) == 0o644


def test_given_files_become_the_layer_s_own(bench: Bench) -> None:
    place = bench.write("a")
    tree = bench.tree(bench.source)
    tree.given = True
    Placing(bench.tree(bench.below), bench.layer, Order("/a", owner=ME)).run(
        [list(tree.items("a", None, None))]
    )
    assert os.stat(bench.layer / "a").st_ino == place.stat().st_ino


def test_given_files_are_never_one_file_twice(bench: Bench) -> None:
    bench.write("a")
    (bench.source / "l").symlink_to("a")
    tree = bench.tree(bench.source)
    tree.given = True
    Placing(bench.tree(bench.below), bench.layer, Order("/x/", owner=ME)).run(
        [list(tree.items(name, None, None)) for name in ("a", "l")]
    )
    assert bench.files() == ["x/a", "x/l"]
    assert os.stat(bench.layer / "x/a").st_ino != os.stat(bench.layer / "x/l").st_ino


def test_a_new_destination_has_the_source_s_mode_only_if_asked(bench: Bench) -> None:
    bench.write("d/a")
    (bench.source / "d").chmod(0o700)
    bench.copy(["d"], "/one")
    bench.copy(["d"], "/two", dressed=True)
    modes = [stat.S_IMODE(os.stat(bench.layer / name).st_mode) for name in ("one", "two")]
    assert modes == [0o755, 0o700]


def items(bench: Bench, path: str = "") -> list[Item]:
    return list(bench.tree(bench.source).items(path, None, None))


def test_the_digest_hears_content_and_metadata_but_no_times(bench: Bench) -> None:
    place = bench.write("d/a", "one")
    before = digest(items(bench))
    os.utime(place, (1, 1))
    os.utime(bench.source / "d", (1, 1))
    assert digest(items(bench)) == before
    place.chmod(0o600)
    changed = digest(items(bench))
    assert changed != before
    place.write_text("two")
    assert digest(items(bench)) not in (before, changed)


def test_patterns_choose_within_one_folder(bench: Bench) -> None:
    for name in ("a.txt", "b.txt", "d/c.txt", "d/e.md"):
        bench.write(name)
    tree = bench.tree(bench.source)
    assert tree.find("*.txt") == ["a.txt", "b.txt"]
    assert tree.find("*/*.txt") == ["d/c.txt"]
    assert tree.find("d/[a-c]*") == ["d/c.txt"]
    assert tree.find("*.none") == []
    with pytest.raises(NoSource):
        tree.find("none")


@pytest.mark.parametrize(
    ("path", "expected"), [("/a/./b/", "a/b"), ("../x", "x"), (".", ""), ("a/../../b", "b")]
)
def test_sources_are_taken_from_the_root(path: str, expected: str) -> None:
    assert clean(path) == expected


@pytest.mark.parametrize(
    ("text", "mode", "folder", "expected"),
    [
        ("755", 0o600, False, 0o755),
        ("04711", 0o600, False, 0o4711),
        ("u=rwX,go=rX", 0o600, True, 0o755),
        ("+x", 0o644, False, 0o755),
        ("a-w", 0o666, False, 0o444),
        ("g=u", 0o640, False, 0o660),
        ("u+s,g+s", 0o755, False, 0o6755),
        ("o=", 0o777, False, 0o770),
        ("+t", 0o755, True, 0o1755),
        ("ug+rw-x", 0o710, False, 0o660),
    ],
)
def test_modes(text: str, mode: int, folder: bool, expected: int) -> None:
    assert parse_mode(text)(mode, folder) == expected


@pytest.mark.parametrize("text", ["", "8", "u", "x=r", "u=rwz", "77777"])
def test_modes_that_are_none(text: str) -> None:
    with pytest.raises(BadRequest, match="invalid chmod parameter"):
        parse_mode(text)
