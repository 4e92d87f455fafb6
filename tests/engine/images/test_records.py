"""The catalogue on a real database: references move, images come back after a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.database import Database
from engine.images.model import Image, Layer
from engine.images.records import Catalogue, make_image
from engine.images.reference import Reference

LATEST = Reference.parse("app:latest")
DIGEST = Reference.parse("app@sha256:" + "0" * 64)


def image(number: int, *, parent: str = "") -> Image:
    diff_id = f"sha256:{number:064x}"
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [diff_id]}})
    return make_image(f"sha256:{100 + number:064x}", config, [Layer(diff_id, diff_id, "tar", 5, 7)],
                      parent=parent)  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "engine.db")
    yield database
    database.close()


async def test_a_reference_names_one_image_at_a_time(database: Database) -> None:
    catalogue = Catalogue(database)
    first = await catalogue.add(image(1), [LATEST, DIGEST], "2024-01-01T00:00:00Z")
    assert (first.references, first.digests) == (("app:latest",), (DIGEST.familiar,))
    second = await catalogue.add(image(2), [LATEST])
    assert catalogue.lookup(LATEST) == second and second.references == ("app:latest",)
    again = catalogue.get(first.id)
    assert again is not None and again.references == () and again.digests == (DIGEST.familiar,)
    assert catalogue.lookup(Reference.parse("app:other@" + str(DIGEST.digest))) == again


async def test_everything_is_there_after_a_restart(database: Database) -> None:
    catalogue = Catalogue(database)
    await catalogue.add(image(1), [LATEST, DIGEST], "2024-01-01T00:00:00Z")
    await catalogue.add(image(2, parent=image(1).id))
    restarted = Catalogue(database)
    restarted.load()
    assert list(restarted) == list(catalogue) and restarted.names() == catalogue.names()
    assert [each.id for each in restarted.children(image(1).id)] == [image(2).id]
    assert restarted.layers().keys() == {image(1).chain_ids[0], image(2).chain_ids[0]}


async def test_a_layer_may_change_its_blob(database: Database) -> None:
    catalogue = Catalogue(database)
    added = await catalogue.add(image(1), [LATEST])
    blob = "sha256:" + "f" * 64
    await catalogue.replace_blob(added.layers[0].diff_id, blob, "gzip", 3)
    restarted = Catalogue(database)
    restarted.load()
    found = restarted.lookup(LATEST)
    assert found is not None and found.layers[0].blob == blob
    assert found.layers[0].size == 7 and found.references == ("app:latest",)


async def test_dropping(database: Database) -> None:
    catalogue = Catalogue(database)
    added = await catalogue.add(image(1), [LATEST, DIGEST])
    await catalogue.drop_references([LATEST])
    assert catalogue.lookup(LATEST) is None and catalogue.lookup(DIGEST) is not None
    await catalogue.drop(added.id)
    assert catalogue.lookup(DIGEST) is None and len(catalogue) == 0
    assert database.load("image") == {} and database.load("image-reference") == {}


async def test_prefixes(database: Database) -> None:
    catalogue = Catalogue(database)
    added = await catalogue.add(image(1))
    await catalogue.add(image(2))
    digits = added.id.removeprefix("sha256:")
    assert catalogue.by_prefix(digits) == [added] and len(catalogue.by_prefix(digits[:60])) == 2
