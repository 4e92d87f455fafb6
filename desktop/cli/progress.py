"""The start as a list of requirements on the terminal: live, or a line each as it is met."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TextIO

from desktop.agent.protocol import Status
from desktop.vm.states import Progress, Requirement, State

MARKS = {Progress.DONE: "✓", Progress.FAILED: "✗", Progress.RUNNING: "…", Progress.WAITING: " "}
TICK = 0.1


class Printer:
    """Prints to stderr, so that stdout keeps the result alone. Use as a context manager."""

    def __init__(
        self, *, live: bool = False, quiet: bool = False, output: TextIO | None = None
    ) -> None:
        self._live = live and not quiet
        self._quiet = quiet
        self._output = output or sys.stderr
        self._told: set[tuple[str, Progress]] = set()
        self._notices = 0
        self._current: Requirement | None = None
        self._since = time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> Printer:
        if self._live:
            threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        with self._lock:
            self._wipe()

    def update(self, status: Status) -> None:
        """Print what is new in a status."""
        if self._quiet:
            return
        with self._lock:
            self._wipe()
            for notice in status.notices[self._notices :]:
                self._print(f"! {notice}")
            self._notices = len(status.notices)
            # until it starts again, the list is still that of the boot before
            over = status.state in (State.STOPPING, State.STOPPED)
            for each in () if over else status.requirements:
                self._tell(each)
            self._output.flush()

    def _tell(self, requirement: Requirement) -> None:
        key = (requirement.name, requirement.state)
        if requirement.state is Progress.RUNNING:
            if self._current is None or self._current.name != requirement.name:
                self._since = time.monotonic()
            self._current = requirement
        if requirement.state is Progress.WAITING:
            self._told.discard((requirement.name, Progress.DONE))
        if key in self._told or requirement.state not in (Progress.DONE, Progress.FAILED):
            return
        self._told.add(key)
        self._print(line(requirement))
        for part in (requirement.cause, requirement.hint):
            if part and requirement.state is Progress.FAILED:
                self._print(f"    {part}")

    def _print(self, text: str) -> None:
        self._output.write(text + "\n")

    def _wipe(self) -> None:
        if self._live:
            self._output.write("\r\x1b[K")
            self._output.flush()

    def _tick(self) -> None:
        while not self._ended.wait(TICK):
            with self._lock:
                if self._current is not None and not self._ended.is_set():
                    seconds = time.monotonic() - self._since
                    self._output.write(f"\r\x1b[K… {self._current.title:<30} {seconds:5.1f} s")
                    self._output.flush()


def line(requirement: Requirement) -> str:
    """One requirement: mark, title, seconds, detail."""
    seconds = f"{requirement.seconds:6.2f} s" if requirement.seconds is not None else " " * 8
    detail = f"  {requirement.detail}" if requirement.detail else ""
    return f"{MARKS[requirement.state]} {requirement.title:<28} {seconds}{detail}"
