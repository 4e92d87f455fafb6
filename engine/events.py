"""What happened: publish, subscribe, and a short history for `docker events --since`.

The last events stand in one ring that all subscribers read, each at its own place: however many
they are and however slow, they cost no memory and hold nobody up.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self

from engine.values import dataclass, field

HISTORY = 256
# A subscriber that falls further behind than this loses its oldest events in silence, as with
# dockerd, which keeps 1024 for it.
BACKLOG = 2048
_BATCH = 64
# how many listeners are woken at a time, and seconds until the next
_CROWD = 64
_PAUSE = 0.002


# each is told apart from all others, and may stand in a cache
@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One thing that happened to one object; time_ns since the epoch, UTC."""

    type: str
    action: str
    actor_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    time_ns: int = 0

    def to_wire(self) -> dict[str, Any]:
        """The event as Docker's `/events` prints it, with the old keys for old clients."""
        record: dict[str, Any] = {}
        if self.type == "container":
            record["status"] = self.action
            record["id"] = self.actor_id
            if image := self.attributes.get("image"):
                record["from"] = image
        elif self.type == "image":
            record["status"] = self.action
            record["id"] = self.actor_id
        record["Type"] = self.type
        record["Action"] = self.action
        record["Actor"] = {"ID": self.actor_id, "Attributes": dict(self.attributes)}
        record["scope"] = "local"
        record["time"] = self.time_ns // 1_000_000_000
        record["timeNano"] = self.time_ns
        return record


class Subscription:
    """The events since `subscribe()`, in batches; iterate it, then close it (or use `with`)."""

    def __init__(self, events: "Events") -> None:
        self._events = events
        self._next = events.count
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        return self

    async def __anext__(self) -> Sequence[Event]:
        while self._next == self._events.count:
            if self._closed:
                raise StopAsyncIteration
            self._waiter = self._events.news()
            await self._waiter
        found = self._events.ring(self._next, _BATCH)
        self._next = min(self._events.count, max(self._next, self._events.first) + len(found))
        return found

    def close(self) -> None:
        """Wait for no more events; those up to now can still be read. Closing twice is safe."""
        self._closed = True
        if self._waiter is not None:
            _settle(self._waiter)
        self._events.forget(self, self._waiter)


class Events:
    """The one bus of an engine. All methods belong to the event loop's thread."""

    def __init__(self) -> None:
        self._ring: list[Event] = []
        self._subscriptions: set[Subscription] = set()
        self._waiting: dict[asyncio.Future[None], None] = {}  # in the order of their coming
        self._waking: list[asyncio.Future[None]] = []
        self._last_ns = 0
        self.count = 0  # of all events ever

    @property
    def first(self) -> int:
        """The number of the oldest event that is kept."""
        return self.count - len(self._ring)

    def ring(self, start: int, most: int) -> Sequence[Event]:
        """Up to `most` events from number `start` on, or from the oldest that is kept."""
        start = max(start, self.first)
        return [self._ring[n % BACKLOG] for n in range(start, min(start + most, self.count))]

    def publish(
        self, type: str, action: str, actor_id: str, attributes: Mapping[str, str] | None = None
    ) -> Event:
        """Tell everyone at once; never blocks. Times rise strictly, whatever the clock does."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        event = Event(type, action, actor_id, dict(attributes or {}), self._last_ns)
        if len(self._ring) < BACKLOG:
            self._ring.append(event)
        else:
            self._ring[self.count % BACKLOG] = event
        self.count += 1
        if self._waiting:
            begun = bool(self._waking)
            self._waking += self._waiting
            self._waiting.clear()
            if not begun:
                self._wake_some()
        return event

    def news(self) -> asyncio.Future[None]:
        """Is done soon after the next event; called by Subscription alone."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = None
        return future

    def _wake_some(self) -> None:
        """Wake those who wait, the rest a little later: a crowd must not stop the engine."""
        some, self._waking = self._waking[:_CROWD], self._waking[_CROWD:]
        for future in some:
            _settle(future)
        if self._waking:
            asyncio.get_running_loop().call_later(_PAUSE, self._wake_some)

    def subscribe(self) -> Subscription:
        """Start receiving; every event published from now on."""
        subscription = Subscription(self)
        self._subscriptions.add(subscription)
        return subscription

    def history(self) -> Sequence[Event]:
        """The last 256 events, oldest first."""
        return self.ring(self.count - HISTORY, HISTORY)

    @property
    def listeners(self) -> int:
        """How many subscriptions are open (`docker info` prints it)."""
        return len(self._subscriptions)

    def forget(self, subscription: Subscription, waiter: asyncio.Future[None] | None) -> None:
        """Drop a closed subscription; called by Subscription alone."""
        self._subscriptions.discard(subscription)
        if waiter is not None:
            self._waiting.pop(waiter, None)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
