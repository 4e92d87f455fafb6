"""`docker push`: blobs that the registry lacks, side by side, then the manifest."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.content.digest import of
from engine.content.store import Blob
from engine.errors import EngineError, NotFound
from engine.images.downloads import bar
from engine.images.model import Image, Layer
from engine.images.reference import Reference
from engine.images.removal import short
from engine.images.streams import Cancelled, Progress
from engine.registry import media
from engine.registry.auth import Credentials
from engine.registry.client import Client
from engine.values import dataclass

if TYPE_CHECKING:
    from engine.images.store import Store

_PARALLEL = 5
_CHUNK = 1 << 18
_STEP = 1 << 21  # bytes between two progress lines
_GZIP_LEVEL = 1
_PLAIN = frozenset({media.DOCKER_PLAIN_LAYER, media.OCI_LAYER})


@dataclass
class _Upload:
    """One push: where to, who listens, and whether it still matters."""

    client: Client
    progress: Progress
    cancelled: bool = False


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
    client = Client(reference.domain, reference.path, Credentials.of(auth or {}))
    upload = _Upload(client, progress)
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
            raise NotFound(f"tag does not exist: {reference.familiar}")
        return [(reference, image)]
    found = []
    for text, image_id in sorted(store.catalogue.names().items()):
        each, image = Reference.parse(text), store.catalogue.get(image_id)
        if each.name == reference.name and each.tag and image is not None:
            found.append((each, image))
    if not found:
        raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
    return found


async def _push_one(store: "Store", upload: _Upload, reference: Reference, image: Image) -> None:
    for layer in reversed(image.layers):
        upload.progress.emit(status="Preparing", progressDetail={}, id=short(layer.diff_id))
    blobs = [layer.blob for layer in image.layers]
    with store.leases.hold([image.id, *blobs]):
        for layer in {layer.diff_id: layer for layer in image.layers}.values():
            if layer.media_type in _PLAIN:
                await _compress(store, layer)
        image = store.catalogue.get(image.id) or image
        slots = asyncio.Semaphore(_PARALLEL)
        layers = {layer.blob: layer for layer in reversed(image.layers)}
        tasks = [
            asyncio.ensure_future(_push_layer(store, upload, layer, reference, slots))
            for layer in layers.values()
        ]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            upload.cancelled = True
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        config = image.config_text.encode()
        manifest, media_type = _manifest(image, len(config))
        await asyncio.to_thread(
            _push_documents, upload.client, config, manifest, media_type, reference
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


def _push_documents(
    client: Client, config: bytes, manifest: bytes, media_type: str, reference: Reference
) -> None:
    digest = of(config)
    if not client.has_blob(digest):
        client.upload(client.begin_upload(digest), digest, len(config), iter((config,)))
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


async def _compress(store: "Store", layer: Layer) -> None:
    """Gzip a plain layer once; its images stand on the smaller blob from then on."""
    blob = await store.assembler.run(lambda: _gzip(store, layer))
    with store.leases.hold([blob.digest]):
        await store.catalogue.replace_blob(
            layer.diff_id, blob.digest, media.DOCKER_LAYER, blob.size
        )


def _gzip(store: "Store", layer: Layer) -> Blob:
    from isal import isal_zlib

    ingest = store.content.ingest()
    try:
        packer = isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, 31)
        with store.content.open(layer.blob) as file:
            while piece := file.read(1 << 20):
                if packed := packer.compress(piece):
                    ingest.write(packed)
        ingest.write(packer.flush())
        return ingest.commit()
    finally:
        ingest.abort()
        ingest.close()


async def _push_layer(
    store: "Store", upload: _Upload, layer: Layer, reference: Reference, slots: asyncio.Semaphore
) -> None:
    if slots.locked():
        upload.progress.emit(status="Waiting", progressDetail={}, id=short(layer.diff_id))
    sources = _sources(store, layer, reference)
    async with slots:
        await asyncio.to_thread(_send_layer, store, upload, layer, sources)


def _sources(store: "Store", layer: Layer, reference: Reference) -> list[str]:
    """Repositories of the same registry that have the layer, as far as we know."""
    found: list[str] = []
    for image in store.catalogue:
        if any(each.blob == layer.blob for each in image.layers):
            for each in store.catalogue.references(image.id):
                if each.digest and each.domain == reference.domain and each.path != reference.path:
                    found.append(each.path)
    return found


def _send_layer(store: "Store", upload: _Upload, layer: Layer, sources: list[str]) -> None:
    identity, emit = short(layer.diff_id), upload.progress.emit
    if upload.cancelled:
        raise Cancelled("the push was cancelled")
    if upload.client.has_blob(layer.blob):
        emit(status="Layer already exists", progressDetail={}, id=identity)
        return
    source = sources[0] if sources else ""
    location = upload.client.begin_upload(layer.blob, source)
    if not location:
        emit(status=f"Mounted from {source}", progressDetail={}, id=identity)
        return
    upload.client.upload(
        location, layer.blob, layer.blob_size, _pieces(store, upload, layer, identity)
    )
    emit(status="Pushed", progressDetail={}, id=identity)


def _pieces(store: "Store", upload: _Upload, layer: Layer, identity: str) -> Iterator[bytes]:
    sent = told = 0
    with store.content.open(layer.blob) as file:
        while piece := file.read(_CHUNK):
            if upload.cancelled:
                raise Cancelled("the push was cancelled")
            yield piece
            sent += len(piece)
            if sent - told >= _STEP or sent == layer.blob_size:
                told = sent
                upload.progress.emit(
                    status="Pushing",
                    progressDetail={"current": sent, "total": layer.blob_size},
                    progress=bar(sent, layer.blob_size),
                    id=identity,
                )
