"""GET /events: what happened and what happens, one JSON object a line."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from engine.api.http import Request, Route, StreamResponse, encode
from engine.errors import BadRequest
from engine.events import Event, Subscription
from engine.filters import Filters
from engine.times import SECOND, parse_time

# Bytes that wait for a slow client, beside what its socket takes. It loses events after that.
_HELD = 16 << 10
# Types whose objects a filter of the same name picks by id or name, or by how these begin.
_NAMED = ("container", "daemon", "network", "node", "plugin", "volume")


class Backend(Protocol):
    """What the route needs; `events.Events` satisfies it."""

    def subscribe(self) -> Subscription: ...
    def history(self) -> Iterable[Event]: ...


def routes(backend: Backend) -> Sequence[Route]:
    """The one route."""

    async def events(request: Request) -> StreamResponse:
        since = _moment(request.query.get("since"))
        until = _moment(request.query.get("until"))
        if since is not None and until is not None and since > until:
            raise BadRequest(
                f"`since` time ({request.query.get('since')}) cannot be after "
                f"`until` time ({request.query.get('until')})"
            )
        filters = Filters.parse(request.query.get("filters"))
        return StreamResponse(_stream(backend, since, until, filters), held=_HELD)

    return (Route("GET", "/events", events),)


def wanted(event: Event, filters: Filters) -> bool:
    """Whether an event passes, by dockerd's rules."""
    name = event.attributes.get("name", "")
    return (
        _action(event.action, filters)
        and filters.matches("type", event.type)
        and filters.matches("scope", "local")
        and filters.labels(event.attributes)
        and all(_begins(filters, kind, event.actor_id, name) for kind in _NAMED)
        and _image(event, filters)
    )


def _action(action: str, filters: Filters) -> bool:
    # "exec_create: sh" is picked by event=exec_create
    word, colon, _ = action.partition(":")
    return filters.matches("event", action) or bool(colon and filters.matches("event", word))


def _begins(filters: Filters, kind: str, actor: str, name: str) -> bool:
    if kind not in filters:
        return True
    return any(actor.startswith(value) or name.startswith(value) for value in filters.values(kind))


def _image(event: Event, filters: Filters) -> bool:
    if "image" not in filters:
        return True
    name = event.attributes.get("name" if event.type == "image" else "image", "")
    names = {event.actor_id, name, _without_tag(event.actor_id), _without_tag(name)}
    return any(value in names for value in filters.values("image"))


def _without_tag(name: str) -> str:
    head, colon, tail = name.rpartition(":")
    return head if colon and "/" not in tail else name


def _moment(text: str) -> int | None:
    return parse_time(text) if text and text != "0" else None


async def _stream(
    backend: Backend, since: int | None, until: int | None, filters: Filters
) -> AsyncIterator[bytes]:
    with backend.subscribe() as subscription:
        if since is not None or until is not None:
            past = [
                event
                for event in backend.history()
                if (since or 0) <= event.time_ns and (until is None or event.time_ns <= until)
            ]
            yield _lines(past, filters)
        if until is None:
            async for batch in subscription:
                yield _lines(batch, filters)
            return
        while (left := until - time.time_ns()) > 0:
            try:
                async with asyncio.timeout(left / SECOND):
                    batch = await anext(subscription)
            except (TimeoutError, StopAsyncIteration):
                return
            yield _lines([event for event in batch if event.time_ns <= until], filters)


def _lines(events: Iterable[Event], filters: Filters) -> bytes:
    return b"".join(_line(event) for event in events if wanted(event, filters))


@functools.lru_cache(maxsize=64)
def _line(event: Event) -> bytes:
    """One object and its newline: the same for all who listen."""
    return encode(event.to_wire())
