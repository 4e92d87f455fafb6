"""Routes of volumes on a store in memory: what is asked, what is shown."""

import json
from pathlib import Path

import pytest

from engine.api.query import Query
from engine.api.volumes import routes
from engine.errors import BadRequest
from engine.times import SECOND
from engine.volumes.store import Pruned
from engine.volumes.volume import Volume

VOLUME = Volume("data", Path("/v/data/_data"), 1_700_000_000 * SECOND + 5, {"a": "b"}, None)


class Store:
    def __init__(self) -> None:
        self.asked = []

    def get(self, name):
        return VOLUME

    def list(self, filters=None):
        return [VOLUME]

    async def create(self, name, **settings):
        self.asked.append((name, settings))
        return VOLUME

    async def remove(self, name, *, force=False):
        self.asked.append((name, force))

    async def prune(self, filters, *, named=False):
        self.asked.append((filters.values("label"), named))
        return Pruned((), 0)


class Request:
    version = (1, 51)

    def __init__(self, body=None, query="", **params):
        self.body = body or {}
        self.query = Query(query)
        self.params = params

    async def json(self):
        return self.body


async def ask(store, method, pattern, request):
    handler = next(
        one.handler for one in routes(store) if (one.method, one.pattern) == (method, pattern)
    )
    answer = await handler(request)
    return answer.status, json.loads(answer.body) if answer.body else None


async def test_documents():
    document = {
        "CreatedAt": "2023-11-14T22:13:20Z",
        "Driver": "local",
        "Labels": {"a": "b"},
        "Mountpoint": "/v/data/_data",
        "Name": "data",
        "Options": None,
        "Scope": "local",
    }
    store = Store()
    assert await ask(store, "GET", "/volumes/{name:path}", Request(name="data")) == (200, document)
    listed = await ask(store, "GET", "/volumes", Request())
    assert listed == (200, {"Volumes": [document], "Warnings": None})


async def test_create():
    store = Store()
    body = {"Name": "data", "Labels": {"a": "b"}, "DriverOpts": None, "Driver": ""}
    status, _ = await ask(store, "POST", "/volumes/create", Request(body))
    assert status == 201
    assert store.asked == [("data", {"driver": "local", "options": None, "labels": {"a": "b"}})]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"Name": 5}, "number into Go struct field CreateOptions.Name of type string"),
        ({"Labels": {"a": 5}}, "number into Go struct field CreateOptions.Labels.a of type string"),
        ({"Labels": []}, "array into Go struct field CreateOptions.Labels of type map"),
        ({"DriverOpts": True}, "bool into Go struct field CreateOptions.DriverOpts of type map"),
    ],
)
async def test_wrong_types(body, message):
    with pytest.raises(BadRequest, match=f"invalid JSON: json: cannot unmarshal {message}"):
        await ask(Store(), "POST", "/volumes/create", Request(body))


async def test_remove_and_prune():
    store = Store()
    request = Request(query="force=true", name="data")
    assert await ask(store, "DELETE", "/volumes/{name:path}", request) == (204, None)
    old = Request(query='filters={"label":["x"]}')
    old.version = (1, 41)
    answer = await ask(store, "POST", "/volumes/prune", old)
    assert answer == (200, {"VolumesDeleted": [], "SpaceReclaimed": 0})
    assert store.asked == [("data", True), (["x"], True)]


async def test_malformed_filters():
    with pytest.raises(BadRequest, match="^error reading volume filters: invalid filter$"):
        await ask(Store(), "GET", "/volumes", Request(query="filters={"))
