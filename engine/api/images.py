"""HTTP routes for images: parse the request, ask the backend, answer."""

import base64
import binascii
import json
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from engine.api import image_documents as documents
from engine.api.http import (
    Answer,
    Request,
    Response,
    Route,
    StreamResponse,
    json_response,
)
from engine.api.operations import Lines, answer
from engine.errors import BadRequest
from engine.filters import Filters
from engine.images.model import Image


class Removal(Protocol):
    """What a removal did: ("Untagged"|"Deleted", name) in order, and the bytes given back."""

    steps: list[tuple[str, str]]
    reclaimed: int


Work = Coroutine[Any, Any, None]


class Backend(Protocol):
    """What these routes need; `images.Service` satisfies it."""

    def resolve(self, name: str) -> Image: ...
    def list(self, filters: Filters) -> list[Image]: ...
    def shared_sizes(self) -> Mapping[str, int]: ...
    def parents(self, image: Image) -> Sequence[Image]: ...
    def folders(self, image: Image) -> Sequence[Path]: ...
    async def tag(self, name: str, repository: str, tag: str) -> None: ...
    async def remove(self, name: str, *, force: bool, prune: bool) -> Removal: ...
    async def prune(self, filters: Filters) -> Removal: ...
    def progress(self) -> Lines: ...
    def load(
        self, body: AsyncIterator[bytes], lines: Any, *, quiet: bool, platform: str
    ) -> Work: ...
    def save(self, names: Sequence[str], *, platform: str) -> AsyncIterator[bytes]: ...
    def import_(
        self,
        body: AsyncIterator[bytes],
        lines: Any,
        *,
        repository: str,
        tag: str,
        message: str,
        source: str,
        changes: Sequence[str],
        platform: str,
    ) -> Work: ...
    def pull(
        self,
        name: str,
        tag: str,
        lines: Any,
        *,
        platform: str,
        auth: Mapping[str, str],
    ) -> Work: ...
    def push(self, name: str, tag: str, lines: Any, *, auth: Mapping[str, str]) -> Work: ...
    async def search(
        self, term: str, limit: int | None, filters: Filters, auth: Mapping[str, Any]
    ) -> Sequence[Mapping[str, Any]]: ...


def credentials(request: Request) -> Mapping[str, str]:
    """The X-Registry-Auth header; an empty or damaged one is none, as with dockerd."""
    header = request.headers.get("x-registry-auth", "")
    if not header:
        return {}
    try:
        padded = header.translate(str.maketrans("+/", "-_")) + "=" * (-len(header) % 4)
        decoded = json.loads(base64.urlsafe_b64decode(padded))
    except (binascii.Error, ValueError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def routes(backend: Backend) -> Sequence[Route]:
    """The routes below /images."""

    async def list_(request: Request) -> Response:
        images = backend.list(_list_filters(request))
        shared = backend.shared_sizes() if request.query.flag("shared-size") else {}
        return json_response(
            [documents.summary(each, request.version, shared.get(each.id, -1)) for each in images]
        )

    async def inspect(request: Request) -> Response:
        image = backend.resolve(request.params["name"])
        return json_response(documents.inspection(image, request.version, backend.folders(image)))

    async def history(request: Request) -> Response:
        image = backend.resolve(request.params["name"])
        return json_response(documents.history(image, backend.parents(image)))

    async def tag(request: Request) -> Response:
        repository, tag = request.query.get("repo"), request.query.get("tag")
        await backend.tag(request.params["name"], repository, tag)
        return Response(201)

    async def remove(request: Request) -> Response:
        name = request.params["name"].strip()
        if not name:
            raise BadRequest("image name cannot be blank")
        removed = await backend.remove(
            name, force=request.query.flag("force"), prune=not request.query.flag("noprune")
        )
        return json_response([{kind: what} for kind, what in removed.steps])

    async def prune(request: Request) -> Response:
        removed = await backend.prune(Filters.parse(request.query.get("filters")))
        steps = [{kind: what} for kind, what in removed.steps]
        return json_response({"ImagesDeleted": steps or None, "SpaceReclaimed": removed.reclaimed})

    async def load(request: Request) -> Answer:
        lines = backend.progress()
        quiet = request.query.flag("quiet", True)
        platform = request.query.get("platform")
        work = backend.load(request.chunks(), lines, quiet=quiet, platform=_platform_text(platform))
        return await answer(lines, work, request.closed, told_inside=True)

    async def save(request: Request) -> Answer:
        names = [request.params["name"]] if "name" in request.params else _names(request)
        body = backend.save(names, platform=_platform_text(request.query.get("platform")))
        return StreamResponse(body, content_type="application/x-tar")

    async def create(request: Request) -> Answer:
        lines, query = backend.progress(), request.query
        if image := query.get("fromImage"):
            work = backend.pull(
                image,
                query.get("tag"),
                lines,
                platform=query.get("platform"),
                auth=credentials(request),
            )
        elif source := query.get("fromSrc"):
            if source != "-":
                raise BadRequest(
                    f"importing from {source} is not supported: download the file and import it "
                    "from standard input (docker import - NAME < FILE)"
                )
            work = backend.import_(
                request.chunks(),
                lines,
                repository=query.get("repo"),
                tag=query.get("tag"),
                message=query.get("message"),
                source=source,
                changes=query.all("changes"),
                platform=query.get("platform"),
            )
        else:
            raise BadRequest("either fromImage or fromSrc is needed")
        return await answer(lines, work, request.closed)

    async def push(request: Request) -> Answer:
        lines = backend.progress()
        work = backend.push(
            request.params["name"], request.query.get("tag"), lines, auth=credentials(request)
        )
        return await answer(lines, work, request.closed)

    async def search(request: Request) -> Response:
        query, limit = request.query, request.query.get("limit")
        try:
            number = int(limit) if limit else None
        except ValueError:
            raise BadRequest(f'invalid limit "{limit}": wanted a number') from None
        filters = Filters.parse(query.get("filters"))
        found = await backend.search(query.get("term"), number, filters, credentials(request))
        return json_response(list(found))

    return (
        Route("GET", "/images/json", list_),
        Route("GET", "/images/search", search),
        Route("GET", "/images/get", save),
        Route("POST", "/images/load", load),
        Route("POST", "/images/create", create),
        Route("POST", "/images/prune", prune),
        Route("GET", "/images/{name:path}/json", inspect),
        Route("GET", "/images/{name:path}/history", history),
        Route("GET", "/images/{name:path}/get", save),
        Route("POST", "/images/{name:path}/tag", tag),
        Route("POST", "/images/{name:path}/push", push),
        Route("DELETE", "/images/{name:path}", remove),
    )


def _list_filters(request: Request) -> Filters:
    filters = Filters.parse(request.query.get("filters"))
    if request.version < (1, 25) and (pattern := request.query.get("filter")):
        return Filters({**{k: filters.values(k) for k in filters.keys()}, "reference": [pattern]})
    return filters


def _names(request: Request) -> list[str]:
    return [name for value in request.query.all("names") for name in value.split(",") if name]


def _platform_text(text: str) -> str:
    """A platform as JSON (API 1.48 of save and load) or as text, always as text."""
    if not text.startswith("{"):
        return text
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadRequest(f"invalid platform: {error}") from error
    words = (value.get("os"), value.get("architecture"), value.get("variant"))
    return "/".join(str(word) for word in words if word)
