"""`docker save`: one tar that is a docker-archive and an OCI layout at once, layers as they were.

Layers go out uncompressed, byte by byte what their diff_id was computed from, as with dockerd.
"""

import asyncio
import json
import logging
import tarfile
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from engine.content import compression
from engine.content.digest import hexadecimal, of
from engine.errors import NotFound
from engine.images.model import Image, Layer
from engine.images.reference import Reference, is_identifier
from engine.images.removal import is_id_prefix
from engine.images.streams import Cancelled, Outlet
from engine.linux.threads import apart
from engine.registry import media
from engine.registry.platforms import Platform
from engine.values import dataclass, field

if TYPE_CHECKING:
    from engine.images.store import Store

_log = logging.getLogger(__name__)
_BLOCK = 512
_RECORD = 10240


@dataclass
class Chosen:
    """An image to save, and the references to write with it."""

    image: Image
    references: list[Reference] = field(default_factory=list)


def choose(store: "Store", names: Sequence[str]) -> list[Chosen]:
    """What to save for the names given; a name without a tag means all tags of the repository."""
    chosen: dict[str, Chosen] = {}

    def add(image: Image, *references: Reference) -> None:
        item = chosen.setdefault(image.id, Chosen(image))
        item.references += [each for each in references if each not in item.references]

    for name in names:
        image = store.find(name)
        if image is not None and (is_identifier(name) or is_id_prefix(image.id, name)):
            add(image)
            continue
        reference = Reference.parse(name)
        if reference.tag or reference.digest:
            add(store.resolve(name), *([] if reference.digest else [reference]))
            continue
        tagged = [
            (Reference.parse(text), image_id)
            for text, image_id in sorted(store.catalogue.names().items())
        ]
        found = [
            (each, image)
            for each, image_id in tagged
            if each.name == reference.name
            and each.tag
            and (image := store.catalogue.get(image_id)) is not None
        ]
        if not found:
            store.resolve(name)
        for each, image in found:
            add(image, each)
    return list(chosen.values())


def save(
    store: "Store", names: Sequence[str], *, platform: Platform | None = None
) -> AsyncIterator[bytes]:
    """The archive's bytes. Raises NotFound at once, not when the stream is read."""
    chosen = choose(store, names)
    for item in chosen:
        if platform is not None and not platform.matches(Platform.of(item.image.config)):
            raise NotFound(f"image {item.image.id} is not for the platform {platform}")
    return _stream(store, chosen)


async def _stream(store: "Store", chosen: Sequence[Chosen]) -> AsyncIterator[bytes]:
    outlet = Outlet()
    blobs = {layer.blob for item in chosen for layer in item.image.layers}
    failures: list[BaseException] = []

    def work() -> None:
        try:
            write_archive(store, chosen, outlet)
        except BaseException as error:
            failures.append(error)
        finally:
            outlet.end()

    with store.leases.hold(blobs):
        task = asyncio.ensure_future(apart(work, "save"))
        try:
            async for piece in outlet:
                yield piece
        finally:
            outlet.close()
            await task
    for failure in failures:
        if not isinstance(failure, Cancelled):
            raise failure  # an answer that breaks off, rather than one that looks whole
    for item in chosen:
        store.log(item.image, "save")


class _Writer:
    """A tar writer for files of a known size, times at the epoch so that archives compare equal."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._names: set[str] = set()
        self._written = 0

    def _emit(self, piece: bytes) -> None:
        self._outlet.write(piece)
        self._written += len(piece)

    def _header(self, name: str, size: int, type_: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.type = size, type_
        member.mode = 0o755 if type_ == tarfile.DIRTYPE else 0o644
        self._emit(member.tobuf(tarfile.PAX_FORMAT))

    def file(self, name: str, size: int, pieces: Iterator[bytes]) -> None:
        """One file, once; missing folders come before it."""
        if name in self._names:
            return
        self._names.add(name)
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in self._names:
                self._names.add(folder)
                self._header(folder, 0, tarfile.DIRTYPE)
        self._header(name, size, tarfile.REGTYPE)
        total = 0
        for piece in pieces:
            total += len(piece)
            self._emit(piece)
        if total != size:
            raise OSError(f"{name}: {total} bytes instead of {size}")
        self._emit(b"\0" * (-size % _BLOCK))

    def document(self, name: str, value: Any) -> bytes:
        """A JSON file; its bytes."""
        content = json.dumps(value, separators=(",", ":")).encode()
        self.bytes(name, content)
        return content

    def bytes(self, name: str, content: bytes) -> None:
        """A file that is in memory."""
        self.file(name, len(content), iter((content,)))

    def end(self) -> None:
        """The end of the archive."""
        self._emit(b"\0" * (2 * _BLOCK))
        self._emit(b"\0" * (-self._written % _RECORD))


def plain(store: "Store", layer: Layer) -> tuple[int, Iterator[bytes]]:
    """A layer's tar, uncompressed: its size in bytes and its pieces."""

    def pieces() -> Iterator[bytes]:
        with store.content.open(layer.blob) as file:
            yield from compression.chunks(lambda size: file.read(size) or b"")

    if layer.blob == layer.diff_id:
        return layer.blob_size, pieces()
    # the size stands before the content in a tar: decompress twice rather than spool
    return sum(len(piece) for piece in pieces()), pieces()


def write_archive(store: "Store", chosen: Sequence[Chosen], outlet: Outlet) -> None:
    """Write everything; blocks. Raises Cancelled, OSError."""
    writer = _Writer(outlet)
    manifests: list[dict[str, Any]] = []
    index: list[dict[str, Any]] = []
    repositories: dict[str, dict[str, str]] = {}
    for item in chosen:
        descriptor, sources = _image(store, item.image, writer)
        layers = [f"blobs/sha256/{hexadecimal(layer.diff_id)}" for layer in item.image.layers]
        manifests.append(
            {
                "Config": f"blobs/sha256/{hexadecimal(item.image.id)}",
                "RepoTags": [each.familiar for each in item.references] or None,
                "Layers": layers,
                "LayerSources": sources,
            }
        )
        index += _index_entries(descriptor, item.references)
        for each in item.references:
            top = layers[-1].rpartition("/")[2] if layers else ""
            repositories.setdefault(each.familiar_name, {})[each.tag or ""] = top
    writer.document(
        "index.json", {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": index}
    )
    writer.document("manifest.json", manifests)
    writer.document("oci-layout", {"imageLayoutVersion": "1.0.0"})
    if repositories:
        writer.document("repositories", repositories)
    writer.end()


def _image(
    store: "Store", image: Image, writer: _Writer
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Write config, layers and manifest; the manifest's descriptor, and those of the layers."""
    sources: dict[str, dict[str, Any]] = {}
    layers = []
    for layer in image.layers:
        size, pieces = plain(store, layer)
        writer.file(f"blobs/sha256/{hexadecimal(layer.diff_id)}", size, pieces)
        descriptor = {"mediaType": media.OCI_LAYER, "digest": layer.diff_id, "size": size}
        sources[layer.diff_id] = descriptor
        layers.append(descriptor)
    config = image.config_text.encode()
    writer.bytes(f"blobs/sha256/{hexadecimal(image.id)}", config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": {"mediaType": media.OCI_CONFIG, "digest": image.id, "size": len(config)},
        "layers": layers,
    }
    content = json.dumps(manifest, separators=(",", ":")).encode()
    writer.bytes(f"blobs/sha256/{hexadecimal(of(content))}", content)
    return (
        {"mediaType": media.OCI_MANIFEST, "digest": of(content), "size": len(content)},
        sources,
    )


def _index_entries(
    descriptor: dict[str, Any], references: Sequence[Reference]
) -> list[dict[str, Any]]:
    if not references:
        return [descriptor]
    return [
        {
            **descriptor,
            "annotations": {
                "io.containerd.image.name": str(each),
                "org.opencontainers.image.ref.name": each.tag or "",
            },
        }
        for each in references
    ]
