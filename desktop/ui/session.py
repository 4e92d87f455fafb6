"""`Session`: what the window knows of its engine, kept fresh by events, and what it asks of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal

from desktop.client.engine import Engine
from desktop.client.failures import Problem, explain
from desktop.client.operations import Operation
from desktop.client.rows import (
    Container,
    EngineEvent,
    EngineFacts,
    Image,
    Network,
    Sample,
    Volume,
)
from desktop.client.watch import Down, Readings, Up, Watch
from desktop.ui.bridge import Bridge, StreamTask

HISTORY = 120
UNDO_SECONDS = 8.0
_NOUNS = ("container", "image", "volume", "network")


@dataclass(frozen=True)
class Busy:
    """A row with an operation under way: its verb and when it began (monotonic)."""

    verb: str
    since: float


class Session(QObject):
    """One engine as Qt signals; the rows are tuples of frozen values."""

    reachable_changed = Signal()
    containers_changed = Signal()
    images_changed = Signal()
    volumes_changed = Signal()
    networks_changed = Signal()
    samples_changed = Signal(object)
    busy_changed = Signal()
    failed = Signal(object, object)
    removal_waits = Signal(str, str)
    happened = Signal(object)

    def __init__(self, bridge: Bridge, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.bridge, self.engine = bridge, engine
        self.reachable = False
        self.loaded: set[str] = set()
        self.silent_since = 0.0
        self.facts: EngineFacts | None = None
        self.containers: tuple[Container, ...] = ()
        self.images: tuple[Image, ...] = ()
        self.volumes: tuple[Volume, ...] = ()
        self.networks: tuple[Network, ...] = ()
        self.samples: dict[str, deque[Sample]] = {}
        self.busy: dict[str, Busy] = {}
        self.problems: dict[str, Problem] = {}
        self.hidden: set[str] = set()
        self.volume_sizes: dict[str, int] = {}
        self._visible: tuple[str, ...] = ()
        self._watch = Watch(engine)
        self._readings = Readings(engine)
        self._running: list[StreamTask] = []
        self._loading: set[str] = set()
        self._stale: set[str] = set()
        self._pending: tuple[list[Operation], set[str]] | None = None
        self._soon = self._timer(80, self._load_stale)
        self._later = self._timer(700, self._load_others)
        self._undo = self._timer(int(UNDO_SECONDS * 1000), self.finish_removal)
        self._regular = QTimer(self)
        self._regular.setInterval(30_000)
        self._regular.timeout.connect(lambda: self.reload(("container",)))

    def _timer(self, milliseconds: int, action: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(action)
        return timer

    # -- life ------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to follow the engine."""
        self._running.append(self.bridge.stream(self._watch, self._watched))
        self._running.append(self.bridge.stream(self._readings, self._read))
        self._regular.start()

    def close(self) -> None:
        """Carry out a removal that waits, then stop following."""
        if self._pending is not None:
            operations, _ = self._pending
            self._pending = None
            for operation in operations:
                self.bridge.call(partial(operation.run, self.engine))
        for task in self._running:
            task.cancel()
        self._running.clear()
        self._regular.stop()

    def poke(self) -> None:
        """The engine may be back: try now."""
        self._watch.poke()

    # -- following -------------------------------------------------------------------------

    def _watched(self, messages: list[Up | Down | EngineEvent]) -> None:
        for message in messages:
            if isinstance(message, Up):
                self.facts, self.reachable = message.facts, True
                self.reload(_NOUNS)
                self.reachable_changed.emit()
            elif isinstance(message, Down):
                if self.reachable or not self.silent_since:
                    self.silent_since = time.time()
                self.reachable = False
                self.busy.clear()
                self.reachable_changed.emit()
            else:
                self._event(message)

    def _event(self, event: EngineEvent) -> None:
        action = event.action.partition(":")[0]
        if event.type == "container" and action.startswith("exec_"):
            return
        self.problems.pop(event.id, None)
        if event.type in _NOUNS:
            self._stale.add(event.type)
            if not self._soon.isActive():
                self._soon.start()
            if event.type == "container" and action in ("create", "destroy", "start", "die"):
                self._later.start()
        self.happened.emit(event)

    def _load_stale(self) -> None:
        nouns, self._stale = self._stale, set()
        self.reload(nouns)

    def _load_others(self) -> None:
        self.reload(("image", "volume", "network"))

    def reload(self, nouns: Iterable[str]) -> None:
        """Read some lists again; one that is being read is read once more afterwards."""
        if not self.reachable:
            return
        for noun in nouns:
            if noun in self._loading:
                self._stale.add(noun)
                continue
            self._loading.add(noun)
            self.bridge.call(
                partial(self._fetch, noun),
                partial(self._fetched, noun),
                partial(self._not_fetched, noun),
            )

    def _fetch(self, noun: str) -> object:
        if noun == "container":
            return self.engine.containers()
        known = list(self.containers)
        if not known:
            known = self.engine.containers()
        if noun == "image":
            return self.engine.images(known)
        if noun == "volume":
            return self.engine.volumes(known)
        return self.engine.networks(known)

    def _fetched(self, noun: str, rows: object) -> None:
        self._loading.discard(noun)
        first = noun not in self.loaded
        self.loaded.add(noun)
        assert isinstance(rows, list)
        value = tuple(rows)
        attribute = f"{noun}s"
        if first or value != getattr(self, attribute):
            setattr(self, attribute, value)
            if noun == "container":
                self._containers_read()
            getattr(self, f"{attribute}_changed").emit()
        if self._stale and not self._soon.isActive():
            self._soon.start()

    def _not_fetched(self, noun: str, error: BaseException) -> None:
        self._loading.discard(noun)
        problem = explain(f"The {noun}s could not be read", error)
        if problem.status:
            self.failed.emit(problem, ())

    def _containers_read(self) -> None:
        present = {row.id for row in self.containers}
        for gone in [id for id in self.samples if id not in present]:
            del self.samples[gone]
        for row in self.containers:
            if not row.running:
                self.samples.pop(row.id, None)
        self.watch_numbers(self._visible)

    def read_volume_sizes(self) -> None:
        """Ask for the bytes of each volume; they arrive with `volumes_changed`."""

        def arrived(sizes: dict[str, int]) -> None:
            self.volume_sizes = sizes
            self.volumes_changed.emit()

        if self.reachable:
            self.bridge.call(self.engine.volume_sizes, arrived, lambda _error: None)

    # -- numbers ---------------------------------------------------------------------------

    def watch_numbers(self, visible: Iterable[str]) -> None:
        """Say which containers are on screen; theirs are read each second."""
        self._visible = tuple(visible)
        running = {row.id for row in self.containers if row.running}
        shown = [id for id in self._visible if id in running]
        self._readings.want(shown, sorted(running.difference(shown)))

    def _read(self, batches: list[dict[str, Sample]]) -> None:
        changed: set[str] = set()
        for batch in batches:
            for id, number in batch.items():
                self.samples.setdefault(id, deque(maxlen=HISTORY)).append(number)
                changed.add(id)
        self.samples_changed.emit(changed)

    # -- asking ----------------------------------------------------------------------------

    def perform(self, operation: Operation, done: Callable[[], None] | None = None) -> None:
        """Run an operation: its rows are busy meanwhile, a failure stays with them."""
        for key in operation.keys:
            self.busy[key] = Busy(operation.busy, time.monotonic())
            self.problems.pop(key, None)
        self.busy_changed.emit()

        def finished(_: object) -> None:
            self._idle(operation)
            self.reload(_NOUNS)
            if done is not None:
                done()

        def failed(error: BaseException) -> None:
            self._idle(operation)
            problem = explain(operation.failed, error)
            for key in operation.keys:
                self.problems[key] = problem
                self.hidden.discard(key)
            self.failed.emit(problem, operation.keys)
            self.busy_changed.emit()
            self.reload(_NOUNS)

        self.bridge.call(lambda: operation.run(self.engine), finished, failed)

    def _idle(self, operation: Operation) -> None:
        for key in operation.keys:
            self.busy.pop(key, None)
        self.busy_changed.emit()

    def remove_later(self, operations: list[Operation], title: str, detail: str) -> None:
        """Hide rows now and remove them when the toast ends, so that Undo costs nothing."""
        self.finish_removal()
        keys = {key for operation in operations for key in operation.keys}
        self._pending = (operations, keys)
        self.hidden |= keys
        self._undo.start()
        self._hidden_changed()
        self.removal_waits.emit(title, detail)

    def undo_removal(self) -> bool:
        """Bring back what waits to be removed; False when nothing waits."""
        if self._pending is None:
            return False
        self._undo.stop()
        self.hidden -= self._pending[1]
        self._pending = None
        self._hidden_changed()
        return True

    def finish_removal(self) -> None:
        """Remove now what waits."""
        if self._pending is None:
            return
        self._undo.stop()
        (operations, keys), self._pending = self._pending, None

        def gone() -> None:
            self.hidden -= keys

        for operation in operations:
            self.perform(operation, gone)

    def _hidden_changed(self) -> None:
        for noun in _NOUNS:
            getattr(self, f"{noun}s_changed").emit()
