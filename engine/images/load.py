"""`docker load`: docker-archives and OCI layouts, compressed or not, to images."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.content import compression
from engine.content.digest import InvalidDigest, check, hexadecimal
from engine.images.archive import Archive, ArchiveInvalid, discard, read_archive
from engine.images.assembly import Piece
from engine.images.config import parse
from engine.images.model import Image
from engine.images.reference import InvalidReference, Reference
from engine.images.removal import short
from engine.images.streams import Feed, Progress
from engine.linux.threads import apart
from engine.registry import media
from engine.registry.platforms import Platform, choose, local
from engine.values import dataclass

if TYPE_CHECKING:
    from engine.images.store import Store


@dataclass(frozen=True)
class Found:
    """An image in an archive: config, layers (member names), the names it goes by."""

    config: bytes
    layers: tuple[str, ...]
    references: tuple[Reference, ...]


async def load(
    store: "Store",
    pieces: AsyncIterator[bytes],
    progress: Progress,
    *,
    quiet: bool = False,
    platform: Platform | None = None,
) -> None:
    """Load an archive from a request's body and tell the client. Raises ArchiveInvalid, OSError."""
    feed = Feed()
    filling = asyncio.get_running_loop().create_task(feed.fill(pieces))
    try:
        archive = await apart(lambda: read_archive(store.content, feed.read), "load")
    finally:
        feed.close()
        await filling
    images = await _load(store, archive, None if quiet else progress, platform)
    for image, references in images:
        for reference in references:
            progress.emit(stream=f"Loaded image: {reference.familiar}\n")
        if not references:
            progress.emit(stream=f"Loaded image ID: {image.id}\n")


async def load_file(store: "Store", path: Path) -> None:
    """Load an archive from a file, silently."""
    with path.open("rb", buffering=0) as file:
        archive = await store.assembler.run(
            lambda: read_archive(store.content, lambda size: file.read(size) or b"")
        )
    await _load(store, archive, None, None)


async def _load(
    store: "Store", archive: Archive, progress: Progress | None, platform: Platform | None
) -> list[tuple[Image, tuple[Reference, ...]]]:
    loaded = []
    with store.leases.hold(archive.blobs.values()):
        try:
            for found in await asyncio.to_thread(find_images, store, archive, platform):
                loaded.append((await _create(store, archive, found, progress), found.references))
        finally:
            kept = {layer.blob for image in store.catalogue for layer in image.layers}
            await asyncio.to_thread(discard, store.content, archive, frozenset(kept))
    return loaded


async def _create(
    store: "Store", archive: Archive, found: Found, progress: Progress | None
) -> Image:
    diff_ids = _diff_ids(found)
    blobs = await asyncio.to_thread(
        lambda: [archive.blob(store.content, name) for name in found.layers]
    )
    pieces = [
        Piece(diff_id, blob, await asyncio.to_thread(_layer_type, store, blob))
        for diff_id, blob in zip(diff_ids, blobs, strict=True)
    ]

    def done(index: int) -> None:
        if progress is not None:
            size = store.content.size(pieces[index].blob)
            progress.emit(
                status="Loading layer",
                progressDetail={"current": size, "total": size},
                id=short(diff_ids[index]),
            )

    image = await store.create(found.config, pieces, found.references, done=done)
    store.log(image, "load")
    return image


def _diff_ids(found: Found) -> list[str]:
    try:
        config = parse(found.config)
        diff_ids = [check(diff_id) for diff_id in config["rootfs"]["diff_ids"] or ()]
    except InvalidDigest as error:
        raise ArchiveInvalid(f"invalid archive: the image's config is damaged: {error}") from error
    if len(diff_ids) != len(found.layers):
        raise ArchiveInvalid(
            f"invalid manifest, layers length mismatch: expected {len(diff_ids)}, "
            f"got {len(found.layers)}"
        )
    return diff_ids


def _layer_type(store: "Store", blob: str) -> str:
    with store.content.open(blob) as file:
        head = file.read(6)
    if not compression.is_compressed(head):
        return media.DOCKER_PLAIN_LAYER
    return media.OCI_ZSTD_LAYER if head.startswith(b"\x28\xb5") else media.DOCKER_LAYER


def find_images(store: "Store", archive: Archive, platform: Platform | None) -> list[Found]:
    """The images that an archive lists; blocks. Raises ArchiveInvalid."""
    if "manifest.json" in archive:
        found = _docker_archive(store, archive, archive.document(store.content, "manifest.json"))
    elif "index.json" in archive:
        found = _layout(store, archive, platform or local())
    else:
        raise ArchiveInvalid(
            "invalid archive: it has neither manifest.json (docker save) "
            "nor index.json (OCI layout)"
        )
    if platform is not None:
        found = [each for each in found if platform.matches(_platform(each))]
        if not found:
            raise ArchiveInvalid(f"the archive has no image for the platform {platform}")
    return found


def _platform(found: Found) -> Platform:
    return Platform.of(parse(found.config))


def _docker_archive(store: "Store", archive: Archive, manifest: Any) -> list[Found]:
    try:
        return [
            Found(
                archive.content(store.content, item["Config"]),
                tuple(item["Layers"] or ()),
                tuple(Reference.parse(name) for name in item.get("RepoTags") or ()),
            )
            for item in manifest
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ArchiveInvalid("invalid archive: manifest.json is damaged") from error


def _layout(store: "Store", archive: Archive, platform: Platform) -> list[Found]:
    index = archive.document(store.content, "index.json")
    found = []
    try:
        for descriptor in index["manifests"]:
            references = _names(descriptor.get("annotations") or {})
            manifest = _manifest(store, archive, descriptor, platform)
            config = _verified(store, archive, manifest["config"])
            layers = tuple(_member(layer) for layer in manifest["layers"])
            found.append(Found(config, layers, references))
    except (KeyError, TypeError, AttributeError, InvalidDigest) as error:
        raise ArchiveInvalid(f"invalid archive: its OCI layout is damaged: {error}") from error
    return found


def _manifest(
    store: "Store", archive: Archive, descriptor: Mapping[str, Any], platform: Platform
) -> Any:
    for _ in range(4):  # an index may point to an index
        document = _json(_verified(store, archive, descriptor))
        if "manifests" not in document:
            return document
        chosen = choose(document["manifests"], platform)
        if chosen is None:
            raise ArchiveInvalid(f"the archive has no image for the platform {platform}")
        descriptor = chosen
    raise ArchiveInvalid("invalid archive: indexes are nested too deeply")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArchiveInvalid(f"invalid archive: a manifest is no JSON: {error}") from error


def _member(descriptor: Mapping[str, Any]) -> str:
    return f"blobs/sha256/{hexadecimal(descriptor['digest'])}"


def _verified(store: "Store", archive: Archive, descriptor: Mapping[str, Any]) -> bytes:
    content = archive.content(store.content, _member(descriptor))
    if hashlib.sha256(content).hexdigest() != hexadecimal(descriptor["digest"]):
        raise ArchiveInvalid(f"invalid archive: {descriptor['digest']} has other content")
    return content


def _names(annotations: Mapping[str, str]) -> tuple[Reference, ...]:
    name = annotations.get("io.containerd.image.name") or ""
    short_name = annotations.get("org.opencontainers.image.ref.name") or ""
    if not name and any(mark in short_name for mark in ":/"):
        name = short_name  # a bare word there is only a tag of nothing
    try:
        return (Reference.parse(name).with_default_tag(),) if name else ()
    except InvalidReference:
        return ()
