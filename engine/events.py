"""What happened: publish, subscribe, and a short history for `docker events --since`."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Self

from engine.values import dataclass, field

HISTORY = 256
# A subscriber that falls further behind than this loses its oldest events, as with dockerd.
BACKLOG = 8192


@dataclass(frozen=True, slots=True)
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
    """A live view of the events since `subscribe()`; iterate it, then close it (or use `with`)."""

    def __init__(self, events: "Events") -> None:
        self._events = events
        self._queue: deque[Event] = deque(maxlen=BACKLOG)
        self._wake = asyncio.Event()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()

    def offer(self, event: Event) -> None:
        """Queue one event; called by Events alone."""
        self._queue.append(event)
        self._wake.set()

    def close(self) -> None:
        """Take no more events; what is queued can still be read. Closing twice is safe."""
        self._closed = True
        self._wake.set()
        self._events.forget(self)


class Events:
    """The one bus of an engine. All methods belong to the event loop's thread."""

    def __init__(self) -> None:
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._subscriptions: set[Subscription] = set()
        self._last_ns = 0

    def publish(
        self, type: str, action: str, actor_id: str, attributes: Mapping[str, str] | None = None
    ) -> Event:
        """Tell everyone at once; never blocks. Times rise strictly, whatever the clock does."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        event = Event(type, action, actor_id, dict(attributes or {}), self._last_ns)
        self._history.append(event)
        for subscription in self._subscriptions:
            subscription.offer(event)
        return event

    def subscribe(self) -> Subscription:
        """Start receiving; every event published from now on."""
        subscription = Subscription(self)
        self._subscriptions.add(subscription)
        return subscription

    def history(self) -> Iterable[Event]:
        """The last 256 events, oldest first."""
        return tuple(self._history)

    @property
    def listeners(self) -> int:
        """How many subscriptions are open (`docker info` prints it)."""
        return len(self._subscriptions)

    def forget(self, subscription: Subscription) -> None:
        """Drop a closed subscription; called by Subscription alone."""
        self._subscriptions.discard(subscription)
