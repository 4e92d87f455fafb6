"""Endless watchers: the engine's coming and going with its events, and the containers' numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass

from desktop.client.engine import Engine
from desktop.client.rows import EngineEvent, EngineFacts, Sample
from desktop.client.stats import Counters, counters, sample
from desktop.client.streams import Events

RETRY_SECONDS = 0.7
# Beyond this many running containers the numbers of those out of sight come by turns.
BACKGROUND_READINGS = 12
READERS = 8


@dataclass(frozen=True)
class Up:
    """The engine answers; its events follow."""

    facts: EngineFacts


@dataclass(frozen=True)
class Down:
    """The engine stopped answering, or never did."""

    error: BaseException


class Watch:
    """Iterate to follow one engine for ever: Up, its events, Down, Up again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wake = threading.Event()
        self._closed = False
        self._events: Events | None = None

    def close(self) -> None:
        """End the iteration from any thread."""
        self._closed = True
        self._wake.set()
        if self._events is not None:
            self._events.close()

    def poke(self) -> None:
        """Try again now: somebody knows that the engine is back."""
        self._wake.set()

    def __iter__(self) -> Iterator[Up | Down | EngineEvent]:
        down = False
        while not self._closed:
            error: BaseException = ConnectionError("the event stream ended")
            try:
                self._events = Events(self._engine)
                facts = self._engine.facts()
                yield Up(facts)
                down = False
                yield from self._events
            except Exception as problem:
                error = problem
            if self._closed:
                return
            self._engine.close()
            if not down:
                down = True
                yield Down(error)
            self._wake.wait(RETRY_SECONDS)
            self._wake.clear()


class Readings:
    """Iterate to get the numbers of the wanted containers once a second."""

    def __init__(self, engine: Engine, seconds: float = 1.0) -> None:
        self._engine, self._seconds = engine, seconds
        self._wake = threading.Event()
        self._wanted: tuple[str, ...] = ()
        self._others: tuple[str, ...] = ()
        self._before: dict[str, Counters] = {}
        self._turn = 0
        # Some engines take a second to answer; the numbers of a screen come side by side.
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="cove-numbers")
        self._closed = False

    def want(self, visible: Iterable[str], others: Iterable[str]) -> None:
        """Which ids to read: all of `visible`, some of `others` each time."""
        self._wanted, self._others = tuple(visible), tuple(others)

    def close(self) -> None:
        """End the iteration from any thread."""
        self._closed = True
        self._wake.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __iter__(self) -> Iterator[dict[str, Sample]]:
        while not self._closed:
            began = time.monotonic()
            ids = list(dict.fromkeys(self._round()))
            try:
                numbers = list(self._pool.map(self._read, ids))
            except (CancelledError, RuntimeError):
                return
            found = {id: one for id, one in zip(ids, numbers, strict=True) if one is not None}
            if self._closed:
                return
            if found:
                yield found
            rest = self._seconds - (time.monotonic() - began)
            self._wake.wait(max(0.1, rest))

    def _round(self) -> list[str]:
        others = self._others
        count = min(len(others), BACKGROUND_READINGS)
        picked = [others[(self._turn + i) % len(others)] for i in range(count)]
        self._turn += count
        return [*self._wanted, *picked]

    def _read(self, id: str) -> Sample | None:
        try:
            now = counters(self._engine.reading(id))
        except Exception:
            # Gone or stopped in this very moment; the event stream tells the rest.
            self._before.pop(id, None)
            return None
        before = self._before.get(id)
        self._before[id] = now
        return sample(before, now) if before else None
