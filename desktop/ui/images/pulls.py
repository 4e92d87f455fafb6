"""Pulls under way: each is a stream with its progress, and stays as a row when it fails."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from enum import StrEnum

from PySide6.QtCore import QObject, Signal

from desktop.client import words
from desktop.client.failures import Problem, explain
from desktop.client.rows import PullProgress
from desktop.client.streams import Pull, split_reference
from desktop.ui.bridge import StreamTask
from desktop.ui.session import Session

_SPEED_SECONDS = 3.0


class PullState(StrEnum):
    """Where a pull stands."""

    RUNNING = "running"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class PullRow:
    """A pull as the list shows it; `speed` is bytes a second."""

    progress: PullProgress
    state: PullState = PullState.RUNNING
    speed: float = 0.0
    problem: Problem | None = None

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return f"pull:{self.progress.reference}"

    @property
    def reference(self) -> str:
        """What is pulled."""
        return self.progress.reference

    def sentence(self) -> str:
        """How it goes, in words."""
        progress = self.progress
        if self.state is PullState.FAILED and self.problem is not None:
            return self.problem.why
        if self.state is PullState.CANCELLED:
            return "Cancelled; what is here is used by a retry"
        if not progress.layers:
            return progress.status or "Asking the registry"
        if progress.total and progress.current < progress.total:
            text = f"{words.size(progress.current)} of {words.size(progress.total)}"
            return f"{text}, {words.rate(self.speed)}" if self.speed else text
        done = sum(layer.done for layer in progress.layers)
        return f"Unpacking, {done} of {len(progress.layers)} layers are ready"


@dataclass
class _Running:
    task: StreamTask
    marks: list[tuple[float, int]] = field(default_factory=list)


class Pulls(QObject):
    """All pulls of this session."""

    changed = Signal(str)
    pulled = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._running: dict[str, _Running] = {}
        self.rows: dict[str, PullRow] = {}

    def start(self, reference: str) -> str:
        """Begin, or begin again; returns the row's key."""
        repository, tag = split_reference(reference)
        name = f"{repository}{'@' if ':' in tag else ':'}{tag}"
        row = PullRow(PullProgress(name))
        key = row.key
        if key in self._running:
            return key
        self.rows[key] = row
        task = self._session.bridge.stream(
            Pull(self._session.engine, name),
            lambda items: self._arrived(key, items),
            lambda error: self._ended(key, error),
            interval=0.1,
        )
        self._running[key] = _Running(task)
        self.changed.emit(key)
        return key

    def cancel(self, key: str) -> None:
        """Stop a pull; its row stays for a retry."""
        running = self._running.pop(key, None)
        if running is not None:
            running.task.cancel()
            self.rows[key] = replace(self.rows[key], state=PullState.CANCELLED, speed=0.0)
            self.changed.emit(key)

    def retry(self, key: str) -> None:
        """Pull again what failed or was cancelled."""
        if key in self.rows:
            self.start(self.rows[key].reference)

    def dismiss(self, key: str) -> None:
        """Forget a pull that is over."""
        if key not in self._running and self.rows.pop(key, None) is not None:
            self.changed.emit(key)

    def _arrived(self, key: str, items: list[PullProgress]) -> None:
        running = self._running.get(key)
        if running is None:
            return
        now, current = time.monotonic(), items[-1].current
        running.marks = [m for m in running.marks if now - m[0] < _SPEED_SECONDS]
        running.marks.append((now, current))
        first = running.marks[0]
        passed = now - first[0]
        speed = (current - first[1]) / passed if passed > 0.3 else self.rows[key].speed
        self.rows[key] = replace(self.rows[key], progress=items[-1], speed=max(0.0, speed))
        self.changed.emit(key)

    def _ended(self, key: str, error: BaseException | None) -> None:
        if self._running.pop(key, None) is None:
            return
        row = self.rows[key]
        if error is None:
            del self.rows[key]
            self._session.reload(("image",))
            self.pulled.emit(row.reference)
        else:
            problem = explain(f"{row.reference} was not pulled", error)
            self.rows[key] = replace(row, state=PullState.FAILED, problem=problem, speed=0.0)
        self.changed.emit(key)
