"""Use of resources by a container, in the pieces of Docker's stats."""

import asyncio
import datetime
import functools
import os
from pathlib import Path
from typing import Any

from engine.linux import cgroups

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_NETWORK_COLUMNS = (
    ("rx_bytes", 0),
    ("rx_packets", 1),
    ("rx_errors", 2),
    ("rx_dropped", 3),
    ("tx_bytes", 8),
    ("tx_packets", 9),
    ("tx_errors", 10),
    ("tx_dropped", 11),
)


async def read(id: str, pid: int) -> dict[str, Any]:
    """read (RFC 3339), cpu_stats, memory_stats, pids_stats, blkio_stats, num_procs, networks.

    `networks` is left out when the container shares the host's. The caller keeps the last one
    for precpu_stats and preread. Raises ProcessLookupError when `pid` is gone.
    """
    return await asyncio.to_thread(_read, id, pid)


def group_of(id: str, pid: int) -> str:
    """The container's own cgroup, also when `pid` has moved to one below it."""
    path = cgroups.path_of(pid)
    before, found, _ = path.partition(f"/{id}")
    return before + found if found else path


def _read(id: str, pid: int) -> dict[str, Any]:
    path = group_of(id, pid)
    now = datetime.datetime.now(datetime.UTC)
    found: dict[str, Any] = {
        "read": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "num_procs": 0,
        "storage_stats": {},
        "pids_stats": _pids(path),
        "cpu_stats": {**_cpu(path), **_system()},
        "memory_stats": _memory(path),
        "blkio_stats": _block_io(path),
    }
    networks = _networks(pid)
    if networks is not None:
        found["networks"] = networks
    return found


def _text(path: str, controller: str, name: str) -> str:
    """A file of the group; empty when this kernel lacks it or the group is gone."""
    try:
        return (cgroups.folder(path, controller) / name).read_text(encoding="ascii")
    except OSError:
        return ""


def _number(path: str, controller: str, name: str) -> int:
    text = _text(path, controller, name).strip()
    return int(text) if text.isdigit() else 0


def _pairs(text: str) -> dict[str, int]:
    """Lines "key value" as a dict."""
    found = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if value.isdigit():
            found[key] = int(value)
    return found


def _pids(path: str) -> dict[str, int]:
    found = {"current": _number(path, "pids", "pids.current")}
    limit = _number(path, "pids", "pids.max")
    # dockerd answers with the largest number when there is no limit
    found["limit"] = limit or (1 << 64) - 1
    return found


def _cpu(path: str) -> dict[str, Any]:
    if cgroups.is_v2():
        stat = _pairs(_text(path, "", "cpu.stat"))
        usage = {
            "total_usage": stat.get("usage_usec", 0) * 1000,
            "usage_in_kernelmode": stat.get("system_usec", 0) * 1000,
            "usage_in_usermode": stat.get("user_usec", 0) * 1000,
        }
        throttled = stat.get("throttled_usec", 0) * 1000
    else:
        ticks = _pairs(_text(path, "cpuacct", "cpuacct.stat"))
        usage = {
            "total_usage": _number(path, "cpuacct", "cpuacct.usage"),
            "usage_in_kernelmode": ticks.get("system", 0) * _TICK_NS,
            "usage_in_usermode": ticks.get("user", 0) * _TICK_NS,
        }
        stat = _pairs(_text(path, "cpu", "cpu.stat"))
        throttled = stat.get("throttled_time", 0)
    found: dict[str, Any] = {"cpu_usage": usage}
    if not cgroups.is_v2():
        each = _text(path, "cpuacct", "cpuacct.usage_percpu").split()
        found["cpu_usage"] = {**usage, "percpu_usage": [int(word) for word in each]}
    found["throttling_data"] = {
        "periods": stat.get("nr_periods", 0),
        "throttled_periods": stat.get("nr_throttled", 0),
        "throttled_time": throttled,
    }
    return found


def _system() -> dict[str, int]:
    """CPU time of the whole machine in ns (the first line of proc_stat(5)) and its CPUs."""
    with open("/proc/stat", encoding="ascii") as file:
        words = file.readline().split()
    return {
        "system_cpu_usage": sum(int(word) for word in words[1:8]) * _TICK_NS,
        "online_cpus": os.sysconf("SC_NPROCESSORS_ONLN"),
    }


@functools.cache
def memory_total() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _memory(path: str) -> dict[str, Any]:
    stats = _pairs(_text(path, "memory", "memory.stat"))
    if cgroups.is_v2():
        limit = _number(path, "", "memory.max")
        found: dict[str, Any] = {"usage": _number(path, "", "memory.current")}
        events = _pairs(_text(path, "", "memory.events"))
        if events.get("oom"):
            found["failcnt"] = events["oom"]
    else:
        limit = _number(path, "memory", "memory.limit_in_bytes")
        found = {
            "usage": _number(path, "memory", "memory.usage_in_bytes"),
            "max_usage": _number(path, "memory", "memory.max_usage_in_bytes"),
        }
        if failures := _number(path, "memory", "memory.failcnt"):
            found["failcnt"] = failures
    found["stats"] = stats
    found["limit"] = min(limit or memory_total(), memory_total())
    return found


def _device(text: str) -> tuple[int, int] | None:
    major, colon, minor = text.partition(":")
    return (int(major), int(minor)) if colon and major.isdigit() and minor.isdigit() else None


def _entry(device: tuple[int, int], operation: str, value: int) -> dict[str, Any]:
    return {"major": device[0], "minor": device[1], "op": operation, "value": value}


def _block_io(path: str) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(
        (
            "io_service_bytes_recursive",
            "io_serviced_recursive",
            "io_queue_recursive",
            "io_service_time_recursive",
            "io_wait_time_recursive",
            "io_merged_recursive",
            "io_time_recursive",
            "sectors_recursive",
        )
    )
    if cgroups.is_v2():
        text = _text(path, "", "io.stat")
        found["io_service_bytes_recursive"] = _io_stat(text, {"rbytes": "read", "wbytes": "write"})
        found["io_serviced_recursive"] = _io_stat(text, {"rios": "read", "wios": "write"})
    else:
        for key, name in (
            ("io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive"),
            ("io_serviced_recursive", "blkio.throttle.io_serviced_recursive"),
        ):
            found[key] = _throttle(_text(path, "blkio", name))
    return found


def _io_stat(text: str, names: dict[str, str]) -> list[dict[str, Any]]:
    """Lines "8:0 rbytes=1 wbytes=2 ..." of cgroup v2's io.stat."""
    found = []
    for line in text.splitlines():
        device, *words = line.split()
        numbers = _device(device)
        values = dict(word.partition("=")[::2] for word in words)
        if numbers is not None:
            found += [
                _entry(numbers, operation, int(values[name]))
                for name, operation in names.items()
                if values.get(name, "").isdigit()
            ]
    return found


def _throttle(text: str) -> list[dict[str, Any]]:
    """Lines "8:0 Read 123" of cgroup v1."""
    found = []
    for line in text.splitlines():
        words = line.split()
        numbers = _device(words[0]) if len(words) == 3 else None
        if numbers is not None:
            found.append(_entry(numbers, words[1].lower(), int(words[2])))
    return found


def _networks(pid: int) -> dict[str, dict[str, int]] | None:
    """Counters by interface (proc_pid_net(5) dev); None when it is the engine's own network."""
    try:
        if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
            return None
        text = Path(f"/proc/{pid}/net/dev").read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        if name.strip() != "lo":
            found[name.strip()] = {key: int(words[at]) for key, at in _NETWORK_COLUMNS}
    return found
