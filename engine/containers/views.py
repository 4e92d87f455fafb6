"""Images among a container's mounts (`--mount type=image`): each a snapshot of its own, read-only.

The snapshot keeps the image's layers for as long as the container exists.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from engine.containers.record import MountPoint, Record
from engine.images.model import Image

IMAGE = "image"
_KEY = re.compile(r"([0-9a-f]{64})-\d+")


def settle(points: Sequence[MountPoint], folder: Path, resolve: Callable[[str], Image]) -> None:
    """Find the images of a new container's mounts; `folder` is the container's.

    Raises NotFound for an image that isn't there.
    """
    for number, point in enumerate(points):
        if point.type == IMAGE:
            image = resolve(point.name)
            point.options = {"image": image.id, "chain": list(image.chain_ids)}
            point.source = str(folder / "pins" / f"{number}.image")


def views(record: Record) -> Iterator[tuple[str, MountPoint]]:
    """(key of the snapshot, mount point) of each image among the mounts."""
    for number, point in enumerate(record.mounts):
        if point.type == IMAGE:
            yield f"{record.id}-{number}", point


def owner_of(key: str) -> str:
    """The id of the container whose view has this snapshot; the key itself when it's no view's."""
    match = _KEY.fullmatch(key)
    return match[1] if match else key
