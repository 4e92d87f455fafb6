"""Files inside images and volumes, as the routes of both answer them: pages, entries, content."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, BinaryIO

from engine.api.http import Request, StreamResponse
from engine.errors import BadRequest
from engine.times import format_time

_PAGE = 200
_LARGEST_PAGE = 5000
_PIECE = 1 << 20
_EPOCH = "1970-01-01T00:00:00Z"  # Docker's documents show no time for it, archives mean it


def page_limit(request: Request) -> int:
    """How many entries a page may have. Raises BadRequest."""
    limit = request.query.integer("limit", _PAGE)
    if not 0 < limit <= _LARGEST_PAGE:
        raise BadRequest(f"invalid limit {limit}: from 1 to {_LARGEST_PAGE}")
    return limit


def entry_document(entry: Any) -> dict[str, Any]:
    """What images and volumes tell alike of a file."""
    return {
        "Path": entry.path,
        "Type": str(entry.type),
        "Mode": entry.mode,
        "Size": entry.size,
        "Uid": entry.uid,
        "Gid": entry.gid,
        "Modified": format_time(entry.modified) if entry.modified else _EPOCH,
        "Target": entry.target,
    }


def content(request: Request, size: int, file: BinaryIO) -> StreamResponse:
    """A file of `size` bytes from `offset`, at most `limit`; closes it. Raises BadRequest."""
    try:
        offset, limit = request.query.integer("offset", 0), request.query.integer("limit", size)
    except BaseException:
        file.close()
        raise
    body = _Content(file, min(max(offset, 0), size), max(limit, 0))
    return StreamResponse(body, content_type="application/octet-stream")


class _Content:
    """Up to `left` bytes of a file from `offset`."""

    def __init__(self, file: BinaryIO, offset: int, left: int) -> None:
        self._file, self._offset, self._left = file, offset, left

    def __aiter__(self) -> "_Content":
        return self

    async def __anext__(self) -> bytes:
        read: Callable[[int, int, int], bytes] = os.pread
        piece, wanted = b"", min(self._left, _PIECE)
        if wanted:
            piece = await asyncio.to_thread(read, self._file.fileno(), wanted, self._offset)
        if not piece:
            raise StopAsyncIteration
        self._offset += len(piece)
        self._left -= len(piece)
        return piece

    async def aclose(self) -> None:
        """Close the file; a last read may still be under way, with nobody to wait for it."""
        self._file.close()
