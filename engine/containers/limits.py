"""Resource limits of a HostConfig: checked in Docker's words, turned into the runtime's."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import BadRequest
from engine.runtime.resources import DeviceRate, DeviceWeight, Resources
from engine.values import dataclass

MINIMUM_MEMORY = 6 << 20


@dataclass(frozen=True)
class Machine:
    """What the machine offers: CPUs and NUMA nodes by number, cgroup version, I/O weights.

    `cpu_realtime`: budgets for real-time processes, which only cgroup v1 can have.
    """

    cpus: frozenset[int]
    nodes: frozenset[int]
    cgroup_v2: bool
    blkio_weight: bool = True
    cpu_realtime: bool = False


def parse_set(text: str) -> frozenset[int] | None:
    """`0-2,7` -> numbers; None when malformed."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            return None
        low, high = int(first), int(last or first)
        if high < low or high > 8192:
            return None
        found.update(range(low, high + 1))
    return frozenset(found)


def format_set(numbers: frozenset[int]) -> str:
    """The opposite of `parse_set`: `0-2,7`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def this_machine(cgroup_v2: bool) -> Machine:
    """The machine that the engine runs on."""

    def read(path: str) -> frozenset[int]:
        try:
            with open(path, encoding="ascii") as file:
                return parse_set(file.read().strip()) or frozenset({0})
        except OSError:
            return frozenset({0})

    cpus = frozenset(os.sched_getaffinity(0))
    return Machine(
        cpus,
        read("/sys/devices/system/node/online"),
        cgroup_v2,
        _has_weights(),
        cpu_realtime=Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists(),
    )


def _has_weights() -> bool:
    """Whether some I/O scheduler of the kernel knows weights, by the files of the cgroup tree."""
    names = ("blkio/blkio.weight", "blkio/blkio.bfq.weight", "*/io.weight", "*/io.bfq.weight")
    root = Path("/sys/fs/cgroup")
    return any(next(root.glob(name), None) is not None for name in names)


def _check_memory(host: Mapping[str, Any]) -> None:
    memory, swap = host.get("Memory") or 0, host.get("MemorySwap") or 0
    reservation = host.get("MemoryReservation") or 0
    if memory and memory < MINIMUM_MEMORY:
        raise BadRequest("Minimum memory limit allowed is 6MB")
    if memory > 0 and swap > 0 and swap < memory:
        raise BadRequest("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory == 0 and swap > 0:
        raise BadRequest(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    swappiness = host.get("MemorySwappiness")
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise BadRequest(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if reservation and reservation < MINIMUM_MEMORY:
        raise BadRequest("Minimum memory reservation allowed is 6MB")
    if memory and reservation and memory < reservation:
        raise BadRequest(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )


def _check_cpu(host: Mapping[str, Any], machine: Machine) -> None:
    nano, period = host.get("NanoCpus") or 0, host.get("CpuPeriod") or 0
    quota = host.get("CpuQuota") or 0
    for value, word in ((period, "CPU Period"), (quota, "CPU Quota")):
        if nano and value:
            raise BadRequest(f"Conflicting options: Nano CPUs and {word} cannot both be set")
    count = len(machine.cpus)
    if nano and not 10_000_000 <= nano <= count * 1_000_000_000:
        raise BadRequest(
            f"range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
        )
    if period and not 1000 <= period <= 1_000_000:
        raise BadRequest(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if quota > 0 and quota < 1000:
        raise BadRequest("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if (host.get("CpuShares") or 0) < 0:
        raise BadRequest(
            f"invalid CPU shares ({host['CpuShares']}): value must be a positive integer"
        )
    _check_realtime(host, machine)
    for key, word, available in (
        ("CpusetCpus", "CPUs", machine.cpus),
        ("CpusetMems", "memory nodes", machine.nodes),
    ):
        _check_set(host.get(key) or "", key, word, available)


def _check_realtime(host: Mapping[str, Any], machine: Machine) -> None:
    period, runtime = host.get("CpuRealtimePeriod") or 0, host.get("CpuRealtimeRuntime") or 0
    if not (period or runtime):
        return
    if not machine.cpu_realtime:
        raise BadRequest("Your kernel does not support CPU realtime scheduler")
    if period and runtime > period:
        raise BadRequest("cpu real-time runtime cannot be higher than cpu real-time period")


def _check_set(text: str, key: str, word: str, available: frozenset[int]) -> None:
    if not text:
        return
    asked = parse_set(text)
    if asked is None:
        kind = "cpus" if key == "CpusetCpus" else "mems"
        raise BadRequest(f"Invalid value {text} for cpuset {kind}: invalid format: {text}")
    if not asked <= available:
        shown = format_set(available)
        raise BadRequest(
            f"Requested {word} are not available - requested {text}, available: {shown}"
        )


def _check_blkio(host: Mapping[str, Any], machine: Machine) -> None:
    if not machine.blkio_weight:
        return
    weight = host.get("BlkioWeight") or 0
    if weight and not 10 <= weight <= 1000:
        raise BadRequest("Range of blkio weight is from 10 to 1000")
    for one in host.get("BlkioWeightDevice") or ():
        if not 10 <= (one.get("Weight") or 0) <= 1000:
            raise BadRequest("Range of blkio weight is from 10 to 1000")


def check(host: Mapping[str, Any], machine: Machine) -> list[str]:
    """Warnings about limits that this machine can't keep. Raises BadRequest on invalid ones."""
    _check_memory(host)
    _check_cpu(host, machine)
    _check_blkio(host, machine)
    for key, word in (("IOMaximumIOps", "IOPs"), ("IOMaximumBandwidth", "bandwidth")):
        if host.get(key):
            raise BadRequest(
                f"invalid option: QoS maximum {word} configuration is not supported on linux"
            )
    adjustment = host.get("OomScoreAdj") or 0
    if not -1000 <= adjustment <= 1000:
        raise BadRequest(f"Invalid value {adjustment}, range for oom score adj is [-1000, 1000]")
    if (host.get("ShmSize") or 0) < 0:
        raise BadRequest("SHM size can not be less than 0")
    return list(_warnings(host, machine))


def _warnings(host: Mapping[str, Any], machine: Machine) -> Iterator[str]:
    if host.get("KernelMemory"):
        yield "Specifying a kernel memory limit is not supported. Limit discarded."
    for key, word, short in (
        ("BlkioWeight", "weight", "Weight"),
        ("BlkioWeightDevice", "weight_device", "Weight-device"),
    ):
        if host.get(key) and not machine.blkio_weight:
            yield (
                f"Your kernel does not support Block I/O {word} or the cgroup is not mounted. "
                f"{short} discarded."
            )
    if machine.cgroup_v2:
        if host.get("MemorySwappiness") not in (None, -1):
            yield (
                "Your kernel does not support memory swappiness capabilities or the cgroup is not "
                "mounted. Memory swappiness discarded."
            )
        if host.get("OomKillDisable"):
            yield "Your kernel does not support OomKillDisable. OomKillDisable discarded."
        if host.get("KernelMemoryTCP"):
            yield "Your kernel does not support kernel memory TCP limits. Limit discarded."
    elif host.get("OomKillDisable") and not host.get("Memory"):
        yield (
            "OOM killer is disabled for the container, but no memory limit is set, "
            "this can result in the system running out of resources."
        )
    for key, word in (("CpuCount", "count"), ("CpuPercent", "percent")):
        if host.get(key):
            yield f"linux does not support CPU {word}. {word.capitalize()} discarded."


def settle(host: dict[str, Any], machine: Machine) -> None:
    """Take out of a new container's HostConfig what `check` told that it's discarded."""
    host.pop("KernelMemory", None)
    if machine.cgroup_v2:
        host["OomKillDisable"] = host["MemorySwappiness"] = None
        host.pop("KernelMemoryTCP", None)
    else:
        host["OomKillDisable"] = bool(host["OomKillDisable"])
    if not machine.blkio_weight:
        host["BlkioWeight"] = 0
        host["BlkioWeightDevice"] = host["BlkioWeightDevice"] and []
    host["CpuCount"] = host["CpuPercent"] = 0


def _device_numbers(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise BadRequest(f"no such device: {path}: {error.strerror}") from error
    if not stat.S_ISBLK(status.st_mode) and not stat.S_ISCHR(status.st_mode):
        raise BadRequest(f"{path} is not a device")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _rates(entries: Sequence[Mapping[str, Any]] | None) -> tuple[DeviceRate, ...]:
    return tuple(
        DeviceRate(*_device_numbers(one.get("Path") or ""), int(one.get("Rate") or 0))
        for one in entries or ()
    )


def resources(host: Mapping[str, Any], machine: Machine) -> Resources:
    """The limits in the runtime's terms; those that `check` warned about are left out."""
    swappiness = host.get("MemorySwappiness")
    return Resources(
        memory=host.get("Memory") or 0,
        memory_reservation=host.get("MemoryReservation") or 0,
        memory_swap=host.get("MemorySwap") or 0,
        memory_swappiness=None if machine.cgroup_v2 or swappiness == -1 else swappiness,
        kernel_memory_tcp=0 if machine.cgroup_v2 else host.get("KernelMemoryTCP") or 0,
        oom_kill_disable=bool(host.get("OomKillDisable")) and not machine.cgroup_v2,
        nano_cpus=host.get("NanoCpus") or 0,
        cpu_shares=host.get("CpuShares") or 0,
        cpu_period=host.get("CpuPeriod") or 0,
        cpu_quota=host.get("CpuQuota") or 0,
        cpu_rt_period=host.get("CpuRealtimePeriod") or 0,
        cpu_rt_runtime=host.get("CpuRealtimeRuntime") or 0,
        cpuset_cpus=host.get("CpusetCpus") or "",
        cpuset_mems=host.get("CpusetMems") or "",
        pids_limit=host.get("PidsLimit") or 0,
        blkio_weight=(host.get("BlkioWeight") or 0) if machine.blkio_weight else 0,
        blkio_weight_device=tuple(
            DeviceWeight(*_device_numbers(one.get("Path") or ""), int(one.get("Weight") or 0))
            for one in (host.get("BlkioWeightDevice") or () if machine.blkio_weight else ())
        ),
        blkio_read_bps=_rates(host.get("BlkioDeviceReadBps")),
        blkio_write_bps=_rates(host.get("BlkioDeviceWriteBps")),
        blkio_read_iops=_rates(host.get("BlkioDeviceReadIOps")),
        blkio_write_iops=_rates(host.get("BlkioDeviceWriteIOps")),
    )
