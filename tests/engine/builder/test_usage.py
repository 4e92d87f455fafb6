"""The cache's rows and its pruning, on real stores without a network or a runtime."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.builder import usage
from engine.builder.records import Entry, Kind, Records
from engine.builder.workshop import Leases, Workshop
from engine.content.digest import of
from engine.database import Database
from engine.errors import BadRequest
from engine.events import Events
from engine.filters import Filters
from engine.images.model import Layer
from engine.images.store import Store as Images
from engine.snapshots.store import Store as Snapshots

PLAIN = "application/vnd.docker.image.rootfs.diff.tar"


class Bench:
    """A workshop with layers that are made by hand."""

    def __init__(self, root: Path) -> None:
        self.database = Database(root / "engine.db")
        snapshots = Snapshots(root)
        self.images = Images(root, self.database, snapshots, Events())
        self.records = Records(self.database)
        self.images.kept_layers = self.records.layers
        self.images.kept_blobs = self.records.blobs
        parts: Any = None  # no step runs here
        self.shop = Workshop(root, self.images, snapshots, parts, parts, self.records)

    async def layer(self, name: str, size: int, used: str) -> Entry:
        """A cached layer with one file of `size` bytes."""
        layers = self.shop.snapshots.layers
        folder = layers.begin()
        (folder / "diff" / name).write_bytes(b"x" * size)
        blob = self.images.content.put(name.encode() * size)
        layers.commit(folder, blob.digest, blob.digest, size, 1)
        entry = Entry(
            of(name.encode()).removeprefix("sha256:"), Kind.LAYER, used, f"RUN {name}",
            chain_id=blob.digest, diff_id=blob.digest, blob=blob.digest, media_type=PLAIN,
            blob_size=blob.size, size=size, last_used=used, uses=1,
        )  # fmt: skip
        await self.records.put(entry)
        return entry

    async def image(self, entry: Entry) -> None:
        """An image with the layer of an entry."""
        layer = entry.layer
        assert isinstance(layer, Layer)
        document = json.dumps({"rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}})
        self.images.content.put(document.encode())
        await self.images.add(document, [layer], image_id=of(document.encode()))

    async def prune(self, **asked: Any) -> tuple[set[str], int]:
        """Descriptions of what went, and bytes."""
        before = {usage.identity(entry.key): entry.description for entry in self.records}
        filters = Filters(asked.pop("filters", None))
        asked = {"everything": False, "keep": 0, **asked}
        told, freed = await usage.prune(self.shop, filters, **asked)
        return {before[each] for each in told}, freed

    async def close(self) -> None:
        await self.shop.close()
        await self.images.close()
        self.shop.snapshots.close()
        self.database.close()


def scene(root: Path, test: Callable[[Bench], Awaitable[None]]) -> None:
    async def whole() -> None:
        bench = Bench(root)
        try:
            await test(bench)
        finally:
            await bench.close()

    asyncio.run(whole())


OLD, NEW = "2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z"


def test_rows_and_what_is_shared(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        shared = await bench.layer("shared", 10, OLD)
        await bench.layer("own", 20, NEW)
        await bench.records.put(Entry("step", Kind.STEP, OLD))
        await bench.image(shared)
        found = {row["Description"]: row for row in usage.rows(bench.shop)}
        assert set(found) == {"RUN shared", "RUN own"}
        assert [found[f"RUN {n}"]["Shared"] for n in ("shared", "own")] == [True, False]
        assert (await bench.prune()) == ({"RUN own"}, 20)
        assert (await bench.prune(everything=True)) == ({"RUN shared"}, 0)
        assert bench.shop.snapshots.layers.get(shared.chain_id) is not None  # the image has it

    scene(tmp_path, test)


def test_what_a_build_works_with_stays(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        entry = await bench.layer("busy", 10, OLD)
        leases = Leases(bench.images)
        leases.hold([entry.chain_id], [entry.blob])
        assert usage.rows(bench.shop)[0]["InUse"] is True
        assert await bench.prune(everything=True) == (set(), 0)
        leases.close()
        assert await bench.prune() == ({"RUN busy"}, 10)
        assert not bench.images.content.has(entry.blob)

    scene(tmp_path, test)


def test_filters_and_space_that_may_stay(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        for name, used in (("a", OLD), ("b", NEW), ("c", "2024-12-01T00:00:00Z")):
            await bench.layer(name, 10, used)
        with pytest.raises(BadRequest, match="invalid filter"):
            await bench.prune(filters={"what": ["x"]})
        assert await bench.prune(filters={"description": ["RUN z"]}) == (set(), 0)
        assert await bench.prune(filters={"until": ["2024-02-01T00:00:00Z"]}) == ({"RUN a"}, 10)
        assert await bench.prune(keep=10) == ({"RUN b"}, 10)
        assert await bench.prune(filters={"inuse": ["true"]}) == (set(), 0)
        assert await bench.prune(filters={"id": [usage.rows(bench.shop)[0]["ID"]]}) == (
            {"RUN c"}, 10,
        )  # fmt: skip

    scene(tmp_path, test)


def test_the_cache_keeps_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_LEAST", 25)
    monkeypatch.setattr(usage, "_SHARE", 1 << 60)
    monkeypatch.setattr(usage, "_MOST_STEPS", 4)

    async def test(bench: Bench) -> None:
        for number in range(4):
            await bench.layer(f"n{number}", 10, f"2024-0{number + 1}-01T00:00:00Z")
        for number in range(6):
            when = f"2024-0{number + 1}-01T00:00:00Z"
            await bench.records.put(Entry(f"step{number}", Kind.STEP, when))
        await usage.collect(bench.shop)
        left = {entry.description or entry.key for entry in bench.records}
        assert left == {"RUN n2", "RUN n3", "step4", "step5"}

    scene(tmp_path, test)
