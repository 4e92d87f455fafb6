"""Writable layers on real overlay mounts: life cycle, many layers, changes, and their tar."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.content.digest import chain_ids
from engine.errors import EngineError, NotFound
from engine.linux.mounts import mount, unmount
from engine.snapshots.diff import Change, Kind, tar_of
from engine.snapshots.store import Store
from engine.snapshots.unpack import unpack
from tests.support.archives import digest
from tests.support.archives import tar_of as archive

pytestmark = pytest.mark.root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "root")
    yield store
    store.close()


def add_layers(store: Store, *tars: bytes) -> tuple[str, ...]:
    chain = chain_ids(f"sha256:{digest(tar)}" for tar in tars)
    for tar, chain_id in zip(tars, chain, strict=True):
        folder = store.layers.begin()
        result = unpack(io.BytesIO(tar).read, folder / "diff")
        store.layers.commit(folder, chain_id, result.diff_id, result.size, result.entries)
    return chain


async def test_life_cycle(store: Store, tmp_path: Path) -> None:
    chain = add_layers(store, archive({"a": b"1", "b": b"2"}))
    released: list[tuple[str, ...]] = []

    async def release(chain: object) -> None:
        released.append(tuple(chain))  # type: ignore[arg-type]

    store.released = release
    await store.prepare("box", chain)
    with pytest.raises(FileExistsError):
        await store.prepare("box", chain)
    with pytest.raises(NotFound):
        await store.prepare("other", [*chain, "sha256:" + "0" * 64])
    target = tmp_path / "m"
    target.mkdir()
    mount(store.mount_of("box", target))
    try:
        (target / "new").write_bytes(b"x" * 100)
        (target / "a").unlink()
    finally:
        unmount(target)
    assert await store.usage("box") == (100, 2)
    again = Store(tmp_path / "root")  # as after a restart
    assert list(again.keys()) == ["box"] and again.chain("box") == chain
    again.close()
    await store.remove("box")
    await store.remove("box")
    assert released == [chain] and list(store.keys()) == []


@pytest.mark.parametrize("key", ["../x", "", ".x", "a/b", "a\0b"])
async def test_keys_are_plain_names(store: Store, key: str) -> None:
    with pytest.raises(ValueError):
        await store.prepare(key, [])


async def test_many_layers_below_a_long_root(tmp_path: Path) -> None:
    root = tmp_path / ("long" * 20) / "with,odd:name\\s"
    root.mkdir(parents=True)
    store = Store(root)
    try:
        chain = add_layers(store, *(archive({f"f{number}": b""}) for number in range(200)))
        await store.prepare("all", chain)
        with pytest.raises(EngineError, match="200 layers"):
            store.mount_of("all", tmp_path)
        await store.prepare("box", chain[:150])
        target = tmp_path / "m"
        target.mkdir()
        mount(store.mount_of("box", target))
        try:
            assert len(set(os.listdir(target)) - set(os.listdir(store.layers.ground))) == 150
        finally:
            unmount(target)
    finally:
        store.close()


async def test_changes_and_their_tar(store: Store, tmp_path: Path) -> None:
    base = archive({"d/keep": b"1", "d/edit": b"2", "d/gone": b"3", "o/old": b"4", "t/x": b""})
    chain = add_layers(store, base)
    await store.prepare("box", chain)
    target = tmp_path / "m"
    target.mkdir()
    mount(store.mount_of("box", target))
    try:
        (target / "d/edit").write_bytes(b"changed")
        (target / "d/gone").unlink()
        (target / "new").mkdir()
        (target / "new/file").write_bytes(b"n")
        os.link(target / "new/file", target / "new/hard")
        os.symlink("file", target / "new/soft")
        (target / "o/old").unlink()
        (target / "o").rmdir()
        (target / "o").mkdir()
        (target / "o/fresh").write_bytes(b"f")
        os.utime(target / "new/file", ns=(5, 1_234_567_890_123_456_789))
        os.chmod(target / "new/file", 0o4711)
    finally:
        unmount(target)
    assert list(store.changes("box")) == [
        Change("/d", Kind.MODIFIED),
        Change("/d/edit", Kind.MODIFIED),
        Change("/d/gone", Kind.DELETED),
        Change("/new", Kind.ADDED),
        Change("/new/file", Kind.ADDED),
        Change("/new/hard", Kind.ADDED),
        Change("/new/soft", Kind.ADDED),
        Change("/o", Kind.MODIFIED),
        Change("/o/fresh", Kind.ADDED),
        Change("/o/old", Kind.DELETED),
    ]
    first, second = b"".join(store.diff("box")), b"".join(store.diff("box"))
    assert first == second and len(first) % 10240 == 0
    copy = tmp_path / "copy"
    copy.mkdir()
    result = unpack(io.BytesIO(first).read, copy)
    assert result.diff_id == f"sha256:{digest(first)}"
    assert b"".join(tar_of(copy, layer=True)) == first
    assert (copy / "new/file").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert (copy / "new/hard").stat().st_ino == (copy / "new/file").stat().st_ino
    assert os.getxattr(copy / "o", "trusted.overlay.opaque") == b"y"


def test_half_made_layers_are_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.layers.begin()
    (folder / "diff/file").write_bytes(b"half")
    (tmp_path / "layers" / ("a" * 64)).mkdir()  # no layer.json: died between two steps
    store.close()
    store = Store(tmp_path)
    assert list(store.layers) == [] and os.listdir(tmp_path / "layers") == []
    store.close()


def test_synced_layers_are_no_suspects(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (chain_id,) = add_layers(store, archive({"a": b"1"}))
    store.layers.sync()
    assert (store.layers.diff(chain_id).parent / "synced").exists()
    assert store.layers.suspects() == set()
    store.close()
