"""GET /system/df: what takes disk space."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.api import image_documents
from engine.api.http import Request, Response, Route, json_response
from engine.api.volumes import Volume
from engine.api.volumes import to_wire as volume_document
from engine.errors import BadRequest, NotFound
from engine.filters import Filters
from engine.images.model import Image

_TYPES = ("container", "image", "volume", "build-cache")
Document = dict[str, Any]


class Images(Protocol):
    """`images.Service`."""

    def list(self, filters: Filters) -> Sequence[Image]: ...
    def shared_sizes(self) -> Mapping[str, int]: ...
    def disk_usage(self) -> int: ...


class Containers(Protocol):
    """`containers.wiring.Containers`."""

    async def usage(self) -> Sequence[Document]: ...
    def image_users(self, image_id: str) -> Sequence[object]: ...


class Volumes(Protocol):
    """`volumes.Store`."""

    def list(self, filters: Filters | None = None) -> Sequence[Volume]: ...
    async def size(self, name: str) -> int: ...
    def reference_count(self, name: str) -> int: ...


class Builder(Protocol):
    """`builder.service.Builder`."""

    def usage(self) -> Sequence[Document]: ...


def routes(
    images: Images, containers: Containers, volumes: Volumes, builder: Builder
) -> Sequence[Route]:
    """The one route."""

    async def usage(request: Request) -> Response:
        # Before API 1.42 there was no choice.
        chosen = request.query.all("type") if request.version >= (1, 42) else []
        kinds = chosen or list(_TYPES)
        for kind in kinds:
            if kind not in _TYPES:
                raise BadRequest(f"unknown object type: {kind}")
        answer: Document = {"LayersSize": 0, "Images": None, "Containers": None, "Volumes": None}
        if "image" in kinds:
            answer["LayersSize"] = images.disk_usage()
            answer["Images"] = _images(images, containers, request.version)
        if "container" in kinds:
            answer["Containers"] = await containers.usage()
        if "volume" in kinds:
            answer["Volumes"] = await _volumes(volumes)
        cached = "build-cache" in kinds
        answer["BuildCache"] = await asyncio.to_thread(builder.usage) if cached else None
        return json_response(answer)

    return (Route("GET", "/system/df", usage),)


def _images(images: Images, containers: Containers, version: tuple[int, int]) -> list[Document]:
    shared = images.shared_sizes()
    return [
        {
            **image_documents.summary(image, version, shared.get(image.id, 0)),
            "Containers": len(containers.image_users(image.id)),
        }
        for image in images.list(Filters())
    ]


async def _volumes(volumes: Volumes) -> list[Document]:
    # What a volume with driver options holds isn't on this disk.
    found = [one for one in volumes.list() if not one.options]
    sizes = await asyncio.gather(*(_size(volumes, one.name) for one in found))
    return [
        {
            **volume_document(one),
            "UsageData": {"RefCount": volumes.reference_count(one.name), "Size": size},
        }
        for one, size in zip(found, sizes, strict=True)
    ]


async def _size(volumes: Volumes, name: str) -> int:
    try:
        return await volumes.size(name)
    except NotFound:  # removed meanwhile
        return 0
