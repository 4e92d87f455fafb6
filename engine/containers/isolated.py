"""The user namespace of a container that starts, and what it needs of the machine's owners."""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.containers.container import Container
from engine.containers.isolation import ENHANCED, JOINED, OPTION, STANDARD, joins
from engine.containers.mapped import Isolated
from engine.containers.record import MountPoint, Record
from engine.containers.rootfs import open_source
from engine.errors import BadRequest, Conflict, EngineError
from engine.linux import trees, userns
from engine.linux.userns import IdMap

Find = Callable[[str], Container]


async def isolate(record: Record, find: Find, folder: Path, socket: Path) -> Isolated:
    """The namespaces that a container with enhanced isolation is about to get.

    `folder` holds the containers, `socket` is the engine's own. Raises EngineError for what can't
    be had together.
    """
    binds = [point for point in record.mounts if point.type in ("bind", "volume")]
    await asyncio.to_thread(_check_way, folder)
    await asyncio.to_thread(_refuse_socket, binds, socket)
    if record.id_base == JOINED:
        return _join(record, find)
    try:
        return await _make(record.id_base, binds)
    except OSError as error:
        raise EngineError(f"can't make a user namespace: {error.strerror or error}") from error


def _check_way(folder: Path) -> None:
    """Root inside has to reach its own files, as one of the others that modes speak of."""
    for place in (folder, *folder.parents):
        if not place.stat().st_mode & 0o001:
            raise EngineError(
                f"{ENHANCED} isolation needs folders that others may pass: {place} is closed to "
                f"them. Choose another --root, or chmod o+x {place}"
            )


def _refuse_socket(binds: Iterable[MountPoint], socket: Path) -> None:
    for point in binds:
        if os.path.realpath(point.source) == os.path.realpath(socket):
            raise EngineError(
                f"the engine's socket can't be mounted with {ENHANCED} isolation: who reaches it "
                f"is root outside. Use --security-opt {OPTION}={STANDARD}"
            )


def _join(record: Record, find: Find) -> Isolated:
    """The one user namespace of the containers that are joined."""
    found: Isolated | None = None
    seen = 0
    for name in joins(record.host_config):
        other = find(name)
        running = other.running
        if not other.live or running is None:
            raise Conflict(f"cannot join namespaces of a non running container: {other.id}")
        if not other.record.id_base:
            raise EngineError(
                f"cannot join namespaces of container {other.name}: it has {STANDARD} isolation. "
                f"Use --security-opt {OPTION}={STANDARD} here or {OPTION}={ENHANCED} there"
            )
        inode = os.stat(f"/proc/{running.pid}/ns/user").st_ino
        if found is not None:
            if inode == seen:
                continue
            found.namespaces.close()
            raise EngineError("cannot join containers that have different user namespaces")
        seen = inode
        ids = userns.ids_of(running.pid)
        if ids is None:
            raise EngineError(f"container {other.name} has no user namespace")
        found = Isolated(ids, userns.join(running.pid))
    assert found is not None
    return found


async def _make(base: int, points: Iterable[MountPoint]) -> Isolated:
    ids = IdMap(base)
    namespaces = await userns.make(ids)
    try:
        owners = [owner for point in points for owner in _foreign(point, namespaces.user)]
        if owners:
            uids, gids = (tuple(sorted(set(column))) for column in zip(*owners, strict=True))
            ids = IdMap(base, uids, gids)
            namespaces.close()
            namespaces = await userns.make(ids)
    except BaseException:
        namespaces.close()
        raise
    return Isolated(ids, namespaces)


def _foreign(point: MountPoint, user: int) -> list[tuple[int, int]]:
    """The owner of a source that is written to and whose file system can't translate owners.

    The container gets that one owner as it is. Raises BadRequest when it's root.
    """
    source = open_source(point)
    try:
        if trees.can_map(source, user) or not point.writable:
            return []
        status = os.fstat(source)
    finally:
        os.close(source)
    if 0 in (status.st_uid, status.st_gid):
        raise BadRequest(
            f"{point.shown_source or point.source} belongs to root on a file system that can't "
            f"translate owners: a container with {ENHANCED} isolation could not write there. "
            f"Mount it read-only, use a volume, or --security-opt {OPTION}={STANDARD}"
        )
    return [(status.st_uid, status.st_gid)]
