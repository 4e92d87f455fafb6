"""`docker commit`: what a container wrote becomes a layer on top of its image."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine import times
from engine.content.digest import chain_ids, of
from engine.images import changes as instructions
from engine.images.assembly import Piece
from engine.images.importing import _take_in, _target
from engine.images.load import _layer_type
from engine.images.model import Image

if TYPE_CHECKING:
    from engine.images.store import Store


async def commit(
    store: "Store",
    parent: Image,
    pieces: AsyncIterator[bytes],
    config: Mapping[str, Any],
    *,
    created_by: str = "",
    repository: str = "",
    tag: str = "",
    author: str = "",
    message: str = "",
    changes: Sequence[str] = (),
) -> Image:
    """Add an image of `parent`'s layers and the tar in `pieces`; BadRequest, LayerInvalid."""
    references = _target(repository, tag)
    config = instructions.apply(config, changes)
    blob, unpacking = await _take_in(store, pieces)
    diff_id = unpacking.result.diff_id
    chain = chain_ids([*(layer.diff_id for layer in parent.layers), diff_id])
    with store.leases.hold([blob], chain):
        store.assembler.commit(unpacking, chain[-1], diff_id)
        piece = Piece(diff_id, blob, await asyncio.to_thread(_layer_type, store, blob))
        layer = store.catalogue.layers().get(chain[-1]) or store.assembler.layer(piece, chain[-1])
        document = _document(parent, config, diff_id, created_by, author, message)
        image_id = of(document)
        await asyncio.to_thread(store.content.put, document)
        image = await store.add(
            document.decode(),
            [*parent.layers, layer],
            references,
            image_id=image_id,
            parent=parent.id,
        )
    store.log(image, "create")
    for reference in references:
        store.log(image, "tag", reference.familiar)
    return image


def _document(
    parent: Image,
    config: Mapping[str, Any],
    diff_id: str,
    created_by: str,
    author: str,
    message: str,
) -> bytes:
    """The config of the new image: the parent's, one more layer, one more line of history."""
    created = times.format_time(time.time_ns())
    line = {"created": created, "created_by": created_by, "author": author, "comment": message}
    rootfs = parent.config.get("rootfs") or {}
    document = {
        **{key: value for key, value in parent.config.items() if key != "container_config"},
        "author": author,
        "comment": message,
        "config": config,
        "created": created,
        "history": [
            *(parent.config.get("history") or ()),
            {key: value for key, value in line.items() if value},
        ],
        "rootfs": {"type": "layers", "diff_ids": [*(rootfs.get("diff_ids") or ()), diff_id]},
    }
    return json.dumps(document, separators=(",", ":")).encode()
