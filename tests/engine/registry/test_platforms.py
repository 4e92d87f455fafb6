"""Platforms: reading, matching, choosing."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import BadRequest
from engine.registry.platforms import Platform, choose, emulated, local


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


def test_kin_come_after_the_platform_itself() -> None:
    arm = [entry("arm", "v5"), entry("arm", "v7"), entry("arm", "v6")]
    assert choose(arm, Platform.parse("linux/arm64")) is arm[1]
    assert choose(arm, Platform.parse("linux/arm/v6")) is arm[2]
    assert choose(arm[:1], Platform.parse("linux/arm/v6")) is arm[0]
    levels = [entry("amd64", "v3"), entry("386"), entry("amd64", "v2")]
    assert choose(levels, Platform.parse("linux/amd64/v2")) is levels[2]
    assert choose(levels, Platform.parse("linux/amd64")) is levels[1]
    assert choose(levels, Platform.parse("linux/amd64/v4")) is levels[0]


def test_emulators_are_the_last_resort(tmp_path: Path) -> None:
    for name in ("qemu-aarch64", "qemu-s390x", "status", "python3.11"):
        (tmp_path / name).touch()
    found = emulated(tmp_path)
    assert [str(each) for each in found] == ["linux/arm64", "linux/s390x"]
    index = [entry("s390x"), entry("riscv64")]
    assert choose(index, Platform.parse("amd64"), found) is index[0]
    assert choose(index, Platform.parse("amd64")) is None
    assert emulated(tmp_path / "missing") == []


def test_matching() -> None:
    v7 = Platform.parse("linux/arm/v7")
    assert v7.matches(Platform("linux", "arm", "v6")) and not v7.matches(Platform("linux", "amd64"))
    assert not Platform.parse("linux/arm/v6").matches(v7)
    assert Platform.parse("linux/arm").matches(Platform("linux", "arm", "v5"))
