"""Access to a container's files as the container sees them, running or not."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from engine.containers import archive, untar
from engine.containers.archive import PathStat, Write
from engine.containers.assemble import file_mounts
from engine.containers.changes import own_changes
from engine.containers.container import Container
from engine.containers.neighbours import Neighbours, Settings
from engine.containers.paths import is_folder, make_in
from engine.containers.record import Json, MountPoint, Record
from engine.containers.rootfs import Roots, open_source
from engine.containers.store import Store
from engine.containers.tasks import Tasks
from engine.containers.views import views
from engine.content import compression
from engine.errors import BadRequest, EngineError
from engine.linux import confined, identity, trees, userns
from engine.linux.pipes import Closed, Feed, Pipe
from engine.runtime import users

T = TypeVar("T")


class Rooms:
    """Stat, tar and untar inside containers. A stopped one can't start meanwhile."""

    def __init__(
        self,
        store: Store,
        roots: Roots,
        neighbours: Neighbours,
        settings: Settings,
        tasks: Tasks,
    ) -> None:
        self._store = store
        self._roots = roots
        self._neighbours = neighbours
        self._settings = settings
        self._tasks = tasks

    async def _inside(
        self, container: Container, work: Callable[[], T], *, bare: bool = False
    ) -> T:
        """Run `work` with the container's root as `/`; `bare` leaves its volumes and binds out."""
        running = container.running
        if container.live and running is not None and running.pid:
            pid = running.pid
            ids = userns.ids_of(pid) if container.record.id_base else None

            def enter_running() -> None:
                confined.enter_process(pid, lambda: running.signal(0))
                if bare:
                    confined.strip_root()
                if ids is not None:
                    identity.see_through(ids)

            return await confined.run(enter_running, work)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(container.lock)
            if container.unmounting is not None:
                await container.unmounting
            if container.live:  # it started while we waited
                await stack.aclose()
                return await self._inside(container, work, bare=bare)
            root = self._roots.path(container.id)

            def enter() -> None:
                what = self._neighbours.snapshots.mount_of(container.id, root)
                confined.enter_mounts(root, what, fill)

            def fill() -> None:
                if not bare:
                    for key, point in views(container.record):
                        self._roots.mount_view(key, point)
                    _mount_files(container.record, self._files_of(container), root)
                    _mount_points(container.record.mounts, root)

            return await confined.run(enter, work)

    def _files_of(self, container: Container) -> Path:
        """The folder with /etc/hosts and the like: that of the container whose network it joins."""
        mode = container.record.network_mode
        other = self._store.find(mode.partition(":")[2]) if mode.startswith("container:") else None
        return self._roots.folder((other or container).id)

    async def stat(self, reference: str, path: str) -> PathStat:
        """What is at `path`. Raises NotFound."""
        container = self._store.get(reference)
        return await self._inside(container, lambda: archive.stat_path(path, reference))

    async def get(self, reference: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """The stat of `path` and the pieces of its tar. Raises NotFound."""
        container = self._store.get(reference)
        known = await self.stat(reference, path)
        self._store.tell(container, "archive-path")
        return known, self._produce(
            container, lambda write: archive.pack(path, reference, write), bare=False
        )

    def export(self, reference: str) -> AsyncIterator[bytes]:
        """The pieces of the tar of the whole root, without volumes. Raises NotFound."""
        container = self._store.get(reference)
        self._store.tell(container, "export")
        return self._produce(container, archive.export, bare=True)

    async def _produce(
        self, container: Container, make: Callable[[Write], None], *, bare: bool
    ) -> AsyncIterator[bytes]:
        pipe = Pipe()

        def work() -> None:
            try:
                make(pipe.put)
            except Closed:
                return
            finally:
                pipe.end()

        task = self._tasks.spawn(self._inside(container, work, bare=bare), "archive")
        task.add_done_callback(lambda _: pipe.end())
        container.visits.add(pipe.cut)
        try:
            while (piece := await pipe.take()) is not None:
                yield piece
            await task
            if pipe.was_cut:  # an answer that breaks off, rather than one that looks whole
                raise EngineError(f"container {container.name} is being removed")
        finally:
            container.visits.discard(pipe.cut)
            pipe.close()

    async def put(
        self,
        reference: str,
        path: str,
        chunks: AsyncIterator[bytes],
        *,
        keep_kinds: bool,
        copy_owner: bool,
    ) -> None:
        """Extract a tar into the folder `path`. Raises NotFound, BadRequest, EngineError."""
        container = self._store.get(reference)
        config = container.record.config
        feed = Feed()
        # without a user of its own the container gets what the tar says
        owner = await self._owner(container) if copy_owner and config["User"] else None

        head = await _head(chunks)
        if compression.is_compressed(head):
            await asyncio.to_thread(compression.load)  # nothing can be imported inside

        def work() -> None:
            untar.unpack(
                path,
                reference,
                feed.pieces(),
                keep_kinds=keep_kinds,
                owner=owner,
                check=lambda where: _check_writable(container.record, where),
            )

        async def pump() -> None:
            try:
                await feed.put(head)
                async for chunk in chunks:
                    await feed.put(chunk)
            finally:
                feed.end()

        pumping = asyncio.create_task(pump())
        container.visits.add(feed.end)
        try:
            await self._inside(container, work)
        finally:
            container.visits.discard(feed.end)
            feed.close()
            await asyncio.gather(pumping, return_exceptions=True)
        self._store.tell(container, "extract-to-dir")

    async def changes(self, reference: str) -> list[Json]:
        """What the container wrote, as the rows of `docker diff`. Raises NotFound."""
        record = self._store.get(reference).record
        snapshots = self._neighbours.snapshots
        found = await asyncio.to_thread(lambda: list(own_changes(snapshots.changes(record.id))))
        return [{"Path": one.path, "Kind": int(one.kind)} for one in found]

    async def _owner(self, container: Container) -> tuple[int, int]:
        who = await self._inside(
            container,
            lambda: users.resolve(Path("/"), container.record.config["User"], ()),
        )
        return who.uid, who.gid


async def _head(chunks: AsyncIterator[bytes]) -> bytes:
    """Enough of the beginning to tell a compressed tar from a plain one."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= compression.HEAD:
            break
    return head


def _check_writable(record: Record, where: str) -> None:
    """Raises BadRequest when what holds the path is read-only."""
    above = [one for one in record.mounts if f"{where}/".startswith(f"{one.destination}/")]
    if above:
        if not max(above, key=lambda one: len(one.destination)).writable:
            raise BadRequest("mounted volume is marked read-only")
    elif record.host_config["ReadonlyRootfs"]:
        raise BadRequest("container rootfs is marked read-only")


def _mount_files(record: Record, folder: Path, root: Path) -> None:
    """What the engine writes for the container, as its last run has left it."""
    for one in file_mounts(record, folder):
        source = os.open(one.source, os.O_PATH | os.O_CLOEXEC)
        try:
            target = make_in(root, one.target, folder=False)
            try:
                trees.bind(source, target)
            finally:
                os.close(target)
        finally:
            os.close(source)


def _mount_points(points: Sequence[MountPoint], root: Path) -> None:
    """Volumes and binds into a mounted root. Other containers may be changing them meanwhile."""
    for point in sorted(points, key=lambda one: one.destination.count("/")):
        if point.type == "tmpfs":
            continue
        try:
            source = open_source(point)
        except (OSError, EngineError):
            continue  # gone: there is nothing to look into
        try:
            target = make_in(root, point.destination, folder=is_folder(source))
            try:
                trees.bind(source, target, writable=point.writable)
            finally:
                os.close(target)
        finally:
            os.close(source)
