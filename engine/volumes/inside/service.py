"""What the API asks of a volume's files: short looks and changes, and long work with progress.

Long work runs in threads of its own and is an asynchronous iterator: whoever closes it early (the
client is gone) stops the threads, and what they made is taken away again.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

from engine.content import compression
from engine.errors import EngineError
from engine.linux import threads
from engine.linux.pipes import Closed, Feed, Pipe
from engine.values import dataclass
from engine.volumes.inside import browse, edit, unpacking
from engine.volumes.inside.browse import Entry
from engine.volumes.inside.copying import Copier
from engine.volumes.inside.edit import KEPT, Owner
from engine.volumes.inside.gzip import compressing
from engine.volumes.inside.packing import Packer
from engine.volumes.inside.progress import Progress
from engine.volumes.inside.walk import Stopped, Sum, measure
from engine.volumes.local import is_plain
from engine.volumes.store import LOOKING, Store
from engine.volumes.volume import ANONYMOUS_LABEL, Volume, check_name

T = TypeVar("T")
_INTERVAL = 0.25  # seconds between two words about the progress


@dataclass(frozen=True)
class Step:
    """How far a copy has come; `total` is 0 until it is known."""

    bytes: int
    files: int
    total: int


class Inside:
    """The files of the volumes of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, name: str, path: str, after: str, limit: int) -> tuple[list[Entry], int]:
        """Up to `limit` entries of a folder behind the name `after`, and how many it has."""
        return await self._ask(name, lambda root: browse.page(root, path, after, limit))

    async def look(self, name: str, path: str) -> Entry:
        """One entry; a link itself, not its target. Raises NotFound."""
        return await self._ask(name, lambda root: browse.look(root, path))

    async def open(self, name: str, path: str) -> tuple[Entry, BinaryIO]:
        """A plain file and its content; the caller closes it."""
        return await self._ask(name, lambda root: browse.open_file(root, path))

    async def make_folder(self, name: str, path: str, owner: Owner = KEPT) -> Entry:
        """Make a folder. Raises Conflict."""
        return await self._ask(
            name, lambda root: edit.make_folder(root, path, owner), holder=_holder("write")
        )

    async def delete(self, name: str, path: str, *, recursive: bool) -> None:
        """Delete a file, or a folder. Raises Conflict for one with files unless `recursive`."""
        await self._ask(
            name,
            lambda root: edit.delete(root, path, recursive=recursive),
            holder=_holder("write"),
        )

    async def _ask(self, name: str, question: Callable[[Path], T], holder: str = "") -> T:
        async with self._store.hold(name, holder or _looker()) as root:
            return await asyncio.to_thread(question, root)

    async def write(
        self, name: str, path: str, chunks: AsyncIterator[bytes], owner: Owner = KEPT
    ) -> Entry:
        """Put a file in place of what is at `path`; nothing changes when the chunks break off."""
        async with self._store.hold(name, _holder("write")) as root:
            return await _feed(
                chunks,
                lambda pieces: threads.apart(
                    lambda: edit.write(root, path, pieces, owner), "volume-write"
                ),
            )

    async def size(self, name: str) -> Sum:
        """What the volume holds; cancelled, it stops."""
        progress = Progress()
        async with self._store.hold(name, _looker()) as root:

            def work() -> Sum:
                return _with_root(root, lambda fd: measure(fd, progress.stopped))

            return await _until(threads.apart(work, "volume-size"), progress)

    async def clone(
        self, name: str, new: str, labels: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Step | Volume, None]:
        """Steps, then the new volume. Without `labels` it has those of the first one.

        Closed early, or failed, it leaves no volume. Raises NotFound, Conflict, EngineError.
        """
        source = self._store.get(name)
        self._store.check_free(new)
        if labels is None and source.labels is not None:
            kept = {key: text for key, text in source.labels.items() if key != ANONYMOUS_LABEL}
            labels = kept or None
        progress = Progress()
        async with self._store.hold(name, _holder("clone")) as root:
            staging = await self._store.stage()
            try:
                task = asyncio.create_task(
                    threads.apart(lambda: _copy(root, staging, progress), "volume-clone")
                )
                async with contextlib.aclosing(_steps(task, progress)) as steps:
                    async for step in steps:
                        yield step
                adopting = self._store.adopt(staging, new, labels)
                yield await asyncio.shield(asyncio.create_task(adopting))
            finally:
                await self._store.discard(staging)

    async def export(self, name: str, *, compressed: bool = False) -> AsyncGenerator[bytes, None]:
        """The pieces of a tar of everything, by gzip if `compressed`. NotFound, EngineError."""
        progress = Progress()
        async with self._store.hold(name, _holder("export")) as root:
            pipe = Pipe()
            task = asyncio.create_task(
                threads.apart(lambda: _pack(root, pipe, progress, compressed), "volume-export")
            )
            task.add_done_callback(lambda _: pipe.end())
            try:
                while (piece := await pipe.take()) is not None:
                    yield piece
                await task
            finally:
                progress.stop()
                pipe.close()
                await asyncio.gather(task, return_exceptions=True)

    async def import_(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        path: str = "/",
        replace: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> tuple[Volume, bool]:
        """Unpack a tar (plain, gzip, bzip2, xz, zstd); the volume, and whether it's new.

        A volume that isn't there is made, with the tar's owner and mode for its folder; broken
        off, there is none. With `replace` the tar's files take the place of all that the volume
        holds, at the end and in one step (a volume with a mount of its own is emptied first).
        Else they're put beside them, into the folder `path`.
        Raises BadRequest for what is no tar, Conflict, NotFound, EngineError.
        """
        head = await _head(chunks)
        if compression.is_compressed(head):
            await asyncio.to_thread(compression.load)  # nothing can be imported inside
        pieces = _joined(head, chunks)
        try:
            self._store.get(name)
        except EngineError:
            check_name(name)
            return await self._import_new(name, pieces, labels, path), True
        holder = _holder("import")
        async with self._store.hold(name, holder) as root:
            if replace:
                await self._replace(name, pieces, holder, path)
            else:
                await self._unpack(root, path, pieces, dress=False)
        return self._store.get(name), False

    async def _import_new(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        labels: Mapping[str, str] | None,
        path: str,
    ) -> Volume:
        staging = await self._store.stage()
        try:
            await self._unpack(staging, path, chunks, dress=True)
            adopting = self._store.adopt(staging, name, labels)
            return await asyncio.shield(asyncio.create_task(adopting))
        finally:
            await self._store.discard(staging)

    async def _replace(
        self, name: str, chunks: AsyncIterator[bytes], holder: str, path: str
    ) -> None:
        self._store.check_replaceable(name, holder)
        if not is_plain(self._store.get(name)):  # what is mounted can't be exchanged
            root = self._store.get(name).mountpoint
            await asyncio.to_thread(edit.clear, root)
            await self._unpack(root, path, chunks, dress=True)
            return
        staging = await self._store.stage()
        try:
            await self._unpack(staging, path, chunks, dress=True)
            exchanging = self._store.exchange(staging, name, holder)
            await asyncio.shield(asyncio.create_task(exchanging))
        finally:
            await self._store.discard(staging)

    async def _unpack(
        self, root: Path, path: str, chunks: AsyncIterator[bytes], *, dress: bool
    ) -> None:
        await _feed(
            chunks, lambda pieces: unpacking.unpack(self._store.folder, root, path, pieces, dress)
        )


def _looker() -> str:
    return f"{LOOKING}{os.urandom(4).hex()}"


def _holder(word: str) -> str:
    return f"cove-{word}-{os.urandom(4).hex()}"


def _with_root(root: Path, work: Callable[[int], T]) -> T:
    fd = browse.open_root(root)
    try:
        return work(fd)
    finally:
        os.close(fd)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    def work(fd: int) -> None:
        progress.total = measure(fd, progress.stopped).size
        _with_root(target, lambda goal: Copier(fd, goal, progress).run())

    try:
        _with_root(source, work)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise EngineError(f"can't copy the volume: {where}{error.strerror or error}") from error


def _pack(root: Path, pipe: Pipe, progress: Progress, compressed: bool) -> None:
    try:
        if compressed:
            with compressing(pipe.put) as put:
                _with_root(root, Packer(put, progress).run)
        else:
            _with_root(root, Packer(pipe.put, progress).run)
    except (Closed, Stopped):
        return
    finally:
        with contextlib.suppress(Closed):
            pipe.end()


async def _until(work: Awaitable[T], progress: Progress) -> T:
    """Await work in a thread; cancelled, stop it and wait for its end."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    finally:
        progress.stop()
        await asyncio.gather(task, return_exceptions=True)


async def _steps(task: "asyncio.Task[None]", progress: Progress) -> AsyncGenerator[Step, None]:
    """Words about the progress until the task ends; raises what it raises."""
    try:
        ended = False
        while not ended:
            yield Step(progress.bytes, progress.files, progress.total)
            ended = bool((await asyncio.wait({task}, timeout=_INTERVAL))[0])
        yield Step(progress.bytes, progress.files, progress.total)
        await task
    finally:
        progress.stop()
        await asyncio.gather(task, return_exceptions=True)


async def _head(chunks: AsyncIterator[bytes]) -> bytes:
    """Enough of the beginning to tell a compressed tar from a plain one."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= compression.HEAD:
            break
    return head


async def _joined(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for chunk in chunks:
        yield chunk


async def _feed(
    chunks: AsyncIterator[bytes], start: Callable[[Iterator[bytes]], Awaitable[T]]
) -> T:
    """Give chunks to a thread: `start(pieces)` awaits its work, `pieces` are for the thread.

    When the chunks break off the pieces raise Stopped, so that no part is taken for the whole;
    this then raises what the chunks raised.
    """
    feed, progress = Feed(), Progress()

    def pieces() -> Iterator[bytes]:
        yield from feed.pieces()
        if progress.stopped():
            raise Stopped

    async def pump() -> None:
        try:
            async for chunk in chunks:
                await feed.put(chunk)
        except BaseException:
            progress.stop()
            raise
        finally:
            feed.end()

    pumping = asyncio.create_task(pump())
    task = asyncio.ensure_future(start(pieces()))
    try:
        return await asyncio.shield(task)
    except Stopped:
        await pumping
        raise
    finally:
        if not task.done():  # the caller is cancelled
            progress.stop()
        pumping.cancel()  # the rest isn't wanted
        feed.close()
        await asyncio.gather(task, pumping, return_exceptions=True)
