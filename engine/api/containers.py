"""HTTP routes for containers: parse the request, ask the backend, answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from engine.api.http import (
    Answer,
    Request,
    Route,
    StreamResponse,
    created,
    encode,
    encoded_response,
    json_response,
    no_content,
)
from engine.errors import BadRequest
from engine.filters import Filters

Document = dict[str, Any]


class Created(Protocol):
    """What a create gives: the new id and sentences about what was left out."""

    @property
    def id(self) -> str: ...
    @property
    def warnings(self) -> Sequence[str]: ...


class Pruned(Protocol):
    """What a prune removed."""

    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def reclaimed(self) -> int: ...


class Ended(Protocol):
    """How a wait ended."""

    @property
    def exit_code(self) -> int: ...
    @property
    def error(self) -> str: ...


class Backend(Protocol):
    """What these routes need; `containers.wiring.Containers` satisfies it."""

    async def create(self, body: Document, name: str = "", platform: str = "") -> Created: ...
    async def start(self, reference: str) -> None: ...
    async def stop(
        self, reference: str, *, signal_name: str = "", timeout: int | None = None
    ) -> None: ...
    async def restart(
        self, reference: str, *, signal_name: str = "", timeout: int | None = None
    ) -> None: ...
    async def kill(self, reference: str, signal_name: str = "") -> None: ...
    async def pause(self, reference: str) -> None: ...
    async def unpause(self, reference: str) -> None: ...
    async def rename(self, reference: str, name: str) -> None: ...
    async def update(self, reference: str, body: Document) -> Sequence[str]: ...
    async def remove(
        self, reference: str, *, force: bool = False, volumes: bool = False
    ) -> None: ...
    async def unlink(self, reference: str) -> None: ...
    def wait(self, reference: str, condition: str = "") -> asyncio.Future[Any]: ...
    async def list(
        self, filters: Filters, *, all: bool = False, limit: int = 0, size: bool = False
    ) -> Sequence[Document]: ...
    def listed(self, filters: Filters, *, all: bool, limit: int) -> str: ...
    async def inspect(self, reference: str, *, size: bool = False) -> Document: ...
    def inspected(self, reference: str) -> str: ...
    async def prune(self, filters: Filters) -> Pruned: ...
    async def commit(
        self,
        reference: str,
        asked: Document,
        *,
        repository: str = "",
        tag: str = "",
        author: str = "",
        message: str = "",
        pause: bool = True,
        changes: Sequence[str] = (),
    ) -> str: ...
    async def top(self, reference: str, ps_args: str) -> Document: ...


def _timeout(request: Request) -> int | None:
    return request.query.integer("t", 0) if request.query.get("t") else None


async def _wait_body(ended: "asyncio.Future[Ended]") -> AsyncIterator[bytes]:
    # `docker run` waits for the headers of this answer before it starts the container
    yield b""
    result = await ended
    document: Document = {"StatusCode": result.exit_code}
    if result.error:
        document["Error"] = {"Message": result.error}
    yield encode(document)


def _acts(backend: Backend) -> Sequence[Route]:
    """Routes that do one thing to one container and answer 204."""

    async def start(request: Request) -> Answer:
        if (await request.read()).strip() not in (b"", b"{}", b"null"):
            raise BadRequest(
                "starting container with non-empty request body was deprecated since API v1.22 "
                "and removed in v1.24"
            )
        await backend.start(request.params["id"])
        return no_content()

    async def stop(request: Request) -> Answer:
        await backend.stop(
            request.params["id"],
            signal_name=request.query.get("signal"),
            timeout=_timeout(request),
        )
        return no_content()

    async def restart(request: Request) -> Answer:
        await backend.restart(
            request.params["id"],
            signal_name=request.query.get("signal"),
            timeout=_timeout(request),
        )
        return no_content()

    async def kill(request: Request) -> Answer:
        await backend.kill(request.params["id"], request.query.get("signal"))
        return no_content()

    async def pause(request: Request) -> Answer:
        await backend.pause(request.params["id"])
        return no_content()

    async def unpause(request: Request) -> Answer:
        await backend.unpause(request.params["id"])
        return no_content()

    async def rename(request: Request) -> Answer:
        await backend.rename(request.params["id"], request.query.get("name"))
        return no_content()

    async def remove(request: Request) -> Answer:
        if request.query.flag("link"):
            await backend.unlink(request.params["id"])
            return no_content()
        return await remove_whole(request, request.params["id"])

    async def unlink(request: Request) -> Answer:
        path = "{parent}/{alias}".format(**request.params)
        if not request.query.flag("link"):
            return await remove_whole(request, path)
        await backend.unlink(path)
        return no_content()

    async def remove_whole(request: Request, id: str) -> Answer:
        await backend.remove(
            id,
            force=request.query.flag("force"),
            volumes=request.query.flag("v"),
        )
        return no_content()

    return (
        Route("POST", "/containers/{id}/start", start),
        Route("POST", "/containers/{id}/stop", stop),
        Route("POST", "/containers/{id}/restart", restart),
        Route("POST", "/containers/{id}/kill", kill),
        Route("POST", "/containers/{id}/pause", pause),
        Route("POST", "/containers/{id}/unpause", unpause),
        Route("POST", "/containers/{id}/rename", rename),
        Route("DELETE", "/containers/{id}", remove),
        Route("DELETE", "/containers/{parent}/{alias}", unlink),
    )


def routes(backend: Backend) -> Sequence[Route]:
    """The routes of containers but for their streams and files."""

    async def create(request: Request) -> Answer:
        body = await request.json()
        made = await backend.create(body, request.query.get("name"), request.query.get("platform"))
        return created({"Id": made.id, "Warnings": list(made.warnings)})

    async def update(request: Request) -> Answer:
        warnings = await backend.update(request.params["id"], await request.json())
        return json_response({"Warnings": list(warnings) or None})

    async def wait(request: Request) -> Answer:
        ended = backend.wait(request.params["id"], request.query.get("condition"))
        return StreamResponse(_wait_body(ended))

    async def listing(request: Request) -> Answer:
        query = request.query
        filters = Filters.parse(query.get("filters"))
        every, limit = query.flag("all"), query.integer("limit", 0)
        if query.flag("size"):
            return json_response(await backend.list(filters, all=every, limit=limit, size=True))
        return encoded_response(backend.listed(filters, all=every, limit=limit))

    async def inspect(request: Request) -> Answer:
        id = request.params["id"]
        if request.query.flag("size"):
            return json_response(await backend.inspect(id, size=True))
        return encoded_response(backend.inspected(id))

    async def prune(request: Request) -> Answer:
        pruned = await backend.prune(Filters.parse(request.query.get("filters")))
        return json_response(
            {"ContainersDeleted": list(pruned.ids) or None, "SpaceReclaimed": pruned.reclaimed}
        )

    async def commit(request: Request) -> Answer:
        query = request.query
        image_id = await backend.commit(
            query.get("container"),
            await request.json(),
            repository=query.get("repo"),
            tag=query.get("tag"),
            author=query.get("author"),
            message=query.get("comment"),
            pause=query.flag("pause", True),
            changes=query.all("changes"),
        )
        return created({"Id": image_id})

    async def top(request: Request) -> Answer:
        return json_response(await backend.top(request.params["id"], request.query.get("ps_args")))

    return (
        Route("GET", "/containers/json", listing),
        Route("POST", "/containers/create", create),
        Route("POST", "/containers/prune", prune),
        Route("POST", "/commit", commit),
        Route("GET", "/containers/{id:path}/json", inspect),
        Route("GET", "/containers/{id}/top", top),
        Route("POST", "/containers/{id}/wait", wait),
        Route("POST", "/containers/{id}/update", update),
        *_acts(backend),
    )
