"""Fixtures that several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.native import NativeEngine, new_engine


@pytest.fixture(scope="session")
def native_engine() -> Iterator[NativeEngine]:
    """A running native engine with busybox:latest, shared by the session."""
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        engine.clean()
