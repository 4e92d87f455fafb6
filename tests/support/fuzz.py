"""How hard tests that try things at random work: `COVE_FUZZ=100` tries a hundred times as much."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("COVE_FUZZ", "1"))


def effort(examples: int) -> settings:
    """Settings for a test that tries `examples` values in an ordinary run."""
    return settings(
        max_examples=examples * FACTOR,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
