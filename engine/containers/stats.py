"""Statistics of a container as `docker stats` reads them: one a second, with the one before."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from engine.containers.container import Container
from engine.containers.record import Json
from engine.runtime import stats
from engine.times import ZERO

_EMPTY_CPU: Json = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}


_BLKIO = (
    "io_service_bytes_recursive",
    "io_serviced_recursive",
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
)


def empty(container: Container) -> Json:
    """The statistics of a container that doesn't run."""
    return {
        "read": ZERO,
        "preread": ZERO,
        "pids_stats": {},
        "blkio_stats": dict.fromkeys(_BLKIO),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _EMPTY_CPU,
        "precpu_stats": _EMPTY_CPU,
        "memory_stats": {},
        "name": f"/{container.name}",
        "id": container.id,
    }


async def sample(container: Container, before: Json | None) -> Json:
    """The use of resources now; `before` is the last sample."""
    running = container.running
    if not container.live or running is None:
        return empty(container)
    try:
        pieces: dict[str, Any] = await stats.read(container.id, running.pid)
    except (ProcessLookupError, FileNotFoundError):
        return empty(container)
    return {
        **empty(container),
        **pieces,
        "preread": before["read"] if before else ZERO,
        "precpu_stats": before["cpu_stats"] if before else _EMPTY_CPU,
    }


async def stream(container: Container, *, once: bool, single: bool) -> AsyncIterator[Json]:
    """Samples a second apart; `once` gives the second one alone, `single` the first."""
    before: Json | None = None
    while not container.removing:
        now = await sample(container, before)
        if single or (once and (before is not None or not container.live)):
            yield now
            return
        if not once:
            yield now
        before = now if now["read"] != ZERO else None
        await asyncio.sleep(1)
