"""What `RUN --mount` asks for: cache folders that last, files of stages and contexts, tmpfs."""

import asyncio
import contextlib
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from engine.builder.caches import Caches
from engine.builder.copying import copy_tree
from engine.builder.instructions import Mount as AskedMount
from engine.builder.instructions import MountType
from engine.builder.operations import MountOp
from engine.builder.threads import to_end
from engine.builder.tree import Tree
from engine.errors import BadRequest
from engine.linux import mounts, trees
from engine.linux.libc import open_in_root
from engine.linux.mounts import Mount
from engine.linux.removal import remove_tree
from engine.snapshots.store import Store as Snapshots
from engine.values import dataclass, field

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class Point:
    """A place in the container where something will be mounted."""

    target: str
    is_file: bool = False


@dataclass(frozen=True)
class Files:
    """Where a mount takes its files from: layers (chain ids), or the folder of a context."""

    chain: tuple[str, ...] = ()
    folder: Path | None = None


@dataclass
class Mounted:
    """Mounts for the runtime, and the points that must be there for them."""

    mounts: list[Mount] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def add(self, mount: Mount, *, is_file: bool = False) -> None:
        """One more."""
        self.mounts.append(mount)
        self.points.append(Point(mount.target, is_file))


class Mounting:
    """Prepares the mounts of RUN steps."""

    def __init__(self, snapshots: Snapshots, caches: Caches) -> None:
        self._snapshots = snapshots
        self._caches = caches
        self._filling = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def prepared(
        self, place: Path, asked: Sequence[MountOp], files: Sequence[Files | None]
    ) -> AsyncIterator[Mounted]:
        """The mounts of a step for the length of the block, below its folder `place`.

        Raises BadRequest for what can't be had.
        """
        found = Mounted()
        async with contextlib.AsyncExitStack() as stack:
            for number, (op, source) in enumerate(zip(asked, files, strict=True)):
                if op.mount.type is MountType.TMPFS:
                    found.add(_tmpfs(op))
                elif op.mount.type is MountType.CACHE:
                    found.add(await self._cache(stack, op, source))
                elif op.mount.type is MountType.BIND:
                    # a handful of quick system calls: not worth a thread
                    bound = self._bound(place / f"m{number}", op, source or Files())
                    mount, is_file = stack.enter_context(bound)
                    found.add(mount, is_file=is_file)
                else:
                    raise BadRequest(
                        f"RUN --mount=type={op.mount.type} needs a client that can hand it over "
                        "during the build: the classic builder's can't (build with BuildKit)"
                    )
            yield found

    async def _cache(
        self, stack: contextlib.AsyncExitStack, op: MountOp, source: Files | None
    ) -> Mount:
        mount = op.mount
        folder = await stack.enter_async_context(
            self._caches.held(mount.id or mount.target, mount.sharing, source_key(source, mount))
        )
        async with self._filling:  # who comes second finds it filled
            await to_end(self._fill, folder, op, source)
        options = ("rbind", "rprivate", *(("ro",) if mount.readonly else ()))
        return Mount("bind", str(folder / "data"), mount.target, options)

    def _fill(self, folder: Path, op: MountOp, source: Files | None) -> None:
        """Make a cache's folder at its first use, with the files that `from=` names."""
        data, mount = folder / "data", op.mount
        if data.exists():
            return
        fresh = folder / "new"
        remove_tree(fresh)  # of an engine that was killed meanwhile
        fresh.mkdir()
        if source is not None:
            self._copy(fresh, folder, op, source)
        fresh.chmod(0o755 if mount.mode is None else mount.mode)
        os.chown(fresh, mount.uid or 0, mount.gid or 0)
        fresh.rename(data)

    def _copy(self, fresh: Path, folder: Path, op: MountOp, source: Files) -> None:
        point = folder / "from"
        point.mkdir(exist_ok=True)
        with self._opened(point, source, writable=False) as root:
            found = Tree(_inside(root, op.mount.source))
            try:
                if not os.path.isdir(found.root):
                    raise BadRequest(f"source of a cache mount is no folder: {op.mount.source}")
                copy_tree(found, "", fresh)
            finally:
                found.close()
        point.rmdir()

    @contextlib.contextmanager
    def _bound(self, where: Path, op: MountOp, source: Files) -> Iterator[tuple[Mount, bool]]:
        """A bind mount; its files are mounted at `where` first, a path through them at `-at`."""
        mount = op.mount
        where.mkdir()
        with self._opened(where, source, writable=not mount.readonly) as root:
            found = _inside(root, mount.source)
            try:
                is_file = not stat.S_ISDIR(os.fstat(found).st_mode)
                pin = where.with_name(f"{where.name}-at")
                pin.touch() if is_file else pin.mkdir()
                target = os.open(pin, os.O_PATH | os.O_CLOEXEC)
                try:
                    trees.bind(found, target, writable=not mount.readonly)
                finally:
                    os.close(target)
            finally:
                os.close(found)
            try:
                options = ("rbind", "rprivate", *(("ro",) if mount.readonly else ()))
                yield Mount("bind", str(pin), mount.target, options), is_file
            finally:
                mounts.unmount(pin, lazy=True)

    @contextlib.contextmanager
    def _opened(self, where: Path, source: Files, *, writable: bool) -> Iterator[int]:
        """The root of the files as a descriptor, mounted at `where`; writes go nowhere."""
        if source.folder is not None and not writable:
            root = os.open(source.folder, _FOLDER)
            try:
                yield root
            finally:
                os.close(root)
            return
        what = self._snapshots.view_of(source.chain, where)
        if writable:
            upper, work = (where.with_name(f"{where.name}-{name}") for name in ("upper", "work"))
            upper.mkdir()
            work.mkdir()
            what = self._snapshots.overlay_of(source.chain, upper, work, where, below=source.folder)
        mounts.mount(what)
        try:
            root = os.open(where, _FOLDER)
            try:
                yield root
            finally:
                os.close(root)
        finally:
            mounts.unmount(where, lazy=True)


def source_key(source: Files | None, mount: AskedMount) -> str:
    """What tells caches of one id with different first contents apart."""
    if source is None:
        return ""
    text = "\0".join((*source.chain, mount.source))
    return hashlib.sha256(text.encode()).hexdigest()


def _inside(root: int, path: str) -> int:
    """A descriptor of a path below `root`. Raises BadRequest."""
    try:
        return open_in_root(root, path.lstrip("/") or ".", os.O_PATH)
    except OSError as error:
        raise BadRequest(
            f'failed to compute cache key: "/{path.lstrip("/")}": {(error.strerror or "").lower()}'
        ) from error


def _tmpfs(op: MountOp) -> Mount:
    size = (f"size={op.mount.size}",) if op.mount.size else ()
    return Mount("tmpfs", "tmpfs", op.mount.target, ("nosuid", "nodev", *size))
