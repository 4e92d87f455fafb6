"""`docker import`: a root file system's tar becomes an image of one layer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from engine import times
from engine.content.digest import of
from engine.images import changes as instructions
from engine.images.assembly import Piece, Unpacking
from engine.images.load import _layer_type
from engine.images.reference import Reference
from engine.images.streams import Feed, Progress
from engine.linux.threads import apart
from engine.registry.platforms import Platform, local

if TYPE_CHECKING:
    from engine.images.store import Store


def _target(repository: str, tag: str) -> list[Reference]:
    if not repository:
        return []
    reference = Reference.parse(repository)
    return [reference.with_tag(tag) if tag else reference.with_default_tag()]


async def import_(
    store: "Store",
    pieces: AsyncIterator[bytes],
    progress: Progress,
    *,
    repository: str = "",
    tag: str = "",
    message: str = "",
    source: str = "-",
    changes: Sequence[str] = (),
    platform: Platform | None = None,
) -> None:
    """Import a tar from a request's body; the last line tells the image's id.

    The stream is stored and unpacked in one go. Raises BadRequest, LayerInvalid, OSError.
    """
    references = _target(repository, tag)
    config = instructions.apply({}, changes)
    blob, unpacking = await _take_in(store, pieces)
    diff_id = unpacking.result.diff_id
    with store.leases.hold([blob], [diff_id]):
        document = _config(config, diff_id, message, source, platform or local())
        store.assembler.commit(unpacking, diff_id, diff_id)
        piece = Piece(diff_id, blob, await asyncio.to_thread(_layer_type, store, blob))
        known = store.catalogue.layers().get(diff_id)
        layer = known or store.assembler.layer(piece, diff_id)
        image_id = of(document)
        await asyncio.to_thread(store.content.put, document)
        image = await store.add(document.decode(), [layer], references, image_id=image_id)
    store.collect_soon((), [blob])
    for reference in references:
        store.log(image, "tag", reference.familiar)
    store.log(image, "import")
    progress.status(image.id)


async def _take_in(store: "Store", pieces: AsyncIterator[bytes]) -> tuple[str, Unpacking]:
    feed = Feed()
    filling = asyncio.get_running_loop().create_task(feed.fill(pieces))

    def work() -> tuple[str, Unpacking]:
        ingest = store.content.ingest()

        def read(size: int) -> bytes:
            piece = feed.read(size)
            ingest.write(piece)
            return piece

        try:
            unpacking = store.assembler.unpack(read)
            try:
                while read(1 << 18):
                    continue  # what follows the tar belongs to the blob, too
                return ingest.commit().digest, unpacking
            except BaseException:
                store.assembler.discard(unpacking)
                raise
        finally:
            ingest.abort()
            ingest.close()

    try:
        return await apart(work, "import")
    finally:
        feed.close()
        await filling


def _config(
    config: dict[str, Any], diff_id: str, message: str, source: str, platform: Platform
) -> bytes:
    created = times.format_time(time.time_ns())
    document = {
        "architecture": platform.architecture,
        **({"variant": platform.variant} if platform.variant else {}),
        "config": config,
        "created": created,
        "history": [{"created": created, "comment": message or f"Imported from {source}"}],
        "os": platform.os,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    return json.dumps(document, separators=(",", ":")).encode()
