"""An engine of a test's own: it is going to be killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.native import NativeEngine, new_engine


@pytest.fixture
def engine() -> Iterator[NativeEngine]:
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        engine.clean()
