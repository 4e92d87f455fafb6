"""Work that several builds want at the same time is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from engine.values import dataclass, field

T = TypeVar("T")
Event = tuple[str, Any]
Listener = Callable[[str, Any], None]
Work = Callable[[Listener], Coroutine[Any, Any, T]]


@dataclass
class _Flight(Generic[T]):
    """One piece of work: who listens, and what was told so far, for those that come later."""

    task: "asyncio.Task[T] | None" = None
    listeners: list[Listener] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)

    def tell(self, kind: str, value: Any) -> None:
        self.told.append((kind, value))
        for listener in list(self.listeners):
            listener(kind, value)


class Flights(Generic[T]):
    """Pieces of work by key. One ends early only when nobody waits for it any more."""

    def __init__(self) -> None:
        self._flying: dict[str, _Flight[T]] = {}

    async def run(self, key: str, work: Work[T], listener: Listener) -> T:
        """The result of `work`, which somebody else may have begun; raises what it raises.

        `listener` hears everything that the work tells, from its beginning.
        """
        flight = self._flying.get(key)
        if flight is None:
            flight = self._flying[key] = _Flight()
            flight.task = asyncio.get_running_loop().create_task(work(flight.tell))
            flight.task.add_done_callback(lambda _: self._landed(key, flight))
        for kind, value in flight.told:
            listener(kind, value)
        flight.listeners.append(listener)
        assert flight.task is not None
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.listeners.remove(listener)
            if not flight.listeners and not flight.task.done():
                self._landed(key, flight)
                flight.task.cancel()
                await _ended(flight.task)

    def _landed(self, key: str, flight: _Flight[T]) -> None:
        if self._flying.get(key) is flight:
            del self._flying[key]


async def _ended(task: "asyncio.Task[Any]") -> None:
    """Wait for a cancelled task, whatever it ends with."""
    waiting: Awaitable[Any] = asyncio.gather(task, return_exceptions=True)
    await asyncio.shield(waiting)
