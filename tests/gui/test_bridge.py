"""The bridge: answers in the main thread, streams that end, nothing after cancel or close."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from desktop.ui.bridge import Bridge


class Counter:
    """Counts until it is closed."""

    def __init__(self, limit: int = 1 << 30, error: bool = False) -> None:
        self.closed = threading.Event()
        self._limit, self._error = limit, error

    def __iter__(self) -> Iterator[int]:
        for number in range(self._limit):
            if self.closed.wait(0.001):
                return
            yield number
        if self._error:
            raise OSError("broken")

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def bridge(qtbot: QtBot) -> Iterator[Bridge]:
    made = Bridge()
    yield made
    made.close()


def test_answers_and_errors_arrive_in_this_thread(bridge: Bridge, qtbot: QtBot) -> None:
    seen: list[object] = []
    threads: list[threading.Thread] = []

    def done(value: object) -> None:
        threads.append(threading.current_thread())
        seen.append(value)

    bridge.call(lambda: threading.current_thread() is threading.main_thread(), done)
    bridge.call(lambda: 1 / 0, done, lambda error: seen.append(type(error)))
    qtbot.waitUntil(lambda: len(seen) == 2, timeout=5_000)
    assert seen[0] is False or seen[1] is False
    assert ZeroDivisionError in seen
    assert threads == [threading.main_thread()]


def test_a_stream_arrives_in_order_and_says_how_it_ended(bridge: Bridge, qtbot: QtBot) -> None:
    batches: list[list[int]] = []
    ends: list[BaseException | None] = []
    bridge.stream(Counter(50, error=True), batches.append, ends.append, interval=0.01)
    qtbot.waitUntil(lambda: bool(ends), timeout=5_000)
    assert [number for batch in batches for number in batch] == list(range(50))
    assert len(batches) < 50
    assert isinstance(ends[0], OSError)


def test_cancel_closes_the_source(bridge: Bridge, qtbot: QtBot) -> None:
    source = Counter()
    seen: list[int] = []
    task = bridge.stream(source, seen.extend)
    qtbot.waitUntil(lambda: len(seen) > 3, timeout=5_000)
    task.cancel()
    count = len(seen)
    qtbot.wait(50)
    assert source.closed.is_set() and len(seen) == count


def test_nothing_arrives_after_close(qtbot: QtBot) -> None:
    bridge = Bridge()
    seen: list[object] = []
    bridge.call(lambda: 1, seen.append)
    bridge.close()
    qtbot.wait(50)
    assert seen == []
    bridge.close()
