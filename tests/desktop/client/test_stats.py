"""Two readings make a sample."""

from __future__ import annotations

from typing import Any

from desktop.client.stats import counters, sample


def reading(cpu_ns: int, received: int = 0) -> dict[str, Any]:
    return {
        "cpu_stats": {"cpu_usage": {"total_usage": cpu_ns}},
        "memory_stats": {"usage": 1000, "limit": 9000, "stats": {"inactive_file": 400}},
        "networks": {"eth0": {"rx_bytes": received, "tx_bytes": 5}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 7}]},
        "pids_stats": {"current": 3},
    }


def test_rates() -> None:
    before, now = counters(reading(10**9), at=10), counters(reading(2 * 10**9, 4000), at=12)
    number = sample(before, now)
    assert (number.cpu, number.received, number.memory) == (0.5, 2000, 600)
    assert (number.memory_limit, number.pids, now.read) == (9000, 3, 7)


def test_a_restart_is_no_negative_rate() -> None:
    before, now = counters(reading(10**9), at=10), counters(reading(10), at=11)
    assert sample(before, now).cpu == 0
    assert sample(None, now).cpu == 0


def test_empty_answer_of_a_stopped_container() -> None:
    assert counters({}, at=1).memory == 0
