"""Docker's defaults for a container's OCI config, as data."""

from dataclasses import replace
from typing import Any

from engine.linux.mounts import Mount

MOUNTS = (
    Mount("proc", "proc", "/proc", ("nosuid", "noexec", "nodev")),
    Mount("tmpfs", "tmpfs", "/dev", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    Mount(
        "devpts",
        "devpts",
        "/dev/pts",
        ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    ),
    Mount("sysfs", "sysfs", "/sys", ("nosuid", "noexec", "nodev", "ro")),
    Mount("cgroup", "cgroup", "/sys/fs/cgroup", ("ro", "nosuid", "noexec", "nodev")),
    Mount("mqueue", "mqueue", "/dev/mqueue", ("nosuid", "noexec", "nodev")),
)
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
RLIMITS = frozenset(
    "RLIMIT_" + name
    for name in (
        "AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME"
        " SIGPENDING STACK"
    ).split()
)


def _rule(type_: str, major: int | None, minor: int | None, access: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"allow": True, "type": type_, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


DEVICE_RULES: tuple[dict[str, Any], ...] = (
    {"allow": False, "access": "rwm"},
    _rule("c", None, None, "m"),
    _rule("b", None, None, "m"),
    _rule("c", 1, 3, "rwm"),  # null
    _rule("c", 1, 5, "rwm"),  # zero
    _rule("c", 1, 7, "rwm"),  # full
    _rule("c", 1, 8, "rwm"),  # random
    _rule("c", 1, 9, "rwm"),  # urandom
    _rule("c", 5, 0, "rwm"),  # tty
    _rule("c", 5, 1, "rwm"),  # console
    _rule("c", 5, 2, "rwm"),  # ptmx
    _rule("c", 136, None, "rwm"),  # pts
)


def shared_memory(size: int) -> Mount:
    """The /dev/shm of a container, `size` in bytes."""
    options = ("nosuid", "noexec", "nodev", "mode=1777", f"size={size}")
    return Mount("tmpfs", "shm", "/dev/shm", options)


def writable(mount: Mount) -> Mount:
    """`mount` without its read-only option."""
    return replace(mount, options=tuple(word for word in mount.options if word != "ro"))
