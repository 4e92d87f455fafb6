"""Limits on CPU, memory, processes and block devices, and their OCI form."""

from typing import Any

from engine.values import dataclass


@dataclass(frozen=True)
class DeviceWeight:
    """A relative weight (10-1000) of one block device."""

    major: int
    minor: int
    weight: int


@dataclass(frozen=True)
class DeviceRate:
    """A ceiling on one block device, in bytes or operations a second."""

    major: int
    minor: int
    rate: int


@dataclass(frozen=True)
class Resources:
    """Limits; zero or empty means none. Sizes are bytes, CPU times microseconds.

    `memory_swap` is Docker's: memory + swap together, -1 unlimited, 0 = twice the memory.
    """

    memory: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    kernel_memory_tcp: int = 0
    oom_kill_disable: bool = False
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int = 0  # -1 or 0: unlimited
    blkio_weight: int = 0
    blkio_weight_device: tuple[DeviceWeight, ...] = ()
    blkio_read_bps: tuple[DeviceRate, ...] = ()
    blkio_write_bps: tuple[DeviceRate, ...] = ()
    blkio_read_iops: tuple[DeviceRate, ...] = ()
    blkio_write_iops: tuple[DeviceRate, ...] = ()


def _memory(limits: Resources) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if limits.memory:
        found["limit"] = limits.memory
        # Docker's default: as much swap as memory
        found["swap"] = limits.memory_swap or limits.memory * 2
    elif limits.memory_swap == -1:
        found["swap"] = -1
    if limits.memory_reservation:
        found["reservation"] = limits.memory_reservation
    if limits.memory_swappiness is not None and limits.memory_swappiness >= 0:
        found["swappiness"] = limits.memory_swappiness
    if limits.kernel_memory_tcp:
        found["kernelTCP"] = limits.kernel_memory_tcp
    if limits.oom_kill_disable:
        found["disableOOMKiller"] = True
    return found


def _cpu(limits: Resources) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if limits.nano_cpus:
        found["period"] = 100_000
        found["quota"] = limits.nano_cpus * 100_000 // 1_000_000_000
    for key, value in (
        ("shares", limits.cpu_shares),
        ("period", limits.cpu_period),
        ("quota", limits.cpu_quota),
        ("realtimePeriod", limits.cpu_rt_period),
        ("realtimeRuntime", limits.cpu_rt_runtime),
        ("cpus", limits.cpuset_cpus),
        ("mems", limits.cpuset_mems),
    ):
        if value:
            found[key] = value
    return found


def _block_io(limits: Resources) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if limits.blkio_weight:
        found["weight"] = limits.blkio_weight
    if limits.blkio_weight_device:
        found["weightDevice"] = [
            {"major": one.major, "minor": one.minor, "weight": one.weight}
            for one in limits.blkio_weight_device
        ]
    for key, rates in (
        ("throttleReadBpsDevice", limits.blkio_read_bps),
        ("throttleWriteBpsDevice", limits.blkio_write_bps),
        ("throttleReadIOPSDevice", limits.blkio_read_iops),
        ("throttleWriteIOPSDevice", limits.blkio_write_iops),
    ):
        if rates:
            found[key] = [{"major": r.major, "minor": r.minor, "rate": r.rate} for r in rates]
    return found


def to_oci(limits: Resources) -> dict[str, Any]:
    """The `linux.resources` of an OCI config, without devices; crun converts it to cgroup v2."""
    found: dict[str, Any] = {}
    for key, part in (
        ("memory", _memory(limits)),
        ("cpu", _cpu(limits)),
        ("blockIO", _block_io(limits)),
    ):
        if part:
            found[key] = part
    if limits.pids_limit > 0:
        found["pids"] = {"limit": limits.pids_limit}
    return found
