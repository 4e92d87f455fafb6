"""HTTP routes for looking inside images: parse the request, ask the backend, answer.

These are Cove's own, below /cove/images; docs/cove-api.md describes them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from engine.api.http import Answer, Request, Response, Route, StreamResponse, json_response
from engine.errors import BadRequest, NotFound
from engine.times import format_time

_PAGE = 200
_LARGEST_PAGE = 5000
_PIECE = 1 << 20
_KINDS = {"modified": 0, "added": 1, "deleted": 2}
_WORDS = {number: word for word, number in _KINDS.items()}


class Browser(Protocol):
    """One image from inside; `images.inside.browser.Browser` satisfies it."""

    def layers(self) -> Sequence[Any]: ...
    def summary(self, index: int) -> Any: ...
    def changes(self, index: int, after: str, limit: int, kind: Any) -> Sequence[Any]: ...
    def tree(self, index: int, path: str, after: str, limit: int) -> tuple[Sequence[Any], int]: ...
    def file(self, index: int, path: str) -> tuple[Any, BinaryIO]: ...
    def waste(self) -> Any: ...
    def top(self) -> int: ...


class Backend(Protocol):
    """What these routes need; `images.Service` satisfies it."""

    def browse(self, name: str) -> Browser: ...


def routes(backend: Backend) -> Sequence[Route]:
    """The routes below /cove/images."""

    async def layers(request: Request) -> Response:
        browser = backend.browse(request.params["name"])
        counted = request.query.flag("changes")
        return json_response(await _ask(_layers, browser, counted))

    async def changes(request: Request) -> Response:
        browser = backend.browse(request.params["name"])
        index, limit = _index(request, browser), _limit(request)
        found = await _ask(
            browser.changes, index, request.query.get("after"), limit, _kind(request)
        )
        rest = found[-1].entry.path if len(found) == limit else ""
        return json_response({"Changes": [_change(each) for each in found], "Next": rest})

    async def tree(request: Request) -> Response:
        browser = backend.browse(request.params["name"])
        limit = _limit(request)
        found, total = await _ask(
            browser.tree,
            _index(request, browser),
            request.query.get("path", "/"),
            request.query.get("after"),
            limit,
        )
        rest = found[-1].path.rpartition("/")[2] if len(found) == limit else ""
        return json_response(
            {"Entries": [_entry(each) for each in found], "Total": total, "Next": rest}
        )

    async def file(request: Request) -> Answer:
        browser = backend.browse(request.params["name"])
        offset, limit = request.query.integer("offset", 0), request.query.integer("limit", -1)
        index, path = _index(request, browser), request.query.get("path")
        entry, content = await _ask(browser.file, index, path)
        start = min(max(offset, 0), entry.size)
        limit = entry.size if "limit" not in request.query else max(limit, 0)
        return StreamResponse(
            _content(content, start, limit), content_type="application/octet-stream"
        )

    async def waste(request: Request) -> Response:
        browser = backend.browse(request.params["name"])
        return json_response(_waste(await _ask(browser.waste)))

    return (
        Route("GET", "/cove/images/{name:path}/layers", layers),
        Route("GET", "/cove/images/{name:path}/changes", changes),
        Route("GET", "/cove/images/{name:path}/tree", tree),
        Route("GET", "/cove/images/{name:path}/file", file),
        Route("GET", "/cove/images/{name:path}/waste", waste),
    )


async def _ask(question: Callable[..., Any], *values: Any) -> Any:
    """Ask in a thread; an image that is removed meanwhile is told as missing."""
    try:
        return await asyncio.to_thread(question, *values)
    except FileNotFoundError as error:
        raise NotFound("the image was removed while it was read") from error


def _index(request: Request, browser: Browser) -> int:
    top = browser.top()
    return request.query.integer("layer", top)


def _limit(request: Request) -> int:
    limit = request.query.integer("limit", _PAGE)
    if not 0 < limit <= _LARGEST_PAGE:
        raise BadRequest(f"invalid limit {limit}: from 1 to {_LARGEST_PAGE}")
    return limit


def _kind(request: Request) -> int | None:
    word = request.query.get("kind")
    if word and word not in _KINDS:
        raise BadRequest(f"invalid kind {word!r}: one of {', '.join(_KINDS)}")
    return _KINDS.get(word)


def _layers(browser: Browser, counted: bool) -> list[dict[str, Any]]:
    documents = []
    for view in browser.layers():
        document = {
            "Index": view.index,
            "DiffId": view.layer.diff_id,
            "ChainId": view.chain_id,
            "Digest": view.layer.blob,
            "MediaType": view.layer.media_type,
            "Size": view.layer.size,
            "BlobSize": view.layer.blob_size,
            "Created": view.step.get("created", ""),
            "CreatedBy": view.step.get("created_by", ""),
            "SharedWith": list(view.shared),
        }
        if counted:
            document["Changes"] = _summary(browser.summary(view.index))
        documents.append(document)
    return documents


def _summary(summary: Any) -> Mapping[str, int]:
    return {
        "Added": summary.added,
        "Modified": summary.modified,
        "Deleted": summary.deleted,
        "Written": summary.written,
        "Hidden": summary.hidden,
    }


def _entry(entry: Any) -> dict[str, Any]:
    return {
        "Path": entry.path,
        "Type": str(entry.type),
        "Mode": entry.mode,
        "Size": entry.size,
        "Uid": entry.uid,
        "Gid": entry.gid,
        "Modified": format_time(entry.modified),
        "Target": entry.target,
        "Layer": entry.layer,
    }


def _change(change: Any) -> dict[str, Any]:
    kind = _WORDS[int(change.kind)]
    return {"Kind": kind, "Hidden": change.hidden, **_entry(change.entry)}


def _waste(waste: Any) -> dict[str, Any]:
    paths = [{"Path": each.path, "Size": each.size, "Layers": each.layers} for each in waste.paths]
    return {"Size": waste.stored, "Wasted": waste.wasted, "Paths": paths}


async def _content(file: BinaryIO, offset: int, limit: int) -> AsyncIterator[bytes]:
    with file:
        await asyncio.to_thread(file.seek, offset)
        while limit and (piece := await asyncio.to_thread(file.read, min(limit, _PIECE))):
            limit -= len(piece)
            yield piece
