"""`docker pull`: manifest, platform, layers side by side, visible in order, then record and tag."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from engine.content.digest import chain_ids, check
from engine.errors import EngineError, NotFound, Unsupported
from engine.images.assembly import LayerInvalid, Piece
from engine.images.config import parse
from engine.images.downloads import Download, DownloadFailed
from engine.images.model import Image, Layer
from engine.images.reference import Reference
from engine.images.removal import short
from engine.images.streams import Progress
from engine.linux.threads import apart
from engine.registry import media
from engine.registry.auth import Credentials
from engine.registry.client import Client, Manifest
from engine.registry.endpoints import Endpoint, endpoints
from engine.registry.errors import RegistryError, Unreachable, pull_error
from engine.registry.platforms import Platform, choose, emulated, local
from engine.values import dataclass

if TYPE_CHECKING:
    from engine.images.store import Store


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """A resolved image at the registry: what to fetch, and the digest that users see."""

    reference: Reference
    digest: str
    config_digest: str
    config: bytes
    layers: tuple[Mapping[str, Any], ...]
    diff_ids: tuple[str, ...]


async def pull(
    store: "Store",
    name: str,
    tag: str,
    progress: Progress,
    *,
    platform: Platform | None = None,
    auth: Mapping[str, str] | None = None,
) -> None:
    """Pull one tag or digest, or all tags when there is neither. Raises EngineError, OSError.

    Docker Hub's mirrors are asked before it; what fails at one is tried at the next. The built-in
    image comes from its archive: that name at a registry is somebody else's.
    """
    reference = Reference.parse(name)
    if tag:
        with_digest = ":" in tag
        reference = reference.with_digest(tag) if with_digest else reference.with_tag(tag)
    if store.has_built_in(reference):
        await _pull_built_in(store, reference, progress)
        return
    *mirrors, own = endpoints(reference.domain, store.registries)
    for mirror in mirrors:
        try:
            # a mirror is somebody else than the registry that the credentials are for
            await _pull_from(store, mirror, reference, platform, {}, progress)
            return
        except (RegistryError, Unreachable, NotFound, DownloadFailed) as error:
            _log.warning("the mirror %s can't give %s: %s", mirror.base, reference, error)
    try:
        await _pull_from(store, own, reference, platform, auth or {}, progress)
    except RegistryError as error:
        raise pull_error(error, reference.familiar, reference.familiar_name) from error


async def _pull_built_in(store: "Store", reference: Reference, progress: Progress) -> None:
    progress.status(f"Pulling from {reference.path}", reference.tag or "")
    old = store.catalogue.lookup(reference)
    await store.load_built_in()
    new = store.catalogue.lookup(reference)
    same = old is not None and new is not None and old.id == new.id
    found = "Image is up to date" if same else "Downloaded newer image"
    progress.status(f"Status: {found} for {reference.familiar}")


async def _pull_from(
    store: "Store",
    endpoint: Endpoint,
    reference: Reference,
    platform: Platform | None,
    auth: Mapping[str, str],
    progress: Progress,
) -> None:
    client = Client(endpoint, reference.path, store.registries, Credentials.of(auth))
    try:
        if reference.tag or reference.digest:
            await _pull_one(store, client, reference, platform, progress)
        else:
            for each in await _all_tags(client, reference):
                await _pull_one(store, client, each, platform, progress)
    finally:
        client.close()


async def _all_tags(client: Client, reference: Reference) -> list[Reference]:
    tags = await apart(client.tags, "registry")
    if not tags:
        raise NotFound(f"{reference.familiar_name} has no tags")
    return [reference.with_tag(tag) for tag in tags]


async def _pull_one(
    store: "Store",
    client: Client,
    reference: Reference,
    platform: Platform | None,
    progress: Progress,
) -> None:
    wanted = platform or local()
    word = reference.digest or reference.tag or ""
    old = store.catalogue.lookup(reference)
    if platform is None and old is not None:
        digest = await _current_digest(client, reference, old)
        if digest:
            progress.status(f"Pulling from {reference.path}", word)
            _tell_end(store, reference, old, digest, progress, unchanged=True)
            return
    manifest = await apart(lambda: client.manifest(word), "registry")
    progress.status(f"Pulling from {reference.path}", word)
    target = await apart(
        lambda: _resolve(store, client, reference, manifest, wanted, explicit=platform is not None),
        "registry",
    )
    image, new_layers = await _take(store, client, target, progress)
    unchanged = old is not None and old.id == image.id and not new_layers
    _tell_end(store, reference, image, target.digest, progress, unchanged=unchanged)


async def _current_digest(client: Client, reference: Reference, image: Image) -> str:
    """The registry's digest of a tag when the image was pulled by it already, else "".

    Registries count a manifest's GET against limits, never its HEAD.
    """
    if not reference.tag or not local().matches(Platform.of(image.config)):
        return ""
    here = f"{reference.familiar_name}@"
    known = {each.removeprefix(here) for each in image.digests if each.startswith(here)}
    if not known:
        return ""
    try:
        digest, _ = await apart(lambda: client.head(reference.tag or ""), "registry")
    except RegistryError:
        return ""  # the GET tells why
    return digest if digest in known else ""


def _tell_end(
    store: "Store",
    reference: Reference,
    image: Image,
    digest: str,
    progress: Progress,
    *,
    unchanged: bool,
) -> None:
    progress.status(f"Digest: {digest}")
    progress.status(
        f"Status: Image is up to date for {reference.familiar}"
        if unchanged
        else f"Status: Downloaded newer image for {reference.familiar}"
    )
    labels = image.run_config.get("Labels") or {}
    store.events.publish(
        "image", "pull", reference.familiar, {**labels, "name": reference.familiar_name}
    )


def _resolve(
    store: "Store",
    client: Client,
    reference: Reference,
    manifest: Manifest,
    wanted: Platform,
    *,
    explicit: bool,
) -> Target:
    """From a manifest or index to an image's parts; blocks."""
    digest = manifest.digest
    for _ in range(3):
        document = manifest.document
        kind = document.get("mediaType") or manifest.media_type
        if kind not in media.INDEXES and "manifests" not in document:
            break
        chosen = _choose(document, wanted, explicit=explicit)
        if chosen is None:
            raise NotFound(f"no matching manifest for {wanted} in the manifest list entries")
        manifest = client.manifest(check(str(chosen["digest"])))
    document = manifest.document
    if document.get("schemaVersion") == 1 or manifest.media_type in media.SCHEMA1:
        raise Unsupported(
            f"{reference.familiar} has a manifest of schema version 1, which is no longer "
            "supported: ask its publisher to push it again as schema version 2 or OCI image"
        )
    try:
        config_digest = check(document["config"]["digest"])
        layers = tuple(document["layers"])
        for layer in layers:
            check(layer["digest"])
        config = _config(store, client, config_digest)
        parsed = parse(config)
        diff_ids = tuple(check(each) for each in parsed["rootfs"]["diff_ids"] or ())
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EngineError(
            f"{reference.familiar} is no container image, or its manifest is damaged: {error}"
        ) from error
    if len(diff_ids) != len(layers):
        raise LayerInvalid(
            f"{reference.familiar}: the config lists {len(diff_ids)} layers, "
            f"the manifest {len(layers)}"
        )
    found = Platform.of(parsed)
    if explicit and not wanted.matches(found):
        raise NotFound(
            f"image with reference {reference.familiar} was found but its platform ({found}) "
            f"does not match the specified platform ({wanted})"
        )
    return Target(reference, digest, config_digest, config, layers, diff_ids)


def _choose(
    document: Mapping[str, Any], wanted: Platform, *, explicit: bool
) -> Mapping[str, Any] | None:
    """Of an index: what was asked for; else what this machine runs, by an emulator at last."""
    manifests = document.get("manifests") or ()
    if not explicit:
        return choose(manifests, wanted, emulated())
    chosen = choose(manifests, wanted)
    fits = chosen is not None and wanted.matches(Platform.of(chosen["platform"]))
    return chosen if fits else None


def _config(store: "Store", client: Client, digest: str) -> bytes:
    image = store.catalogue.get(digest)
    return image.config_text.encode() if image is not None else client.small_blob(digest)


async def _take(
    store: "Store", client: Client, target: Target, progress: Progress
) -> tuple[Image, bool]:
    """Get the layers that are missing and write the record; whether there were any."""
    names = [target.reference.with_digest(target.digest)]
    if not target.reference.digest:
        names.insert(0, target.reference)
    known = store.catalogue.get(target.config_digest)
    if known is not None:
        current = store.catalogue.lookup(target.reference)
        if current is None or current.id != known.id:
            for layer in target.layers:
                progress.status("Already exists", short(layer["digest"]))
        return await store.add(known.config_text, known.layers, names, image_id=known.id), False
    chain = chain_ids(target.diff_ids)
    blobs = [str(layer["digest"]) for layer in target.layers]
    with store.leases.hold([target.config_digest, *blobs], chain):
        try:
            layers, fetched = await _layers(store, client, target, chain, progress)
            await asyncio.to_thread(store.content.put, target.config)
            image = await store.add(
                target.config.decode(), layers, names, image_id=target.config_digest
            )
        except BaseException:
            store.collect_soon(chain, blobs)
            raise
    return image, fetched


async def _layers(
    store: "Store",
    client: Client,
    target: Target,
    chain: Sequence[str],
    progress: Progress,
) -> tuple[list[Layer], bool]:
    present = store.catalogue.layers()
    layers: list[Layer] = []
    async with AsyncExitStack() as stack:
        downloads: list[Download | None] = []
        for descriptor, chain_id in zip(target.layers, chain, strict=True):
            if chain_id in present:
                progress.status("Already exists", short(descriptor["digest"]))
                downloads.append(None)
                continue
            joined = store.downloads.join(client, descriptor, progress)
            downloads.append(await stack.enter_async_context(joined))
        for index, download in enumerate(downloads):
            if download is None:
                layers.append(present[chain[index]])
                continue
            descriptor = target.layers[index]
            piece = Piece(
                target.diff_ids[index],
                descriptor["digest"],
                str(descriptor.get("mediaType") or media.OCI_GZIP_LAYER),
            )
            layers.append(await _finish(store, download, piece, chain[index]))
    return layers, any(download is not None for download in downloads)


async def _finish(store: "Store", download: Download, piece: Piece, chain_id: str) -> Layer:
    """Wait for a layer, and make it visible on top of those before it."""
    assert download.task is not None
    # shielded: other pulls may want the same layer
    await asyncio.shield(download.task)
    if chain_id not in download.committed:
        unpacking = download.claim()
        if unpacking is None:
            unpacking = await store.assembler.run(lambda: store.assembler.unpack_blob(piece.blob))
        download.tell("Extracting", download.total)
        store.assembler.commit(unpacking, chain_id, piece.diff_id)
        download.committed.add(chain_id)
    download.tell("Pull complete")
    return store.assembler.layer(piece, chain_id)
