"""Mounts with owners as a container's user namespace has them: what is 0 on the disk is root there.

The disk keeps the ids as they are inside, so that layers, volumes and commits are the same with
and without a user namespace.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from engine.errors import EngineError
from engine.linux import confined, identity, mounts, trees
from engine.linux.mounts import Mount
from engine.linux.userns import IdMap, Namespaces
from engine.values import dataclass


@dataclass(frozen=True)
class Isolated:
    """A user namespace, open until the runtime has entered it; `ids` are those it maps."""

    ids: IdMap
    namespaces: Namespaces

    @property
    def user(self) -> int:
        """The descriptor of the user namespace."""
        return self.namespaces.user

    @property
    def root(self) -> tuple[int, int]:
        """Who root inside is outside."""
        return self.ids.outside(0, 0)


def mount_root(
    engine_root: Path, target: Path, isolated: Isolated, what: Callable[[int], Mount]
) -> None:
    """Mount a container's overlay at `target`, made of layers with their owners mapped; blocks.

    `what` gives the mount for a descriptor of the engine's root, as a mapped mount shows it. That
    one is seen by the thread here alone and ends with it. Raises OSError, EngineError when the
    engine's file system can't do so.
    """

    def make() -> int:
        confined.leave_mounts()
        source, place = (os.open(path, os.O_PATH | os.O_CLOEXEC) for path in (engine_root, target))
        try:
            _map_whole(source, place, isolated, engine_root)
        finally:
            os.close(source)
            os.close(place)
        seen = os.open(target, os.O_PATH | os.O_CLOEXEC)
        try:
            mounts.mount(what(seen))
        finally:
            os.close(seen)
        return trees.clone(str(target))

    # overlayfs makes its own files as whoever mounted it: that must be an owner that it can write
    tree = identity.acting_as(*isolated.root, make)
    try:
        trees.place(tree, str(target))
    finally:
        os.close(tree)


def _map_whole(source: int, place: int, isolated: Isolated, root: Path) -> None:
    try:
        trees.bind_mapped(source, place, isolated.user, recursive=False)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise EngineError(
            f"enhanced isolation needs a file system with mapped owners (ext4, xfs, btrfs) at "
            f"{root}: move the engine's root, or use --security-opt cove.isolation=standard"
        ) from error


def bind_inside(source: int, target: int, isolated: Isolated, *, recursive: bool) -> None:
    """Mount what is at `source` over `target` with owners as inside, where that can be done."""
    try:
        trees.bind_mapped(source, target, isolated.user, recursive=recursive)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        trees.bind(source, target)
