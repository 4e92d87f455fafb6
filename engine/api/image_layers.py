"""HTTP routes for looking inside images: parse the request, ask the backend, answer.

These are Cove's own, below /cove/images; docs/cove-api.md describes them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from engine.api.http import Answer, Request, Response, Route, json_response
from engine.api.inside import content, entry_document, page_limit
from engine.errors import BadRequest, NotFound

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
        index, limit = _index(request, browser), page_limit(request)
        found = await _ask(
            browser.changes, index, request.query.get("after"), limit, _kind(request)
        )
        rest = found[-1].entry.path if len(found) == limit else ""
        return json_response({"Changes": [_change(each) for each in found], "Next": rest})

    async def tree(request: Request) -> Response:
        browser = backend.browse(request.params["name"])
        limit = page_limit(request)
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
        index, path = _index(request, browser), request.query.get("path")
        entry, opened = await _ask(browser.file, index, path)
        return content(request, entry.size, opened)

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
    return {**entry_document(entry), "Layer": entry.layer}


def _change(change: Any) -> dict[str, Any]:
    kind = _WORDS[int(change.kind)]
    return {"Kind": kind, "Hidden": change.hidden, **_entry(change.entry)}


def _waste(waste: Any) -> dict[str, Any]:
    paths = [{"Path": each.path, "Size": each.size, "Layers": each.layers} for each in waste.paths]
    return {"Size": waste.stored, "Wasted": waste.wasted, "Paths": paths}
