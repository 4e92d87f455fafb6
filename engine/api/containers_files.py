"""HTTP routes for the files of containers: stat, tar out, tar in, export, changes."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from engine.api.http import Answer, Request, Response, Route, StreamResponse, json_response
from engine.errors import BadRequest
from engine.times import format_time

_TAR = "application/x-tar"
_STAT_HEADER = "X-Docker-Container-Path-Stat"


class PathStat(Protocol):
    """What is at a path; `mode` is Go's os.FileMode, mtime ns since 1970."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def mode(self) -> int: ...
    @property
    def mtime(self) -> int: ...
    @property
    def link_target(self) -> str: ...


class Backend(Protocol):
    """What these routes need; `containers.room.Rooms` satisfies it."""

    async def stat(self, reference: str, path: str) -> Any: ...
    async def get(self, reference: str, path: str) -> tuple[Any, AsyncIterator[bytes]]: ...
    async def put(
        self,
        reference: str,
        path: str,
        chunks: AsyncIterator[bytes],
        *,
        keep_kinds: bool,
        copy_owner: bool,
    ) -> None: ...
    def export(self, reference: str) -> AsyncIterator[bytes]: ...
    async def changes(self, reference: str) -> Sequence[dict[str, Any]]: ...


def _header(found: PathStat) -> dict[str, str]:
    document = {
        "name": found.name,
        "size": found.size,
        "mode": found.mode,
        "mtime": format_time(found.mtime),
        "linkTarget": found.link_target,
    }
    return {_STAT_HEADER: base64.b64encode(json.dumps(document).encode()).decode()}


def _path(request: Request) -> str:
    path = request.query.get("path")
    if not path:
        raise BadRequest("bad parameter: pathcannot be empty")  # dockerd's own words
    return path


def routes(backend: Backend) -> Sequence[Route]:
    """The routes of a container's files."""

    async def head(request: Request) -> Answer:
        found = await backend.stat(request.params["id"], _path(request))
        return Response(200, b"", _header(found))

    async def get(request: Request) -> Answer:
        found, pieces = await backend.get(request.params["id"], _path(request))
        return StreamResponse(pieces, content_type=_TAR, headers=_header(found))

    async def put(request: Request) -> Answer:
        await backend.put(
            request.params["id"],
            _path(request),
            request.chunks(),
            keep_kinds=request.query.flag("noOverwriteDirNonDir"),
            copy_owner=request.query.flag("copyUIDGID"),
        )
        return Response(200)

    async def export(request: Request) -> Answer:
        pieces = backend.export(request.params["id"])
        return StreamResponse(pieces, content_type="application/octet-stream")

    async def changes(request: Request) -> Answer:
        return json_response(list(await backend.changes(request.params["id"])) or None)

    return (
        Route("HEAD", "/containers/{id}/archive", head),
        Route("GET", "/containers/{id}/archive", get),
        Route("PUT", "/containers/{id}/archive", put),
        Route("GET", "/containers/{id}/export", export),
        Route("GET", "/containers/{id}/changes", changes),
    )
