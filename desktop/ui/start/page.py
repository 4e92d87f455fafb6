"""The Start page: how far, how long still; on failure the cause, the fix and the log's end."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from PySide6.QtCore import QRectF, QSize, QTimer, QUrl
from PySide6.QtGui import QDesktopServices, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from desktop.agent.client import State, Status
from desktop.agent.protocol import Progress, Requirement
from desktop.client import words
from desktop.client.failures import Problem
from desktop.ui.layout import Layout
from desktop.ui.machine import Machine, problem_of
from desktop.ui.session import Session
from desktop.ui.start.steps import Steps
from desktop.ui.theme.current import colors, paint_surface
from desktop.ui.theme.fonts import font
from desktop.ui.theme.paint import meter, rounded
from desktop.ui.widgets.buttons import LINK, PLAIN, PRIMARY, QUIET, Button
from desktop.ui.widgets.fields import Label
from desktop.ui.widgets.panes import column
from desktop.ui.widgets.sidebar import draw_logo

WIDTH = 540
_TAIL_LINES = 8
_TAIL_BYTES = 16_384
_STARTS = 5


class _Logo(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(52, 52)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        draw_logo(painter, QRectF(self.rect()))
        painter.end()


class _Bar(QWidget):
    """The bar of a start; `share` is 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self._share = 0.0
        self.setFixedHeight(4)
        self.setAccessibleName("Progress of the start")

    def tell(self, share: float) -> None:
        self._share = share
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(WIDTH, 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        meter(painter, QRectF(self.rect()), self._share, colors().accent)
        painter.end()


class _Card(QFrame):
    """The failure: what, why, what to do, and the buttons."""

    def __init__(self) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 14)
        layout.setSpacing(4)
        self.head = Label("", "text", 13, 600, wrap=True)
        self.why = Label("", "text2", 13, wrap=True, selectable=True)
        self.hint = Label("", "text", 13, wrap=True, selectable=True)
        for label in (self.head, self.why, self.hint):
            layout.addWidget(label)
        layout.addSpacing(8)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.again = Button("Try again", PRIMARY, "rotate-cw")
        self.copy = Button("Copy report", QUIET, "copy")
        row.addWidget(self.again)
        row.addStretch()
        row.addWidget(self.copy)
        layout.addLayout(row)

    def tell(self, problem: Problem) -> None:
        """Show a failure."""
        self.head.setText(problem.what)
        self.why.setText(problem.why)
        self.hint.setText(problem.hint)
        self.why.setVisible(bool(problem.why))
        self.hint.setVisible(bool(problem.hint))
        self.copy.relabel("Copy report")

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        rounded(painter, QRectF(self.rect()), 10, c.raised, c.err_dot)
        painter.end()


class _Tail(QPlainTextEdit):
    """The last lines of the boot's log."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFont(font(11.5, mono=True))
        self.document().setDocumentMargin(12)
        self.setFixedHeight(_TAIL_LINES * 16 + 26)
        self.setAccessibleName("The end of the boot log")
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setViewportMargins(1, 1, 1, 1)
        paint_surface(self.viewport(), "inset")
        paint_surface(self, "line")


class StartPage(QWidget):
    """Follows the machine; goes to Containers by itself once it runs (the window does that)."""

    def __init__(self, machine: Machine, session: Session, layout: Layout) -> None:
        super().__init__()
        self._machine, self._session, self._layout = machine, session, layout
        self._began = 0.0
        self._counted: float | None = None
        self._shown_log = False
        paint_surface(self, "window")
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        column(self).addWidget(scroll)
        inner = QWidget()
        paint_surface(inner, "window")
        scroll.setWidget(inner)
        across = QHBoxLayout(inner)
        across.addStretch()
        box = QWidget()
        box.setMaximumWidth(WIDTH)
        box.setMinimumWidth(360)
        across.addWidget(box, 10)
        across.addStretch()
        outer = QVBoxLayout(box)
        outer.setContentsMargins(0, 24, 0, 24)
        outer.setSpacing(0)
        outer.addStretch(2)
        self._fill(outer)
        outer.addStretch(3)
        self._clock = QTimer(self)
        self._clock.setInterval(100)
        self._clock.timeout.connect(self._count)
        machine.changed.connect(self.refresh)
        session.reachable_changed.connect(self.refresh)
        self.refresh()

    def _fill(self, outer: QVBoxLayout) -> None:
        head = QHBoxLayout()
        head.setSpacing(16)
        head.addWidget(_Logo())
        said = QVBoxLayout()
        said.setSpacing(2)
        said.addStretch()
        self.title = Label("Cove", "text", 20, 600)
        self.subtitle = Label("", "text2", 13, wrap=True)
        said.addWidget(self.title)
        said.addWidget(self.subtitle)
        said.addStretch()
        head.addLayout(said, 1)
        outer.addLayout(head)
        outer.addSpacing(18)
        self._bar = _Bar()
        outer.addWidget(self._bar)
        outer.addSpacing(12)
        self.steps = Steps()
        outer.addWidget(self.steps)
        self.card = _Card()
        self.card.again.clicked.connect(self._machine.start)
        self.card.copy.clicked.connect(self._copy)
        outer.addWidget(self.card)
        self._rest = Steps()
        outer.addWidget(self._rest)
        outer.addSpacing(12)
        self._tail = _Tail()
        outer.addWidget(self._tail)
        outer.addSpacing(8)
        row = QHBoxLayout()
        row.setContentsMargins(16, 0, 16, 0)
        row.setSpacing(8)
        self._main = Button("Start", PRIMARY, "play")
        self._main.clicked.connect(self._do_main)
        self._second = Button("Restart", PLAIN, "rotate-cw")
        self._second.clicked.connect(self._machine.restart)
        self._log = Button("Show boot log", LINK)
        self._log.clicked.connect(self._toggle_log)
        self._whole = Button("Open the whole log", LINK, "external-link")
        self._whole.clicked.connect(self._open_log)
        row.addWidget(self._log)
        row.addWidget(self._whole)
        row.addStretch()
        self._note = Label("", "text3", 12)
        row.addWidget(self._note)
        row.addWidget(self._second)
        row.addWidget(self._main)
        outer.addLayout(row)

    # -- showing ---------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what the machine says now."""
        status = self._machine.status
        moving = status.state.moving or self._machine.asking in ("start", "restart", "apply")
        if status.state in (State.RUNNING, State.PAUSED):
            moving = status.state.moving
        problem = problem_of(status) if status.state is State.FAILED else None
        self._time(status, moving)
        self.title.setText(_title(status, self._machine, moving))
        before, after = _split(status.requirements)
        self.steps.tell(before)
        self.steps.setVisible(bool(before))
        self._rest.tell(after)
        self._rest.setVisible(bool(after))
        self._bar.setVisible(moving)
        self.card.setVisible(problem is not None)
        if problem is not None:
            self.card.tell(problem)
        self._buttons(status, moving, problem is not None)
        showing = problem is not None or self._shown_log
        if not showing:
            self._tail.hide()
        else:
            self._read_tail()
        self._count()

    def _time(self, status: Status, moving: bool) -> None:
        if moving and not self._began:
            self._began = time.monotonic()
            self._clock.start()
        elif not moving:
            self._began = 0.0
            self._clock.stop()
        seconds = status.boot_seconds
        if status.state is State.RUNNING and seconds and seconds != self._counted:
            self._counted = seconds
            kept = [*self._layout.integers("starts"), int(seconds * 1000)][-_STARTS:]
            self._layout.remember("starts", kept)

    def _buttons(self, status: Status, moving: bool, failed: bool) -> None:
        attached = self._machine.attached
        running = status.state is State.RUNNING
        idle = status.state in (State.STOPPED, State.PAUSED)
        self._main.setVisible(not attached and not moving and not failed and (idle or running))
        self._main.relabel({State.RUNNING: "Stop", State.PAUSED: "Resume"}.get(
            status.state, "Start"))  # fmt: skip
        self._main.restyle(*(PLAIN, "square") if running else (PRIMARY, "play"))
        self._second.setVisible(running and not attached)
        self._second.setEnabled(not self._machine.asking)
        self._main.setEnabled(not self._machine.asking)
        log = not attached and self._machine.home is not None
        self._log.setVisible(log and not failed)
        self._log.relabel("Hide boot log" if self._shown_log else "Show boot log")
        self._whole.setVisible(log and (failed or self._shown_log))
        self._note.setText("You can close this window; Cove goes on." if moving else "")

    def _count(self) -> None:
        status = self._machine.status
        self.subtitle.setText(self._subtitle(status))
        if not self._began:
            return
        passed = time.monotonic() - self._began
        usual = self._usual()
        done = sum(step.state == "done" for step in status.requirements)
        total = max(1, len(status.requirements))
        by_steps = done / total
        by_time = min(0.96, passed / usual) if usual else by_steps
        self._bar.tell(max(0.02, by_steps, by_time) if usual else max(0.02, by_steps))

    def _usual(self) -> float:
        kept = self._layout.integers("starts")
        return statistics.median(kept) / 1000 if kept else 0.0

    def _subtitle(self, status: Status) -> str:
        if self._machine.attached:
            facts = self._session.facts
            if facts is None:
                return f"Waiting for an engine at {self._session.engine.socket}"
            return f"Engine {facts.version} on {facts.operating_system}, {facts.architecture}"
        if status.state is State.FAILED:
            return "Your containers, images and volumes are untouched."
        if self._began and status.state is not State.STOPPING:
            passed = words.seconds(time.monotonic() - self._began)
            usual = self._usual()
            return f"{passed} so far" + (f", usually {words.seconds(usual)}" if usual else "")
        if status.state is State.RUNNING:
            parts = []
            if status.boot_seconds:
                parts.append(f"Started in {words.seconds(status.boot_seconds)}")
            if status.accelerator:
                parts.append(f"with {status.accelerator.upper()}")
            return " ".join(parts) or "The engine answers."
        if status.state is State.PAUSED:
            return "The next docker command wakes it by itself."
        if status.state is State.STOPPING:
            return "Containers are stopped, then the VM shuts down."
        return "Start it here, or with cove start in a terminal."

    # -- the log ---------------------------------------------------------------------------

    def _read_tail(self) -> None:
        home = self._machine.home
        if home is not None:
            file = home.console_log
            self._session.bridge.call(lambda: _tail(file), self._show_tail)

    def _show_tail(self, lines: str) -> None:
        empty = "Nothing is in the boot log yet." if self._shown_log else ""
        self._tail.setVisible(bool(lines or empty))
        if (lines or empty) != self._tail.toPlainText():
            self._tail.setPlainText(lines or empty)
            bar = self._tail.verticalScrollBar()
            bar.setValue(bar.maximum())

    def _toggle_log(self) -> None:
        self._shown_log = not self._shown_log
        self.refresh()

    def _open_log(self) -> None:
        home = self._machine.home
        if home is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(home.console_log)))

    def report(self) -> str:
        """The failure with everything that helps to find its cause."""
        status = self._machine.status
        problem = problem_of(status)
        lines = [problem.report if problem else "", ""]
        for step in status.requirements:
            took = words.seconds(step.seconds) if step.seconds is not None else ""
            lines.append(f"{step.state.value:8} {step.title} {took}".rstrip())
        lines += ["", f"accelerator: {status.accelerator} {status.accelerator_reason}".rstrip()]
        lines += [*status.notices, "", self._tail.toPlainText()]
        return "\n".join(lines).strip() + "\n"

    def _copy(self) -> None:
        QApplication.clipboard().setText(self.report())
        self.card.copy.relabel("Copied")

    def _do_main(self) -> None:
        state = self._machine.status.state
        if state is State.RUNNING:
            self._machine.stop()
        elif state is State.PAUSED:
            self._machine.resume()
        else:
            self._machine.start()


def _title(status: Status, machine: Machine, moving: bool) -> str:
    if machine.attached:
        return "Attached to an engine"
    if status.state is State.FAILED:
        return "Cove did not start"
    if status.state is State.STOPPING:
        return "Stopping Cove"
    if moving or not machine.known:
        return "Starting Cove"
    if status.state is State.RUNNING:
        return "Cove is running"
    if status.state is State.PAUSED:
        return "Paused to save power"
    return "Cove is not running"


def _split(
    steps: tuple[Requirement, ...],
) -> tuple[tuple[Requirement, ...], tuple[Requirement, ...]]:
    """The steps up to the one that failed, and those after it; the failure stands between."""
    for number, step in enumerate(steps, start=1):
        if step.state is Progress.FAILED:
            return steps[:number], steps[number:]
    return steps, ()


def _tail(file: Path) -> str:
    try:
        with file.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - _TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-60:])
