"""Making an image of a container."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from engine.containers.lifecycle import Lifecycle
from engine.containers.neighbours import Neighbours
from engine.containers.record import Record, Status
from engine.containers.store import Store
from engine.errors import BadRequest
from engine.images.commit import commit
from engine.images.reference import Reference

# The fields of a container's config that are its own, not its image's.
_OWN = frozenset(
    {
        "Hostname",
        "Domainname",
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "Tty",
        "OpenStdin",
        "StdinOnce",
        "Image",
        "NetworkDisabled",
        "MacAddress",
    }
)


def image_config(record: Record, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the image: the container's, changed by what the request's body says."""
    config = {key: value for key, value in record.config.items() if key not in _OWN}
    config.update({key: value for key, value in asked.items() if value and key not in _OWN})
    return {key: value for key, value in config.items() if value not in (None, "", [], {})}


async def _pieces(tar: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a blocking iterator, each read in a thread."""
    while (piece := await asyncio.to_thread(next, tar, None)) is not None:
        yield piece


class Committer:
    """Turns containers into images."""

    def __init__(self, store: Store, lifecycle: Lifecycle, neighbours: Neighbours) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._neighbours = neighbours

    async def commit(
        self,
        reference: str,
        asked: Mapping[str, Any],
        *,
        repository: str = "",
        tag: str = "",
        author: str = "",
        message: str = "",
        pause: bool = True,
        changes: Sequence[str] = (),
    ) -> str:
        """The id of the new image. Raises NotFound, BadRequest."""
        if not reference:
            raise BadRequest('invalid name or ID supplied: ""')
        container = self._store.get(reference)
        record = container.record
        images = self._neighbours.images
        async with contextlib.AsyncExitStack() as stack:
            if pause and record.state.status is Status.RUNNING:
                await self._lifecycle.pause(record.id)
                stack.push_async_callback(self._resume, record.id)
            image = await commit(
                images,
                images.resolve(record.image_id),
                _pieces(self._neighbours.snapshots.diff(record.id)),
                image_config(record, asked),
                created_by=" ".join(record.config.get("Cmd") or ()),
                repository=repository,
                tag=tag,
                author=author,
                message=message,
                changes=changes,
            )
            name = ""
            if repository:
                target = Reference.parse(f"{repository}:{tag}" if tag else repository)
                name = target.with_default_tag().familiar
            self._store.tell(container, "commit", comment=message, imageID=image.id, imageRef=name)
            return image.id

    async def _resume(self, id: str) -> None:
        if self._store.get(id).record.state.status is Status.PAUSED:
            await self._lifecycle.unpause(id)
