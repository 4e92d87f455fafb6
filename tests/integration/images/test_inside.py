"""Looking inside an image over the engine's own endpoints."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.support.archives import archive_of, tar_of
from tests.support.native import NativeEngine, new_engine

pytestmark = pytest.mark.root

BASE = {"etc/one": b"1111", "etc/two": b"22", "opt/big": b"x" * 1000, "opt/sub/more": b"y" * 50}
LAYERS = [
    tar_of(BASE, {"etc/link": "/etc/shadow"}),
    tar_of({"etc/.wh.two": b"", "etc/one": b"one"}),
    tar_of({"opt/.wh..wh..opq": b"", "opt/new": b"n"}),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[NativeEngine]:
    engine = new_engine()
    try:
        engine.start()
        engine.docker("load", input=archive_of("inside:1", LAYERS))
        engine.docker("load", input=archive_of("base:1", LAYERS[:1]))
        yield engine
    finally:
        engine.clean()


def ask(engine: NativeEngine, path: str, status: int = 200) -> Any:
    with closing(engine.client()) as client:
        api = client.api
        response = api.get(f"{api.base_url}/cove/images/{path}")
        assert response.status_code == status, response.text
        return response.json()


def test_layers(engine: NativeEngine) -> None:
    first, second, third = ask(engine, "inside:1/layers?changes=1")
    assert first["SharedWith"] == ["base:1"]
    assert second["SharedWith"] == []
    assert first["CreatedBy"] == "ADD layer 0"
    assert first["Size"] == 1056
    assert first["Changes"] == {
        "Added": 8, "Modified": 0, "Deleted": 0, "Written": 1056, "Hidden": 0,
    }  # fmt: skip
    assert second["Changes"] == {
        "Added": 0, "Modified": 1, "Deleted": 1, "Written": 3, "Hidden": 6,
    }  # fmt: skip
    assert third["Changes"] == {
        "Added": 1, "Modified": 0, "Deleted": 2, "Written": 1, "Hidden": 1050,
    }  # fmt: skip


def test_changes_by_page_and_kind(engine: NativeEngine) -> None:
    found = ask(engine, "inside:1/changes?layer=2&limit=2")
    assert [(c["Kind"], c["Path"], c["Hidden"]) for c in found["Changes"]] == [
        ("deleted", "/opt/big", 1000),
        ("added", "/opt/new", 0),
    ]
    rest = ask(engine, f"inside:1/changes?layer=2&limit=2&after={found['Next']}")
    assert [(c["Path"], c["Type"]) for c in rest["Changes"]] == [("/opt/sub", "directory")]
    assert rest["Next"] == ""
    only = ask(engine, "inside:1/changes?layer=2&kind=deleted")
    assert [c["Path"] for c in only["Changes"]] == ["/opt/big", "/opt/sub"]


def test_the_tree_at_a_layer(engine: NativeEngine) -> None:
    low = ask(engine, "inside:1/tree?path=/etc&layer=0")
    assert [(e["Path"], e["Target"]) for e in low["Entries"]] == [
        ("/etc/link", "/etc/shadow"),
        ("/etc/one", ""),
        ("/etc/two", ""),
    ]
    top = ask(engine, "inside:1/tree?path=/etc")
    assert [(e["Path"], e["Layer"], e["Mode"]) for e in top["Entries"]] == [
        ("/etc/link", 0, 0o777),
        ("/etc/one", 1, 0o755),
    ]
    assert {e["Modified"] for e in low["Entries"]} == {"1970-01-01T00:00:00Z"}
    assert [e["Path"] for e in ask(engine, "inside:1/tree?path=/opt")["Entries"]] == ["/opt/new"]


def test_a_files_content(engine: NativeEngine) -> None:
    with closing(engine.client()) as client:
        api = client.api
        get = f"{api.base_url}/cove/images/inside:1/file"
        assert api.get(f"{get}?path=/etc/one").content == b"one"
        assert api.get(f"{get}?path=/etc/one&layer=0").content == b"1111"
        assert api.get(f"{get}?path=/etc/one&layer=0&offset=1&limit=2").content == b"11"
        refused = api.get(f"{get}?path=/etc/link")
    assert refused.status_code == 400
    assert refused.json()["message"] == (
        "/etc/link is a symlink to /etc/shadow; only a file has content"
    )


def test_waste(engine: NativeEngine) -> None:
    waste = ask(engine, "inside:1/waste")
    assert waste["Wasted"] == 1056
    assert waste["Paths"][0] == {"Path": "/opt/big", "Size": 1000, "Layers": 1}


def test_wrong_questions(engine: NativeEngine) -> None:
    assert "No such image" in ask(engine, "none:1/layers", 404)["message"]
    assert ask(engine, "inside:1/tree?layer=7", 404)["message"] == (
        "the image has 3 layers; there is no layer 7"
    )
    assert "invalid limit" in ask(engine, "inside:1/tree?limit=0", 400)["message"]
    assert "invalid kind" in ask(engine, "inside:1/changes?kind=x", 400)["message"]
    assert "no file /nope" in ask(engine, "inside:1/tree?path=/nope", 404)["message"]


def test_a_name_that_is_no_text_is_shown(engine: NativeEngine) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("bad\udcff name")
        tar.addfile(info)
    engine.docker("load", input=archive_of("bytes:1", [out.getvalue()]))
    [entry] = ask(engine, "bytes:1/tree")["Entries"]
    assert entry["Path"] == "/bad? name"
