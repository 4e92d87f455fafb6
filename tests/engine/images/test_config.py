"""Configs of images that others made: what is taken, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.images.config import ConfigInvalid, parse

GOOD: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2024-05-06T07:08:09.123456789Z",
    "config": {"Env": ["A=b"], "Cmd": None, "Labels": {"a": "b"}, "Volumes": {"/v": {}}},
    "history": [{"created": "2024-05-06T07:08:09+02:00", "empty_layer": True}],
    "rootfs": {"type": "layers", "diff_ids": []},
}


def test_good_ones() -> None:
    assert parse(json.dumps(GOOD).encode()) == GOOD
    parse(json.dumps({"rootfs": {"diff_ids": None}, "config": None, "created": None}).encode())


@pytest.mark.parametrize(
    "part",
    [
        {"rootfs": None},
        {"rootfs": {"diff_ids": "x"}},
        {"rootfs": {"diff_ids": [1]}},
        {"created": "2024-99-01T00:00:00Z"},
        {"created": 5},
        {"config": [1]},
        {"config": {"Cmd": "sh"}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"Env": {"A": "b"}}},
        {"config": {"Volumes": ["/v"]}},
        {"history": {"a": 1}},
        {"history": [1]},
        {"history": [{"created_by": 5}]},
        {"os": ["linux"]},
    ],
)
def test_wrong_types(part: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid, match="invalid image config: "):
        parse(json.dumps({**GOOD, **part}).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'"x"'])
def test_no_documents(content: bytes) -> None:
    with pytest.raises(ConfigInvalid):
        parse(content)
