"""One file of a layer, as the image browser shows it."""

import os
import stat

from engine.linux.filetypes import Type as Type
from engine.linux.filetypes import type_of
from engine.values import dataclass


@dataclass(frozen=True)
class Entry:
    """A file with its metadata.

    path: absolute inside the image. mode: permission bits. size in bytes (0 but for files);
    modified in ns since the epoch. target: where a link points, else "". layer: index of the
    layer that it comes from, 0 is the lowest.
    """

    path: str
    type: Type
    mode: int
    size: int
    uid: int
    gid: int
    modified: int
    target: str
    layer: int


def entry_of(full: str, status: os.stat_result, path: str, layer: int) -> Entry:
    """The entry for `path`, which lies at `full` on the disk."""
    kind = type_of(status.st_mode)
    return Entry(
        path=path,
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        size=status.st_size if kind is Type.FILE else 0,
        uid=status.st_uid,
        gid=status.st_gid,
        modified=status.st_mtime_ns,
        target=os.readlink(full) if kind is Type.LINK else "",
        layer=layer,
    )
