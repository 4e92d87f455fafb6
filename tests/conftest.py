"""Fixtures that several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.native import NativeEngine, new_engine

# a busy machine says nothing about the code: what is slow is measured by scripts/bench
settings.register_profile("cove", deadline=None)
settings.load_profile("cove")


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
