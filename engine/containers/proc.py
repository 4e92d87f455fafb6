"""Refuses mounts over /proc: what stands there is believed by the OCI runtime and by its masks.

An image can ask for them by a volume, or by a link at the mount's destination. runc refuses them
in the same words.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.containers.paths import resolve_in
from engine.containers.record import Record
from engine.runtime.bundle import RuntimeFailure

# what programs such as lxcfs replace
_ALLOWED = frozenset(
    f"/proc/{name}"
    for name in (
        "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo"
        " sys/kernel/ns_last_pid sys/crypto/fips_enabled"
    ).split()
)
_MOST_TURNS = 255
_PREFIX = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: error during container init: error "
)


def refuse_mounts(root: Path, record: Record) -> None:
    """Look at the mounted root before anything runs in it. Raises RuntimeFailure."""
    for name in ("proc", "sys"):
        if (root / name).is_symlink():
            raise _failure(
                f'mounting "{name}" to rootfs at "/{name}": mount through symlink: filesystem '
                f'"{name}" must be mounted on ordinary directory'
            )
    mounted: dict[str, str] = {}
    for source, destination in sorted(_destinations(record), key=lambda each: each[1].count("/")):
        place = _place(root, mounted, destination)
        mounted[place] = source
        if place == "/proc" and os.path.realpath(source or "/") != "/proc":
            raise _unsafe(source, destination, f"{root}{place}", "not of type proc")
        if place.startswith("/proc/") and place not in _ALLOWED:
            raise _unsafe(source, destination, f"{root}{place}", "inside /proc")


def _place(root: Path, mounted: Mapping[str, str], destination: str) -> str:
    """Where a mount will lie, by the links of the image and of what is mounted before it."""
    place = destination
    for _ in range(_MOST_TURNS):
        found = "/" + os.path.relpath(resolve_in(root, place), root)
        above = [each for each in mounted if each != "/" and found.startswith(f"{each}/")]
        if not above:
            return found
        top = max(above, key=len)
        place = _through(mounted[top], top, found[len(top) + 1 :])
        if place == found:
            return found
    return "/proc/too-many-links"


def _through(source: str, top: str, path: str) -> str:
    """`path` below a mount at `top`, with its first link replaced by what that says."""
    parts = path.split("/")
    for number, part in enumerate(parts):
        try:
            target = os.readlink(os.path.join(source, *parts[: number + 1])) if source else ""
        except OSError:
            target = ""
        if part == ".." or target:
            folder = top if not number else f"{top}/{'/'.join(parts[:number])}"
            rest = "/".join(parts[number + 1 :])
            return os.path.normpath(os.path.join(folder, target or part, rest))
    return f"{top}/{path}"


def _destinations(record: Record) -> Iterator[tuple[str, str]]:
    for point in record.mounts:
        below = os.path.join(point.source, point.subpath) if point.subpath else point.source
        yield below, point.destination
    for target in record.host_config.get("Tmpfs") or {}:
        yield "", target


def _unsafe(source: str, destination: str, place: str, why: str) -> RuntimeFailure:
    return _failure(
        f'mounting "{source or "tmpfs"}" to rootfs at "{destination}": create mountpoint for '
        f"{destination} mount: check proc-safety of {destination} mount: "
        f'"{place}" cannot be mounted because it is {why}'
    )


def _failure(text: str) -> RuntimeFailure:
    return RuntimeFailure(f"{_PREFIX}{text}: unknown")
