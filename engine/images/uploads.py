"""Layers on their way to a registry: what it has already, what it can mount, what must be sent.

A layer that lies here as a plain tar is compressed while it is sent, once: its images stand on the
smaller blob from then on. A pulled layer goes out byte by byte as it came.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from engine.content.store import Blob, Ingest
from engine.images.downloads import bar
from engine.images.model import Layer
from engine.images.reference import Reference
from engine.images.removal import short
from engine.images.streams import Cancelled, Progress
from engine.linux.threads import apart
from engine.registry import media
from engine.registry.client import Client
from engine.registry.errors import RegistryError
from engine.values import dataclass, replace

if TYPE_CHECKING:
    from engine.images.store import Store

_log = logging.getLogger(__name__)
_CHUNK = 1 << 18
_READ = 1 << 20
_STEP = 1 << 21  # bytes between two progress lines
_GZIP_LEVEL = 1
_SOURCES = 3  # repositories that are tried for a mount
PLAIN = frozenset({media.DOCKER_PLAIN_LAYER, media.OCI_LAYER})


@dataclass
class Upload:
    """One push: where to, who listens, and whether it still matters."""

    client: Client
    progress: Progress
    cancelled: bool = False

    def check(self) -> None:
        """Raises Cancelled when nobody waits any more."""
        if self.cancelled:
            raise Cancelled("the push was cancelled")


async def push_layer(
    store: "Store", upload: Upload, layer: Layer, reference: Reference, slots: asyncio.Semaphore
) -> Layer:
    """Bring one layer to the registry, and say what blob it is there.

    Raises RegistryError, Unreachable, OSError, Cancelled.
    """
    if slots.locked():
        upload.progress.emit(status="Waiting", progressDetail={}, id=short(layer.diff_id))
    async with slots:
        if layer.media_type in PLAIN:
            layer = await _kept(store, layer)
        if layer.media_type in PLAIN:
            return await _send_packing(store, upload, layer)
        sources = _sources(store, layer, reference)
        await apart(lambda: _send(store, upload, layer, sources), "push")
        return layer


def _sources(store: "Store", layer: Layer, reference: Reference) -> list[str]:
    """Repositories of the same registry that have the layer, as far as we know."""
    found: list[str] = []
    for image in store.catalogue:
        if any(each.blob == layer.blob for each in image.layers):
            for each in store.catalogue.references(image.id):
                if each.digest and each.domain == reference.domain and each.path != reference.path:
                    found.append(each.path)
    return list(dict.fromkeys(found))


def _send(store: "Store", upload: Upload, layer: Layer, sources: Sequence[str]) -> None:
    identity, emit = short(layer.diff_id), upload.progress.emit
    upload.check()
    if upload.client.has_blob(layer.blob):
        emit(status="Layer already exists", progressDetail={}, id=identity)
        return
    location = ""
    for source in sources[:_SOURCES]:
        try:
            location = upload.client.mount(layer.blob, source)
        except RegistryError as error:
            if error.http_status not in (400, 401, 403, 404, 405):
                raise
            continue  # not ours to read, or no mounts here: send it
        if not location:
            emit(status=f"Mounted from {source}", progressDetail={}, id=identity)
            return
        break
    pieces = _pieces(store, upload, layer, identity)
    location = location or upload.client.begin_upload()
    upload.client.upload(location, layer.blob, layer.blob_size, pieces)
    emit(status="Pushed", progressDetail={}, id=identity)


def _pieces(store: "Store", upload: Upload, layer: Layer, identity: str) -> Iterator[bytes]:
    sent = told = 0
    with store.content.open(layer.blob) as file:
        while piece := file.read(_CHUNK):
            upload.check()
            yield piece
            sent += len(piece)
            if sent - told >= _STEP or sent == layer.blob_size:
                told = sent
                _tell(upload, identity, sent, layer.blob_size)


def _tell(upload: Upload, identity: str, sent: int, total: int) -> None:
    upload.progress.emit(
        status="Pushing",
        progressDetail={"current": sent, "total": total},
        progress=bar(sent, total),
        id=identity,
    )


# ---- plain layers -----------------------------------------------------------------------------


# what is being written down behind an answer, by store and diff_id
_keeping: "WeakKeyDictionary[Store, dict[str, asyncio.Task[Layer]]]" = WeakKeyDictionary()


async def _kept(store: "Store", layer: Layer) -> Layer:
    """The layer as it stands when the keeping of its compressed blob has ended."""
    task = _keeping.get(store, {}).get(layer.diff_id)
    return layer if task is None else await asyncio.shield(task)


async def _send_packing(store: "Store", upload: Upload, layer: Layer) -> Layer:
    """Send a plain layer while it is compressed; what came out is kept behind the answer."""
    ingest = store.content.ingest()
    packing = asyncio.ensure_future(
        store.assembler.run(lambda: _pack(store, upload, layer, ingest))
    )
    try:
        await apart(lambda: _send_growing(upload, layer, ingest), "push")
        await packing
    except BaseException:
        upload.cancelled = True
        await asyncio.gather(packing, return_exceptions=True)
        ingest.abort()
        ingest.close()
        raise
    tasks = _keeping.setdefault(store, {})
    tasks[layer.diff_id] = store.behind(_keep(store, layer, ingest))
    tasks[layer.diff_id].add_done_callback(lambda _: tasks.pop(layer.diff_id, None))
    return _packed(layer, Blob(ingest.digest, ingest.size))


def _packed(layer: Layer, blob: Blob) -> Layer:
    return replace(layer, blob=blob.digest, media_type=media.DOCKER_LAYER, blob_size=blob.size)


async def _keep(store: "Store", layer: Layer, ingest: Ingest) -> Layer:
    """Let the layer's images stand on the compressed blob; on a failure they stay as they are."""
    try:
        with store.leases.hold([ingest.digest]):
            blob = await asyncio.to_thread(ingest.commit)
            await store.catalogue.replace_blob(
                layer.diff_id, blob.digest, media.DOCKER_LAYER, blob.size
            )
    except OSError as error:
        _log.warning("layer %s stays as it is: %s", layer.diff_id, error)
        return layer
    finally:
        ingest.abort()
        ingest.close()
    store.collect_soon((), [layer.blob])
    return _packed(layer, blob)


def _pack(store: "Store", upload: Upload, layer: Layer, ingest: Ingest) -> None:
    """Fill the ingest with the compressed layer; whoever reads it hears of a failure."""
    from isal import isal_zlib

    try:
        packer = isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, 31)
        with store.content.open(layer.blob) as file:
            while piece := file.read(_READ):
                upload.check()
                if packed := packer.compress(piece):
                    ingest.write(packed)
        ingest.write(packer.flush())
    except BaseException as failure:
        ingest.fail(failure)
        raise
    ingest.finish()


def _send_growing(upload: Upload, layer: Layer, ingest: Ingest) -> None:
    identity = short(layer.diff_id)

    def pieces() -> Iterator[bytes]:
        sent = told = 0
        while piece := ingest.read_at(sent, _CHUNK):
            upload.check()
            yield piece
            sent += len(piece)
            if sent - told >= _STEP:
                told = sent
                # of the whole only the plain size is known yet
                _tell(upload, identity, sent, max(sent, layer.blob_size))

    location = upload.client.append(upload.client.begin_upload(), pieces())
    upload.client.finish(location, ingest.digest)
    upload.progress.emit(status="Pushed", progressDetail={}, id=identity)
