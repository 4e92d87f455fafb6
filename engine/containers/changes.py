"""What a container wrote into its root, as `docker diff` lists it: the overlay's upper folder."""

import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path


class Kind(IntEnum):
    """Docker's numbers for a change."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


# made by the runtime as places to mount at, not by the container
_PLACES = frozenset(
    {
        "/dev",
        "/dev/console",
        "/dev/pts",
        "/dev/shm",
        "/dev/mqueue",
        "/proc",
        "/sys",
        "/etc/hosts",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/etc/mtab",
        "/sbin/docker-init",
    }
)


def _below(lowers: Sequence[Path], path: str) -> bool:
    """Whether the image has `path`; the highest layer that knows of it decides."""
    for lower in lowers:
        try:
            status = os.lstat(f"{lower}{path}")
        except OSError:
            continue
        return not _is_whiteout(status)
    return False


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def changes(
    upper: Path, lowers: Sequence[Path], places: frozenset[str]
) -> Iterator[tuple[str, Kind]]:
    """(path, kind) of everything in `upper`, parents first; blocks.

    `lowers` are the image's layers, highest first; `places` the container's own mount points.
    """
    yield from _walk(str(upper), "/", lowers, _PLACES | places)


def _walk(
    upper: str, folder: str, lowers: Sequence[Path], places: frozenset[str]
) -> Iterator[tuple[str, Kind]]:
    with os.scandir(f"{upper}{folder}") as entries:
        found = sorted(entries, key=lambda one: one.name)
    for entry in found:
        path = posixpath.join(folder, entry.name)
        status = entry.stat(follow_symlinks=False)
        inner: list[tuple[str, Kind]] = []
        if stat.S_ISDIR(status.st_mode):
            inner = list(_walk(upper, path, lowers, places))
        if path in places or path.startswith("/dev/"):
            yield from inner
        elif _is_whiteout(status):
            yield path, Kind.DELETED
        elif not _below(lowers, path):
            yield path, Kind.ADDED
            yield from inner
        elif inner or not stat.S_ISDIR(status.st_mode) or not _only_holds_places(path, places):
            yield path, Kind.MODIFIED
            yield from inner


def _only_holds_places(path: str, places: frozenset[str]) -> bool:
    return any(place.startswith(f"{path}/") for place in places)
