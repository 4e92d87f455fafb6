"""The catalogue: image records and references, in memory and written through to the database."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from engine.content.digest import chain_ids
from engine.database import Database, Delete, Put
from engine.images.model import Image, Layer
from engine.images.reference import Reference

IMAGE = "image"
REFERENCE = "image-reference"


def make_image(
    image_id: str, config_text: str, layers: Sequence[Layer], *, parent: str = ""
) -> Image:
    """An image value without references, from its config and layers."""
    config = json.loads(config_text)
    return Image(
        id=image_id,
        config=config,
        config_text=config_text,
        layers=tuple(layers),
        chain_ids=chain_ids(layer.diff_id for layer in layers),
        size=sum(layer.size for layer in layers),
        created=config.get("created") or "",
        parent=parent,
    )


def _record(image: Image) -> dict[str, Any]:
    return {
        "config": image.config_text,
        "layers": [asdict(layer) for layer in image.layers],
        "parent": image.parent,
        "last_tagged": image.last_tagged,
    }


def _named(image: Image, references: Sequence[Reference]) -> Image:
    return replace(
        image,
        references=tuple(each.familiar for each in references if not each.digest),
        digests=tuple(each.familiar for each in references if each.digest),
    )


class Catalogue:
    """All images and references. Reads are immediate; writes await the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._images: dict[str, Image] = {}
        self._references: dict[str, str] = {}
        # hears of a layer (by diff_id) that stands on another blob: its digest, type and size
        self.replaced: Callable[[str, str, str, int], None] = lambda *_: None
        # what reads a record, changes it and writes it back must not meet another doing so
        self._changing = asyncio.Lock()

    def load(self) -> None:
        """Read the records; for the start, blocks."""
        for image_id, record in self._database.load(IMAGE).items():
            layers = [Layer(**layer) for layer in record["layers"]]
            image = make_image(image_id, record["config"], layers, parent=record["parent"])
            self._images[image_id] = replace(image, last_tagged=record["last_tagged"])
        for reference, record in self._database.load(REFERENCE).items():
            if record["image"] in self._images:
                self._references[reference] = record["image"]
        named: dict[str, list[Reference]] = {}
        for reference, image_id in sorted(self._references.items()):
            named.setdefault(image_id, []).append(Reference.parse(reference))
        for image_id, references in named.items():
            self._images[image_id] = _named(self._images[image_id], references)

    def __iter__(self) -> Iterator[Image]:
        return iter(list(self._images.values()))

    def __len__(self) -> int:
        return len(self._images)

    def get(self, image_id: str) -> Image | None:
        """The image with this full id."""
        return self._images.get(image_id)

    def by_prefix(self, prefix: str) -> list[Image]:
        """Images whose id's hex digits begin so."""
        return [image for key, image in self._images.items() if key.startswith(f"sha256:{prefix}")]

    def lookup(self, reference: Reference) -> Image | None:
        """The image that a reference names; a tag beside a digest is only decoration."""
        if reference.digest:
            reference = reference.with_digest(reference.digest)
        image_id = self._references.get(str(reference.with_default_tag()))
        return self._images.get(image_id) if image_id else None

    def references(self, image_id: str) -> list[Reference]:
        """What names the image, sorted."""
        return [
            Reference.parse(text)
            for text, target in sorted(self._references.items())
            if target == image_id
        ]

    def layers(self) -> dict[str, Layer]:
        """The layers of all images by chain id: what is verified and has its blob."""
        return {
            chain_id: layer
            for image in self._images.values()
            for chain_id, layer in zip(image.chain_ids, image.layers, strict=True)
        }

    def names(self) -> dict[str, str]:
        """Every normalized reference and its image id."""
        return dict(self._references)

    def _refresh(self, image_id: str) -> None:
        """Give the image value its present references."""
        image = self._images.get(image_id)
        if image is not None:
            self._images[image_id] = _named(image, self.references(image_id))

    async def add(
        self, image: Image, references: Iterable[Reference] = (), tagged_at: str = ""
    ) -> Image:
        """Write an image (kept if it's there) and point references at it, in one transaction."""
        async with self._changing:
            return await self._add(image, references, tagged_at)

    async def _add(self, image: Image, references: Iterable[Reference], tagged_at: str) -> Image:
        known = self._images.get(image.id)
        image = known or image
        names = [str(reference) for reference in references]
        if tagged_at and names:
            image = replace(image, last_tagged=tagged_at)
        changes: list[Put | Delete] = [Put(IMAGE, image.id, _record(image))]
        changes += [Put(REFERENCE, name, {"image": image.id}) for name in names]
        await self._database.write(changes)
        self._images[image.id] = image
        touched = {image.id}
        for name in names:
            touched.add(self._references.get(name, image.id))
            self._references[name] = image.id
        for image_id in touched:
            self._refresh(image_id)
        return self._images[image.id]

    async def drop_references(self, references: Iterable[Reference]) -> None:
        """Take references away; their images stay."""
        names = [str(reference) for reference in references]
        await self._database.write([Delete(REFERENCE, name) for name in names])
        touched = {self._references.pop(name, "") for name in names}
        for image_id in touched:
            self._refresh(image_id)

    async def drop(self, image_id: str) -> None:
        """Take an image and all that names it away."""
        names = [name for name, target in self._references.items() if target == image_id]
        changes = [Delete(REFERENCE, name) for name in names]
        await self._database.write([*changes, Delete(IMAGE, image_id)])
        for name in names:
            self._references.pop(name, None)
        self._images.pop(image_id, None)

    async def replace_blob(self, diff_id: str, blob: str, media_type: str, size: int) -> None:
        """Let every image with this layer stand on another blob of the same content."""
        async with self._changing:
            await self._replace_blob(diff_id, blob, media_type, size)

    async def _replace_blob(self, diff_id: str, blob: str, media_type: str, size: int) -> None:
        changed = []
        for image in self._images.values():
            if any(layer.diff_id == diff_id for layer in image.layers):
                layers = tuple(
                    replace(layer, blob=blob, media_type=media_type, blob_size=size)
                    if layer.diff_id == diff_id
                    else layer
                    for layer in image.layers
                )
                changed.append(replace(image, layers=layers))
        await self._database.write([Put(IMAGE, image.id, _record(image)) for image in changed])
        for image in changed:
            if image.id in self._images:
                self._images[image.id] = image
        self.replaced(diff_id, blob, media_type, size)

    def children(self, image_id: str) -> list[Image]:
        """Images that were built or committed on top of this one here."""
        return [image for image in self._images.values() if image.parent == image_id]
