"""From blobs to visible layers: unpack side by side, make visible in order, verify in between."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TypeVar

from engine.content.compression import Read
from engine.content.digest import chain_ids
from engine.content.store import Store as Content
from engine.errors import EngineError
from engine.images.model import Layer
from engine.snapshots.layers import Layers
from engine.snapshots.unpack import Limits, Unpacked, UnpackError, unpack
from engine.values import dataclass

T = TypeVar("T")
_THREADS = 6


class LayerInvalid(EngineError):
    """A layer is damaged, hostile or not what its image says."""


@dataclass(frozen=True)
class Unpacking:
    """A layer unpacked into a begun folder, not visible yet."""

    folder: Path
    result: Unpacked


@dataclass(frozen=True)
class Piece:
    """One layer to assemble: what it must be, and the blob that it comes from."""

    diff_id: str
    blob: str
    media_type: str


class Leases:
    """Blobs and layers that are being worked with; collecting leaves them alone.

    The two are kept apart: the lowest layer's chain id is also the digest of its plain blob.
    """

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def hold(self, blobs: Iterable[str] = (), layers: Iterable[str] = ()) -> Iterator[None]:
        """Hold blobs (digests) and layers (chain ids) for the length of the block."""
        names = [*blobs, *(f"layer {chain_id}" for chain_id in layers)]
        with self._lock:
            self._held.update(names)
        try:
            yield
        finally:
            with self._lock:
                self._held.subtract(names)
                self._held += Counter()

    def holds_blob(self, digest: str) -> bool:
        """Whether a blob is being worked with."""
        return self._held[digest] > 0

    def holds_layer(self, chain_id: str) -> bool:
        """Whether a layer is being worked with."""
        return self._held[f"layer {chain_id}"] > 0


class Assembler:
    """Makes layers out of blobs; each chain id only once, whoever asks at the same time."""

    def __init__(self, content: Content, layers: Layers, limits: Limits | None = None) -> None:
        self._content = content
        self._layers = layers
        self._limits = limits
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="unpack")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, function: Callable[[], T]) -> T:
        """Blocking work in the unpacking threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    def unpack(self, read: Read, seen: Callable[[int], None] | None = None) -> Unpacking:
        """Unpack a stream into a begun folder (blocks). Raises LayerInvalid, OSError."""
        folder = self._layers.begin()
        try:
            return Unpacking(folder, unpack(read, folder / "diff", seen, self._limits))
        except UnpackError as error:
            self._layers.discard(folder)
            raise LayerInvalid(str(error)) from error
        except BaseException:
            self._layers.discard(folder)
            raise

    def unpack_blob(self, digest: str) -> Unpacking:
        """Unpack a stored blob (blocks)."""
        with self._content.open(digest) as blob:
            return self.unpack(lambda size: blob.read(size) or b"")

    def discard(self, unpacking: Unpacking) -> None:
        """Throw an unpacked layer away (blocks)."""
        self._layers.discard(unpacking.folder)

    def commit(self, unpacking: Unpacking, chain_id: str, diff_id: str) -> None:
        """Make an unpacked layer visible. Raises LayerInvalid when it isn't what was promised."""
        found = unpacking.result
        if found.diff_id != diff_id:
            self._layers.discard(unpacking.folder)
            raise LayerInvalid(
                f"layer verification failed: the config promises {diff_id}, "
                f"the layer's content has {found.diff_id}"
            )
        self._layers.commit(unpacking.folder, chain_id, diff_id, found.size, found.entries)

    async def assemble(
        self,
        pieces: Sequence[Piece],
        known: Mapping[str, Layer],
        done: Callable[[int], None] | None = None,
    ) -> list[Layer]:
        """Layers of stored blobs, lowest first: those not `known` (by chain id) get unpacked.

        `done` hears the index of each that has become visible. Raises LayerInvalid.
        """
        chain = chain_ids(piece.diff_id for piece in pieces)
        tasks = [
            asyncio.ensure_future(self._unpack_missing(piece, chain_id in known))
            for piece, chain_id in zip(pieces, chain, strict=True)
        ]
        try:
            for index, (piece, chain_id) in enumerate(zip(pieces, chain, strict=True)):
                unpacking = await tasks[index]
                if unpacking is not None:
                    self.commit(unpacking, chain_id, piece.diff_id)
                if done is not None:
                    done(index)
        except BaseException:
            await self._clean(tasks)
            raise
        return [
            known.get(chain_id) or self.layer(piece, chain_id)
            for piece, chain_id in zip(pieces, chain, strict=True)
        ]

    def layer(self, piece: Piece, chain_id: str) -> Layer:
        """The record of a visible layer and its blob."""
        committed = self._layers.get(chain_id)
        if committed is None:
            raise LayerInvalid(f"layer {chain_id} vanished while it was wanted")
        size = self._content.size(piece.blob)
        return Layer(piece.diff_id, piece.blob, piece.media_type, size, committed.size)

    async def _unpack_missing(self, piece: Piece, known: bool) -> Unpacking | None:
        if known:
            return None
        # a visible layer without a record is no proof that this blob has its content
        return await self.run(lambda: self.unpack_blob(piece.blob))

    async def _clean(self, tasks: Sequence["asyncio.Future[Unpacking | None]"]) -> None:
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Unpacking) and result.folder.exists():
                await asyncio.to_thread(self.discard, result)
