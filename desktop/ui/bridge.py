"""`Bridge`: the one place where threads cross. Work goes to worker threads, answers come back.

Callbacks run in the thread that made the bridge, in order for each stream. Nothing is called after
`cancel()`, `close()` of the task or of the bridge.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from PySide6.QtCore import QObject, Qt, QTimer, Signal

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_WORKERS = 5


class Source(Protocol[T_co]):
    """Something endless that another thread can end."""

    def __iter__(self) -> Iterator[T_co]: ...

    def close(self) -> None: ...


class Task:
    """A piece of work under way."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """Forget the answer; the work itself runs on."""
        self.cancelled = True


class StreamTask(Task):
    """A stream under way: its items arrive in lists, at most each `interval` seconds."""

    def __init__(self, source: Any, interval: float) -> None:
        super().__init__()
        self.source = source
        self.interval = interval
        self.lock = threading.Lock()
        self.pending: list[Any] = []
        self.scheduled = False
        self.thread: threading.Thread | None = None

    def cancel(self) -> None:
        """End the stream; nothing arrives any more."""
        super().cancel()
        self.source.close()


class Bridge(QObject):
    """Runs blocking work beside the event loop."""

    _arrived = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._streams: list[StreamTask] = []
        self._closed = False
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def call(
        self,
        work: Callable[[], T],
        done: Callable[[T], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> Task:
        """Run `work` in a worker thread, then `done` with its value or `failed` with its error."""
        task = Task()

        def job() -> None:
            try:
                value = work()
            except Exception as error:
                if failed is not None:
                    self._send(task, failed, error)
                return
            if done is not None:
                self._send(task, done, value)

        self._staff()
        self._jobs.put(job)
        return task

    def stream(
        self,
        source: Source[T],
        arrived: Callable[[list[T]], None],
        ended: Callable[[BaseException | None], None] | None = None,
        *,
        interval: float = 0.0,
    ) -> StreamTask:
        """Iterate `source` in a thread of its own; items that came meanwhile arrive together."""
        task = StreamTask(source, interval)

        def flush(_: object = None) -> None:
            with task.lock:
                items, task.pending, task.scheduled = task.pending, [], False
            if items and not task.cancelled:
                arrived(items)

        def soon(_: object) -> None:
            if task.interval:
                QTimer.singleShot(int(task.interval * 1000), flush)
            else:
                flush()

        def run() -> None:
            problem: BaseException | None = None
            try:
                for item in source:
                    if task.cancelled:
                        return
                    with task.lock:
                        task.pending.append(item)
                        told, task.scheduled = task.scheduled, True
                    if not told:
                        self._send(task, soon, None)
            except Exception as error:
                problem = error
            self._send(task, flush, None)
            if ended is not None:
                self._send(task, ended, problem)

        self._streams = [one for one in self._streams if one.thread and one.thread.is_alive()]
        self._streams.append(task)
        task.thread = threading.Thread(target=run, name="cove-stream", daemon=True)
        task.thread.start()
        return task

    def close(self, seconds: float = 1.0) -> None:
        """End all streams and let the workers finish what they are at, for a while."""
        if self._closed:
            return
        self._closed = True
        for task in self._streams:
            task.cancel()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in [*self._threads, *(t.thread for t in self._streams if t.thread)]:
            thread.join(seconds)

    def _staff(self) -> None:
        if len(self._threads) < _WORKERS:
            thread = threading.Thread(target=self._work, name="cove-worker", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job()

    def _send(self, task: Task, callback: Callable[[Any], None], value: object) -> None:
        if not self._closed:
            self._arrived.emit((task, callback, value))

    def _deliver(self, message: tuple[Task, Callable[[Any], None], object]) -> None:
        task, callback, value = message
        if not task.cancelled and not self._closed:
            callback(value)
