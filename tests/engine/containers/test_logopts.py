"""Log drivers and their options: taken, refused in dockerd's words, shown with each line."""

from __future__ import annotations

from typing import Any

import pytest

from engine.containers.logopts import check_log, compresses, details
from engine.containers.record import Record
from engine.errors import BadRequest


def log(driver: str, **options: str) -> dict[str, Any]:
    return {
        "Type": driver,
        "Config": {key.replace("_", "-"): value for key, value in options.items()},
    }


@pytest.mark.parametrize(
    "config",
    [
        log("json-file", max_size="10m", max_file="3"),
        log("json-file", max_file="3"),
        log("json-file", labels="a,b", env="C", env_regex="^A", labels_regex="x", tag="{{.ID}}"),
        log("json-file", mode="non-blocking", max_buffer_size="4m"),
        log("json-file", cache_disabled="true"),
        log("local", max_size="1m", max_file="2", compress="false"),
        log("none"),
        log("none", max_size="1m"),
    ],
)
def test_taken(config: dict[str, Any]) -> None:
    assert check_log(config) == []


@pytest.mark.parametrize(
    ("config", "packed"),
    [
        (log("json-file", max_size="1m", max_file="2", compress="true"), True),
        (log("json-file", max_size="1m", max_file="2"), False),
        (log("local"), True),
        (log("local", compress="false", max_file="1"), False),
    ],
)
def test_compression(config: dict[str, Any], packed: bool) -> None:
    assert check_log(config) == []
    assert compresses(config) is packed


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (log("syslog"), "the log driver 'syslog' is not built into this engine"),
        (log("gcplogs"), 'error looking up logging plugin gcplogs: plugin "gcplogs" not found'),
        (log("local", labels="a"), "unknown log opt 'labels' for log driver local"),
        (log("json-file", foo="a"), "unknown log opt 'foo' for json-file log driver"),
        (log("json-file", max_size="1m", compress="1"), "compress cannot be true when max-file is"),
        (log("local", max_file="1"), "compression cannot be enabled when max file count is 1"),
        (log("json-file", max_size="x"), "invalid size: 'x'"),
        (log("json-file", max_size="1m", max_file="0"), "max-file cannot be less than 1"),
        (log("json-file", compress="x"), "invalid value for compress"),
        (log("json-file", mode="x"), "logger: logging mode not supported: x"),
        (log("json-file", max_buffer_size="4m"), "only supported with 'mode=non-blocking'"),
        (log("json-file", mode="non-blocking", max_buffer_size="x"), "option max-buffer-size: inv"),
        (log("json-file", env_regex="("), "error parsing regexp"),
        (log("json-file", labels_regex="(a+)+$"), "is too complex"),
        (log("json-file", tag="{{.Bad}}"), "can't evaluate field Bad"),
        (log("json-file", tag="{{"), "template: log-tag"),
    ],
)
def test_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_log(config)
    assert words in caught.value.message


def test_details() -> None:
    record = Record(
        id="abcdef0123456789",
        name="web",
        created=1,
        image_id="sha256:0123456789abcdef",
        chain_ids=[],
        config={"Image": "box", "Env": ["FOO=b c", "BAR=2", "BARE"], "Labels": {"x.y": "1&2"}},
        host_config={"LogConfig": log("json-file", labels="x.y,none", env="FOO")},
        path="sh",
        args=[],
    )
    assert details(record) == b"FOO=b+c,x.y=1%262"
    record.host_config = {"LogConfig": log("json-file", env_regex="^B", tag="{{.Name}}/{{ .ID }}")}
    assert details(record) == b"BAR=2,tag=web%2Fabcdef012345"
    record.host_config = {"LogConfig": log("json-file")}
    assert details(record) == b""
