"""HTTP routes for looking and working inside volumes: parse the request, ask the backend, answer.

These are Cove's own, below /cove/volumes; docs/cove-api.md describes them.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, BinaryIO, Protocol, TypeVar

from engine.api.fields import mapping, string
from engine.api.http import (
    Answer,
    Request,
    Response,
    Route,
    StreamResponse,
    created,
    encode,
    json_response,
    no_content,
)
from engine.api.inside import content, entry_document, page_limit
from engine.api.operations import failure_line
from engine.api.volumes import Volume
from engine.api.volumes import to_wire as volume_document
from engine.errors import BadRequest, EngineError
from engine.values import dataclass

_BODY = "CloneOptions."

T = TypeVar("T")


@dataclass(frozen=True)
class Owner:
    """Who a written file belongs to, and its permission bits; None leaves it to the engine."""

    uid: int | None = None
    gid: int | None = None
    mode: int | None = None


class Backend(Protocol):
    """What these routes need; `volumes.inside.service.Inside` satisfies it."""

    async def page(
        self, name: str, path: str, after: str, limit: int
    ) -> tuple[Sequence[Any], int]: ...
    async def look(self, name: str, path: str) -> Any: ...
    async def open(self, name: str, path: str) -> tuple[Any, BinaryIO]: ...
    async def write(
        self, name: str, path: str, chunks: AsyncIterator[bytes], owner: Any
    ) -> Any: ...
    async def make_folder(self, name: str, path: str, owner: Any) -> Any: ...
    async def delete(self, name: str, path: str, *, recursive: bool) -> None: ...
    async def size(self, name: str) -> Any: ...
    def clone(
        self, name: str, new: str, labels: Mapping[str, str] | None
    ) -> AsyncGenerator[Any, None]: ...
    def export(self, name: str, *, compressed: bool) -> AsyncGenerator[bytes, None]: ...
    async def import_(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        path: str,
        replace: bool,
        labels: Mapping[str, str] | None,
    ) -> tuple[Volume, bool]: ...


def routes(find: Callable[[], Backend]) -> Sequence[Route]:
    """The routes below /cove/volumes; `find` gives the backend, at the first request."""

    async def tree(request: Request) -> Response:
        limit = page_limit(request)
        path, after = request.query.get("path", "/"), request.query.get("after")
        found, total = await find().page(request.params["name"], path, after, limit)
        rest = found[-1].path.rpartition("/")[2] if len(found) == limit else ""
        return json_response(
            {"Entries": [_entry(each) for each in found], "Total": total, "Next": rest}
        )

    async def look(request: Request) -> Response:
        path = request.query.get("path", "/")
        return json_response(_entry(await find().look(request.params["name"], path)))

    async def read(request: Request) -> Answer:
        entry, opened = await find().open(request.params["name"], _path(request))
        return content(request, entry.size, opened)

    async def write(request: Request) -> Response:
        path, owner = _path(request), _owner(request)
        return json_response(
            _entry(await find().write(request.params["name"], path, request.chunks(), owner))
        )

    async def folder(request: Request) -> Response:
        made = await find().make_folder(request.params["name"], _path(request), _owner(request))
        return created(_entry(made))

    async def delete(request: Request) -> Response:
        recursive = request.query.flag("recursive")
        await find().delete(request.params["name"], _path(request), recursive=recursive)
        return no_content()

    async def size(request: Request) -> Response:
        found = await _while_there(request, find().size(request.params["name"]))
        return json_response(
            {
                "Size": found.size,
                "Stored": found.stored,
                "Files": found.files,
                "Folders": found.folders,
            }
        )

    async def clone(request: Request) -> Answer:
        body = await request.json()
        new, labels = string(body, "Name", owner=_BODY), mapping(body, "Labels", owner=_BODY)
        steps = find().clone(request.params["name"], new, labels)
        return StreamResponse(await _Started.of(_lines(steps)))

    async def export(request: Request) -> Answer:
        name = request.params["name"]
        word = request.query.get("compress")
        if word not in ("", "gzip"):
            raise BadRequest(f"invalid compress {word!r}: gzip, or nothing for a plain tar")
        pieces = await _Started.of(find().export(name, compressed=bool(word)))
        kind = "application/gzip" if word else "application/x-tar"
        return StreamResponse(pieces, content_type=kind)

    async def import_(request: Request) -> Answer:
        volume, new = await find().import_(
            request.params["name"],
            request.chunks(),
            path=request.query.get("path", "/"),
            replace=request.query.flag("replace"),
            labels=_labels(request),
        )
        return json_response(volume_document(volume), 201 if new else 200)

    return (
        Route("GET", "/cove/volumes/{name}/tree", tree),
        Route("GET", "/cove/volumes/{name}/entry", look),
        Route("GET", "/cove/volumes/{name}/file", read),
        Route("PUT", "/cove/volumes/{name}/file", write),
        Route("DELETE", "/cove/volumes/{name}/file", delete),
        Route("POST", "/cove/volumes/{name}/folder", folder),
        Route("GET", "/cove/volumes/{name}/size", size),
        Route("POST", "/cove/volumes/{name}/clone", clone),
        Route("GET", "/cove/volumes/{name}/export", export),
        Route("PUT", "/cove/volumes/{name}/import", import_),
    )


def _path(request: Request) -> str:
    path = request.query.get("path")
    if not path:
        raise BadRequest("the path of a file in the volume is needed (path=/...)")
    return path


def _owner(request: Request) -> Owner:
    mode = None
    if text := request.query.get("mode"):
        try:
            mode = int(text, 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o7777:
            raise BadRequest(f"invalid mode {text!r}: give it in octal, like 0644")
    return Owner(_id(request, "uid"), _id(request, "gid"), mode)


def _id(request: Request, key: str) -> int | None:
    if not request.query.get(key):
        return None
    number = request.query.integer(key, 0)
    if not 0 <= number < (1 << 32) - 1:
        raise BadRequest(f"invalid {key} {number}")
    return number


def _labels(request: Request) -> Mapping[str, str] | None:
    """`label=KEY=VALUE`, as often as wanted."""
    pairs = [text.partition("=") for text in request.query.all("label")]
    return {key: value for key, _, value in pairs} or None


def _entry(entry: Any) -> dict[str, Any]:
    return {**entry_document(entry), "Links": entry.links}


async def _lines(steps: AsyncGenerator[Any, None]) -> AsyncGenerator[bytes, None]:
    """Steps and the new volume as lines. A failure after the first line is the last one."""
    told = False
    try:
        async for step in steps:
            if hasattr(step, "total"):
                line = {"Copied": step.bytes, "Files": step.files, "Total": step.total}
            else:
                line = {"Volume": volume_document(step)}
            yield encode(line)
            told = True
    except EngineError as error:
        if not told:
            raise
        yield failure_line(error)
    finally:
        await steps.aclose()


async def _while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, which is cancelled when the client goes away."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(request.closed.wait())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise EngineError("the client is gone")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


class _Started:
    """A generator whose first piece is there: what fails before fails the request itself.

    Unlike a generator, it can be closed properly before anybody has iterated.
    """

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    @classmethod
    async def of(cls, pieces: AsyncGenerator[bytes, None]) -> "_Started":
        """Wait for the first piece. Raises what the generator raises."""
        try:
            return cls(await anext(pieces, b""), pieces)
        except BaseException:
            await pieces.aclose()
            raise

    def __aiter__(self) -> "_Started":
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        return await anext(self._rest) if first is None else first

    async def aclose(self) -> None:
        """Nobody wants the rest."""
        await self._rest.aclose()
