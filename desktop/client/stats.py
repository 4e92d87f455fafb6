"""Docker's stats counters into rates: two readings make a sample."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from desktop.client.rows import Sample

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Counters:
    """The running totals of one reading, at monotonic second `at`."""

    at: float
    cpu_ns: int
    memory: int
    memory_limit: int
    received: int
    sent: int
    read: int
    written: int
    pids: int


def counters(item: Json, at: float | None = None) -> Counters:
    """The totals in one answer of GET /containers/{id}/stats."""
    memory: Json = item.get("memory_stats") or {}
    details: Json = memory.get("stats") or {}
    # Docker's CLI leaves out what the kernel would give back at once: v2, then v1.
    idle = details.get("inactive_file", details.get("total_inactive_file", 0))
    networks: Json = item.get("networks") or {}
    blocks = (item.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    used = int(memory.get("usage") or 0)
    return Counters(
        at=time.monotonic() if at is None else at,
        cpu_ns=int(((item.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0),
        memory=used - int(idle) if int(idle) < used else used,
        memory_limit=int(memory.get("limit") or 0),
        received=sum(int(one.get("rx_bytes", 0)) for one in networks.values()),
        sent=sum(int(one.get("tx_bytes", 0)) for one in networks.values()),
        read=_blocks(blocks, "read"),
        written=_blocks(blocks, "write"),
        pids=int((item.get("pids_stats") or {}).get("current") or 0),
    )


def _blocks(items: list[Json], operation: str) -> int:
    return sum(int(i.get("value", 0)) for i in items if str(i.get("op", "")).lower() == operation)


def sample(before: Counters | None, now: Counters) -> Sample:
    """The rates between two readings; zeros without an earlier one or after a restart."""
    passed = now.at - before.at if before else 0.0
    if before is None or passed <= 0 or now.cpu_ns < before.cpu_ns:
        return Sample(0.0, now.memory, now.memory_limit, 0.0, 0.0, 0.0, 0.0, now.pids)
    return Sample(
        cpu=(now.cpu_ns - before.cpu_ns) / 1e9 / passed,
        memory=now.memory,
        memory_limit=now.memory_limit,
        received=max(0.0, (now.received - before.received) / passed),
        sent=max(0.0, (now.sent - before.sent) / passed),
        read=max(0.0, (now.read - before.read) / passed),
        written=max(0.0, (now.written - before.written) / passed),
        pids=now.pids,
    )
