"""Volumes: records and folders that agree, whatever happened."""

import asyncio
import os

import pytest

from engine.database import Database
from engine.errors import BadRequest, Conflict, NotFound
from engine.events import Events
from engine.filters import Filters
from engine.volumes.store import Store
from engine.volumes.volume import ANONYMOUS_LABEL


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "engine.db")
    yield database
    database.close()


@pytest.fixture
async def store(tmp_path, database):
    store = Store(tmp_path, database, Events())
    await store.start()
    return store


async def reopened(store: Store, tmp_path, database) -> Store:
    again = Store(tmp_path, database, Events())
    await again.start()
    return again


async def test_create_get_and_after_a_restart(store, tmp_path, database):
    volume = await store.create("data", labels={"a": "b"})
    assert volume.mountpoint == tmp_path / "volumes/data/_data"
    assert volume.mountpoint.is_dir()
    (volume.mountpoint / "file").write_text("kept")
    again = await reopened(store, tmp_path, database)
    assert again.get("data") == volume
    assert (volume.mountpoint / "file").read_text() == "kept"


async def test_creating_again_returns_what_is_there(store):
    first = await store.create("data", labels={"a": "b"})
    assert await store.create("data", labels={"c": "d"}) == first
    made = await asyncio.gather(*(store.create("same") for _ in range(20)))
    assert len({volume.created_ns for volume in made}) == 1


async def test_anonymous(store):
    volume = await store.create("")
    assert len(volume.name) == 64
    assert volume.anonymous
    assert volume.labels == {ANONYMOUS_LABEL: ""}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a", "volume name is too short, names should be at least two alphanumeric characters"),
        ("a b", 'create a b: "a b" includes invalid characters for a local volume name, only'),
        ("../x", "includes invalid characters"),
        (".hidden", "includes invalid characters"),
        ("x" * 300, "too long"),
    ],
)
async def test_bad_names(store, name, message):
    with pytest.raises(BadRequest, match=message.replace("[", r"\[")):
        await store.create(name)


async def test_bad_options(store):
    for options, message in (
        ({"foo": "x"}, 'create vv: invalid option: "foo"'),
        ({"type": "tmpfs"}, 'create vv: missing required option: "device"'),
        ({"size": "1g"}, "create vv: quota size requested but no quota support"),
    ):
        with pytest.raises(BadRequest, match=message):
            await store.create("vv", options=options)
    with pytest.raises(NotFound, match='create vv: error looking up volume plugin x: plugin "x"'):
        await store.create("vv", driver="x")
    assert store.list() == []


async def test_remove(store):
    volume = await store.create("data")
    (volume.mountpoint / "file").write_text("x")
    await store.remove("data")
    assert not volume.mountpoint.parent.exists()
    assert os.listdir(volume.mountpoint.parent.parent) == []
    with pytest.raises(NotFound, match="get data: no such volume"):
        await store.remove("data")
    await store.remove("data", force=True)


async def test_in_use(store):
    await store.create("data")
    store.users = lambda name: ["c1"] if name == "data" else []
    for force in (False, True):
        with pytest.raises(Conflict, match=r"remove data: volume is in use - \[c1\]"):
            await store.remove("data", force=force)
    assert store.reference_count("data") == 1


async def test_mounted_by_a_container_that_is_just_starting(store):
    await store.create("data")
    path = await store.mount("data", "c1")
    assert path == store.get("data").mountpoint
    with pytest.raises(Conflict):
        await store.remove("data")
    await store.unmount("data", "c1")
    await store.unmount("data", "c1")
    await store.remove("data")


async def test_list_filters(store):
    await store.create("web", labels={"tier": "front"})
    await store.create("db", labels={"tier": "back"})
    store.users = lambda name: ["c1"] if name == "db" else []

    def names(**filters):
        return [one.name for one in store.list(Filters(filters))]

    assert names() == ["db", "web"]
    assert names(name=["w"]) == ["web"]
    assert names(label=["tier=back"]) == ["db"]
    assert names(dangling=["true"]) == ["web"]
    assert names(dangling=["false"]) == ["db"]
    assert names(driver=["nfs"]) == []
    with pytest.raises(BadRequest, match="invalid filter 'size'"):
        names(size=["1"])


async def test_prune_takes_anonymous_ones_first(store):
    anonymous = await store.create("")
    (anonymous.mountpoint / "file").write_bytes(bytes(1000))
    await store.create("named")
    used = await store.create("")
    store.users = lambda name: ["c1"] if name == used.name else []
    pruned = await store.prune(Filters())
    assert (list(pruned.names), pruned.reclaimed) == ([anonymous.name], 1000)
    assert list((await store.prune(Filters({"all": ["1"]}))).names) == ["named"]
    assert [one.name for one in store.list()] == [used.name]
    with pytest.raises(BadRequest, match="invalid filter 'until'"):
        await store.prune(Filters({"until": ["1h"]}))


async def test_prune_leaves_what_has_driver_options(store):
    await store.create("ram", options={"type": "tmpfs", "device": "tmpfs"})
    await store.create("plain", options={})
    assert list((await store.prune(Filters({"all": ["T"]}))).names) == ["plain"]
    for words, message in (
        (["maybe"], """invalid filter 'all': strconv.ParseBool: parsing "maybe": invalid syntax"""),
        (["t", "1"], "invalid filter 'all=[t 1]': only one value is expected"),
    ):
        with pytest.raises(BadRequest) as refused:
            await store.prune(Filters({"all": words}))
        assert refused.value.message == message


async def test_what_a_crash_left(store, tmp_path, database):
    folder = tmp_path / "volumes"
    (folder / "half-made" / "_data").mkdir(parents=True)
    (folder / "no-content").mkdir()
    (folder / ".removed-1" / "_data").mkdir(parents=True)
    (folder / ".making-1" / "_data").mkdir(parents=True)
    (folder / ".making-1" / "_data" / "half of a clone").write_text("x")
    (folder / "with-files" / "_data").mkdir(parents=True)
    (folder / "with-files" / "_data" / "precious").write_text("x")
    volume = await store.create("lost-folder")
    volume.mountpoint.rmdir()
    again = await reopened(store, tmp_path, database)
    await again.cleaning
    assert [one.name for one in again.list()] == ["lost-folder", "with-files"]
    assert sorted(os.listdir(folder)) == ["lost-folder", "with-files"]
    assert volume.mountpoint.is_dir()


async def test_populate_fills_an_empty_volume_once(store, tmp_path):
    source = tmp_path / "image"
    source.mkdir(mode=0o750)
    (source / "file").write_text("from the image")
    volume = await store.create("data")
    assert await store.populate("data", source)
    assert (volume.mountpoint / "file").read_text() == "from the image"
    assert volume.mountpoint.stat().st_mode & 0o7777 == 0o750
    (source / "other").write_text("x")
    assert not await store.populate("data", source)
    assert os.listdir(volume.mountpoint) == ["file"]


async def test_events(tmp_path, database):
    events = Events()
    store = Store(tmp_path, database, events)
    await store.start()
    await store.create("data")
    await store.create("data")
    await store.mount("data", "c1")
    await store.unmount("data", "c1")
    await store.remove("data")
    told = [(event.action, event.attributes.get("container")) for event in events.history()]
    assert told == [("create", None), ("mount", "c1"), ("unmount", "c1"), ("destroy", None)]
    assert all(event.attributes["driver"] == "local" for event in events.history())
