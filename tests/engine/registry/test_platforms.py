"""Platforms: reading, matching, choosing."""

from __future__ import annotations

import pytest

from engine.errors import BadRequest
from engine.registry.platforms import Platform, choose, local


def entry(architecture: str, variant: str = "", os: str = "linux") -> dict[str, object]:
    return {"platform": {"os": os, "architecture": architecture, "variant": variant}}


INDEX = [
    entry("amd64", os="windows"),
    entry("arm", "v6"),
    entry("arm", "v7"),
    entry("arm64", "v8"),
    entry("amd64"),
    {"platform": {"os": "unknown", "architecture": "unknown"}},
    {},
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", 4),
        ("amd64", 4),
        ("x86_64", 4),
        ("linux/arm64", 3),
        ("linux/arm64/v8", 3),
        ("aarch64", 3),
        ("linux/arm/v6", 1),
        ("linux/arm", 2),
        ("armhf", 2),
        ("windows/amd64", 0),
        ("linux/s390x", None),
    ],
)
def test_choices(text: str, expected: int | None) -> None:
    found = choose(INDEX, Platform.parse(text))
    assert found is (None if expected is None else INDEX[expected])


@pytest.mark.parametrize("text", ["", "a/b/c/d", "linux/", "li nux/amd64"])
def test_nonsense(text: str) -> None:
    with pytest.raises(BadRequest, match="invalid OS or architecture"):
        Platform.parse(text)


def test_words() -> None:
    assert str(Platform.parse("linux/arm/v7")) == "linux/arm/v7"
    assert str(Platform.parse("linux/arm64/v8")) == "linux/arm64"
    assert Platform.parse("linux") == local()
