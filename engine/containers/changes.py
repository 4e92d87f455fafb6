"""What a container changed in its root, as `docker diff` lists it."""

from collections.abc import Iterable, Iterator

from engine.snapshots.diff import Change, Kind

# made by the runtime as places to mount at, not by the container
_PLACES = frozenset(
    {
        "/dev",
        "/proc",
        "/sys",
        "/etc/hosts",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/etc/mtab",
        "/sbin/docker-init",
    }
)


def own_changes(found: Iterable[Change]) -> Iterator[Change]:
    """`found` (parents first) without the runtime's places, and folders changed only by those.

    The places of volumes stay in, as with dockerd.
    """
    kept = [
        change
        for change in found
        if change.path not in _PLACES and not change.path.startswith("/dev/")
    ]
    paths = sorted(change.path for change in kept)
    for change in kept:
        inside = f"{change.path}/"
        holds_place = any(place.startswith(inside) for place in _PLACES)
        if change.kind is Kind.MODIFIED and holds_place and not _any_below(paths, inside):
            continue
        yield change


def _any_below(paths: list[str], prefix: str) -> bool:
    return any(path.startswith(prefix) for path in paths)
