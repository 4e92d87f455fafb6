"""Checks of an image's config before it becomes a record: later readers may trust its types."""

import json
import re
from collections.abc import Mapping
from typing import Any

from engine.errors import BadRequest

_TIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-6]\d\S*"
)
_STRINGS = ("User", "WorkingDir", "StopSignal", "Image", "Hostname", "Domainname")
_LISTS = ("Env", "Cmd", "Entrypoint", "OnBuild", "Shell")
_MAPS = ("ExposedPorts", "Volumes", "Labels")


class ConfigInvalid(BadRequest):
    """The image's config has a part of the wrong type."""


def parse(content: bytes) -> dict[str, Any]:
    """A config whose parts have the types of the OCI image specification (config.md).

    Raises ConfigInvalid.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigInvalid(f"invalid image config: {error}") from error
    _require(isinstance(document, dict), "it is no object")
    _check(document)
    return dict(document)


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise ConfigInvalid(f"invalid image config: {why}")


def _check(document: Mapping[str, Any]) -> None:
    for key in ("architecture", "os", "variant", "author", "comment", "parent"):
        _require(isinstance(document.get(key) or "", str), f"{key} is no text")
    _check_time(document.get("created"), "created")
    rootfs = document.get("rootfs")
    _require(isinstance(rootfs, dict), "rootfs is missing")
    assert isinstance(rootfs, dict)
    _require(_is_list_of_text(rootfs.get("diff_ids")), "rootfs.diff_ids is no list")
    history = document.get("history") or []
    _require(isinstance(history, list), "history is no list")
    for step in history:
        _require(isinstance(step, dict), "a step of its history is no object")
        _check_time(step.get("created"), "a step's created")
        for key in ("created_by", "comment", "author"):
            _require(isinstance(step.get(key) or "", str), f"a step's {key} is no text")
    config = document.get("config") or {}
    _require(isinstance(config, dict), "config is no object")
    for key in _STRINGS:
        _require(isinstance(config.get(key) or "", str), f"config.{key} is no text")
    for key in _LISTS:
        _require(_is_list_of_text(config.get(key)), f"config.{key} is no list of texts")
    for key in _MAPS:
        _require(isinstance(config.get(key) or {}, dict), f"config.{key} is no object")
    labels = (config.get("Labels") or {}).values()
    _require(all(isinstance(value, str) for value in labels), "a label is no text")


def _is_list_of_text(value: Any) -> bool:
    value = [] if value is None else value
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _check_time(value: Any, name: str) -> None:
    fits = value is None or value == "" or isinstance(value, str) and _TIME.fullmatch(value)
    _require(bool(fits), f"{name} is no time of RFC 3339")
