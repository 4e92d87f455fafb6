"""Requests and paths at random: taken or refused in words; nothing leaves a root."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.containers import archive, untar
from engine.containers.paths import make_in, open_below, resolve_in
from engine.containers.points import parse_bind, parse_mount
from engine.containers.shares import Shares
from engine.errors import EngineError
from tests.support.container_fields import CONFIG, HOST_CONFIG, INSIDE, V1, V2
from tests.support.container_view import asked_record
from tests.support.fuzz import effort

# -- documents ---------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["", "a", "/a", "/", "..", "a:b", "/a:/b:ro", "80", "80/tcp", "1-5/udp", "ALL", "host", "none",
     "container:x", "container:", "default", "always", "on-failure", "bind", "volume", "tmpfs",
     "image", "no-new-privileges", "seccomp=x", "=", "a=b", "-1", "9" * 30, "0.0.0.0", "::1",
     "\x00",
     "é", "size=1m", "json-file", "local", "10m", "true", "KILL", "NONE", "CMD", "CMD-SHELL"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.floats() | WORDS
KEYS = st.sampled_from([*HOST_CONFIG.split(), *CONFIG.split(), *" ".join(INSIDE.values()).split()])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | WORDS, inner, max_size=3),
    max_leaves=8,
)


def bodies() -> st.SearchStrategy[dict[str, Any]]:
    """A few fields of a create request, most with a value that could be."""
    plain = st.dictionaries(st.sampled_from(CONFIG.split()), VALUES, max_size=3)
    inside = st.dictionaries(st.sampled_from(HOST_CONFIG.split()), VALUES, max_size=3)
    return st.tuples(plain, inside).map(lambda pair: {**pair[0], "HostConfig": pair[1]})


@given(bodies(), st.sampled_from([V1, V2]))
@effort(37)
def test_any_create_request(body: dict[str, Any], machine: Any) -> None:
    try:
        record, warnings = asked_record(body, machine)
    except EngineError as error:
        assert error.message and 400 <= error.status < 600
        return
    assert all(isinstance(one, str) for one in warnings)
    assert type(record).from_json(record.to_json()) == record


@given(st.text(alphabet="ab:/.ro,wz\\ ", max_size=20) | WORDS)
@effort(18)
def test_any_bind(text: str) -> None:
    try:
        point = parse_bind(text, Shares(Path("/none")))
    except EngineError:
        return
    assert point.destination.startswith("/") and point.destination != "/"
    assert ".." not in point.destination.split("/")


@given(st.dictionaries(st.sampled_from(["Type", "Source", "Target"]), WORDS, min_size=2))
@effort(12)
def test_any_mount(mount: dict[str, str]) -> None:
    try:
        point = parse_mount(mount, Shares(Path("/none")))
    except EngineError:
        return
    assert point.destination.startswith("/") and point.destination != "/"


# -- paths -------------------------------------------------------------------------------------

PARTS = st.sampled_from(["a", "b", "c", "..", ".", "", "a.b", "-"])
PATHS = st.lists(PARTS, min_size=1, max_size=6).map("/".join)
ANY_PATHS = st.tuples(st.sampled_from(["", "/", "//"]), PATHS).map("".join)


def plant(root: Path, links: list[tuple[str, str]]) -> None:
    """Some folders and files, and links that lead wherever they like."""
    (root / "a/b").mkdir(parents=True)
    (root / "a/c").write_text("x")
    for name, target in links:
        place = root / name.replace("..", "d").strip("/")
        if target and not os.path.lexists(place) and place.parent.is_dir():
            place.symlink_to(target)


@given(st.lists(st.tuples(PATHS, ANY_PATHS), max_size=4), ANY_PATHS)
@effort(15)
def test_no_path_leaves_its_root(links: list[tuple[str, str]], path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        plant(root, links)
        outside = sorted(os.listdir(folder))
        try:
            assert resolve_in(root, path).is_relative_to(root)
            for what in (lambda: open_below(root, path), lambda: make_in(root, path, folder=True)):
                descriptor = what()
                try:
                    where = os.readlink(f"/proc/self/fd/{descriptor}")
                    assert Path(where).is_relative_to(root)
                finally:
                    os.close(descriptor)
        except OSError:
            pass  # nothing there, a file in the way, too many links
        assert sorted(os.listdir(folder)) == outside


@given(st.text(alphabet="ab/.\x00é ", max_size=12))
@effort(12)
def test_any_path_of_a_copy(path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant(Path(folder, "root"), [("a/l", "b"), ("loop", "loop")])
        inside = f"{folder}/root/{path}"
        pieces: list[bytes] = []
        try:
            found = archive.stat_path(inside, "box")
            archive.pack(inside, "box", pieces.append)
        except EngineError:
            return
        assert found.name == (os.path.basename(inside.rstrip("/")))
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
            assert tar.getnames()


NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])


@given(st.lists(st.tuples(NAMES, KINDS, NAMES, st.integers(0, 0o7777)), max_size=5), st.booleans())
@effort(15)
def test_no_tar_writes_beside_its_folder(
    entries: list[tuple[str, bytes, str, int]], keep_kinds: bool
) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, kind, link, mode in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, link, mode
            tar.addfile(info)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        root.mkdir()
        Path(folder, "a").write_text("outside")
        try:
            owner = (os.getuid(), os.getgid())
            pieces = iter([content.getvalue()])
            untar.unpack(str(root), "box", pieces, keep_kinds=keep_kinds, owner=owner)
        except EngineError as error:
            assert error.message
        for one in root.rglob("*"):
            one.lchmod(0o700) if not one.is_symlink() and one.is_dir() else None
        assert sorted(os.listdir(folder)) == ["a", "root"]
        assert Path(folder, "a").read_text() == "outside"


@given(st.binary(max_size=2000))
@effort(8)
def test_no_bytes_make_unpacking_stumble(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            untar.unpack(folder, "box", iter([content]), keep_kinds=False)
        except EngineError as error:
            assert error.message
            return
        assert os.listdir(folder) == [] or content


@pytest.mark.parametrize("path", ["/a\x00b", "\x00"])
def test_a_path_with_a_zero_is_refused(path: str) -> None:
    with pytest.raises(EngineError):
        archive.stat_path(path, "box")
