"""`docker push`: blobs that the registry lacks, side by side, then the manifest."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engine.content.digest import of
from engine.errors import EngineError, NotFound
from engine.images.model import Image, Layer
from engine.images.reference import Reference
from engine.images.removal import short
from engine.images.streams import Progress
from engine.images.uploads import Upload, push_layer
from engine.linux.threads import apart
from engine.registry import media
from engine.registry.auth import Credentials
from engine.registry.client import Client
from engine.registry.endpoints import own_endpoint
from engine.values import replace

if TYPE_CHECKING:
    from engine.images.store import Store


async def push(
    store: "Store",
    name: str,
    tag: str,
    progress: Progress,
    *,
    auth: Mapping[str, str] | None = None,
) -> None:
    """Push one tag, or all tags of a repository when there is none. Raises EngineError, OSError."""
    reference = Reference.parse(name)
    if reference.digest:
        raise EngineError("cannot push a digest reference")
    if tag:
        reference = reference.with_tag(tag)
    progress.status(f"The push refers to repository [{reference.name}]")
    endpoint = own_endpoint(reference.domain, store.registries)
    client = Client(endpoint, reference.path, store.registries, Credentials.of(auth or {}))
    upload = Upload(client, progress)
    try:
        for each, image in _chosen(store, reference):
            await _push_one(store, upload, each, image)
    finally:
        upload.cancelled = True
        client.close()


def _chosen(store: "Store", reference: Reference) -> list[tuple[Reference, Image]]:
    if reference.tag:
        image = store.catalogue.lookup(reference)
        if image is None:
            raise _absent(reference)
        return [(reference, image)]
    found = []
    for text, image_id in sorted(store.catalogue.names().items()):
        each, image = Reference.parse(text), store.catalogue.get(image_id)
        if each.name == reference.name and each.tag and image is not None:
            found.append((each, image))
    if not found:
        raise _absent(reference)
    return found


def _absent(reference: Reference) -> NotFound:
    return NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")


async def _push_one(store: "Store", upload: Upload, reference: Reference, image: Image) -> None:
    for layer in reversed(image.layers):
        upload.progress.emit(status="Preparing", progressDetail={}, id=short(layer.diff_id))
    blobs = [layer.blob for layer in image.layers]
    with store.leases.hold([image.id, *blobs]):
        layers = {layer.diff_id: layer for layer in reversed(image.layers)}
        sent = await _push_layers(store, upload, layers.values(), reference)
        image = replace(image, layers=tuple(sent[layer.diff_id] for layer in image.layers))
        config = image.config_text.encode()
        manifest, media_type = _manifest(image, len(config))
        await apart(
            lambda: _push_documents(upload.client, config, manifest, media_type, reference),
            "registry",
        )
    # the plain blobs that gave way to compressed ones; their leases have ended only here
    store.collect_soon((), blobs)
    digest = of(manifest)
    await store.catalogue.add(image, [reference.with_digest(digest)])
    tag = reference.tag or ""
    upload.progress.status(f"{tag}: digest: {digest} size: {len(manifest)}")
    upload.progress.emit(
        progressDetail={}, aux={"Tag": tag, "Digest": digest, "Size": len(manifest)}
    )
    labels = image.run_config.get("Labels") or {}
    store.events.publish(
        "image", "push", reference.familiar, {**labels, "name": reference.familiar_name}
    )


async def _push_layers(
    store: "Store", upload: Upload, layers: Iterable[Layer], reference: Reference
) -> dict[str, Layer]:
    """Side by side; the layers as they stand in the registry, by diff_id."""
    slots = asyncio.Semaphore(store.registries.uploads)
    tasks = [
        asyncio.ensure_future(push_layer(store, upload, layer, reference, slots))
        for layer in layers
    ]
    try:
        return {layer.diff_id: layer for layer in await asyncio.gather(*tasks)}
    except BaseException:
        upload.cancelled = True
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _push_documents(
    client: Client, config: bytes, manifest: bytes, media_type: str, reference: Reference
) -> None:
    digest = of(config)
    if not client.has_blob(digest):
        client.upload(client.begin_upload(), digest, len(config), iter((config,)))
    client.put_manifest(reference.tag or "", manifest, media_type)


def _manifest(image: Image, config_size: int) -> tuple[bytes, str]:
    """Docker's schema 2 as dockerd pushes; OCI where a layer has no Docker type (zstd)."""
    oci = any(layer.media_type == media.OCI_ZSTD_LAYER for layer in image.layers)
    media_type = media.OCI_MANIFEST if oci else media.DOCKER_MANIFEST
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {
            "mediaType": media.OCI_CONFIG if oci else media.DOCKER_CONFIG,
            "size": config_size,
            "digest": image.id,
        },
        "layers": [
            {"mediaType": _layer_type(layer, oci), "size": layer.blob_size, "digest": layer.blob}
            for layer in image.layers
        ],
    }
    return json.dumps(document, indent=3).encode(), media_type


def _layer_type(layer: Layer, oci: bool) -> str:
    if layer.media_type == media.OCI_ZSTD_LAYER:
        return media.OCI_ZSTD_LAYER
    return media.OCI_GZIP_LAYER if oci else media.DOCKER_LAYER
