"""What a container may open when nobody says it, and when somebody does."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from engine.runtime import rlimits


@pytest.mark.parametrize("capable", [True, False])
def test_files(monkeypatch: pytest.MonkeyPatch, capable: bool) -> None:
    bounding = frozenset({"CAP_SYS_RESOURCE"} if capable else ())
    monkeypatch.setattr(rlimits.capabilities, "bounding", lambda: bounding)
    monkeypatch.setattr(resource, "getrlimit", lambda number: (3000, 3000))
    ceiling = rlimits.FILES if capable else 3000

    def files(**process: Any) -> list[Any]:
        return [one for one in rlimits.fit(process)["rlimits"] if one["type"] == "RLIMIT_NOFILE"]

    assert files() == [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": ceiling}]
    core = {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}
    assert files(rlimits=[core]) == files()
    asked = {"type": "RLIMIT_NOFILE", "soft": 9, "hard": 10}
    assert files(rlimits=[asked]) == [asked]
