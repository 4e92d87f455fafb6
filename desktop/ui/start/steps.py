"""The requirement list of a start: a mark, a title, a detail and a time for each step."""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, QTimer
from PySide6.QtGui import QHelpEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from desktop.agent.protocol import Progress, Requirement
from desktop.client import words
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, qcolor
from desktop.ui.theme.paint import RIGHT, rounded, spinner, text

STEP = 44


class Steps(QWidget):
    """Draws requirements; the running one counts its seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: tuple[Requirement, ...] = ()
        self._began: dict[str, float] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._clock = QTimer(self)
        self._clock.setInterval(80)
        self._clock.timeout.connect(self.update)

    def tell(self, steps: tuple[Requirement, ...]) -> None:
        """Show these."""
        resized = len(steps) != len(self._steps)
        self._steps = steps
        now = time.monotonic()
        running = {step.name for step in steps if step.state is Progress.RUNNING}
        self._began = {name: self._began.get(name, now) for name in running}
        if running:
            self._clock.start()
        else:
            self._clock.stop()
        spoken = ", ".join(f"{step.title}: {step.state.value}" for step in steps)
        self.setAccessibleName(f"Start: {spoken}")
        if resized:
            self.updateGeometry()
        self.update()

    def event(self, event: QEvent) -> bool:
        if event.type() is QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            number = event.pos().y() // STEP
            detail = self._steps[number].detail if 0 <= number < len(self._steps) else ""
            QToolTip.showText(event.globalPos(), detail, self)
            return True
        return super().event(event)

    def sizeHint(self) -> QSize:
        return QSize(520, len(self._steps) * STEP)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, len(self._steps) * STEP)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        for number, step in enumerate(self._steps):
            self._step(painter, QRectF(0, number * STEP, self.width(), STEP), step)
        painter.end()

    def _step(self, painter: QPainter, rect: QRectF, step: Requirement) -> None:
        c = colors()
        running = step.state is Progress.RUNNING
        if running:
            rounded(painter, rect, 10, c.hover)
        self._mark(painter, QPointF(rect.x() + 24, rect.center().y()), step.state)
        waits = step.state is Progress.WAITING
        title = QRectF(rect.x() + 44, rect.y(), rect.width() - 150, rect.height())
        detail = step.detail
        if detail and not waits:
            title = QRectF(title.x(), rect.y() + 4, title.width(), 19)
            below = title.translated(0, 18)
            text(painter, below, detail, c.text2, size=12)
        shown = c.text3 if waits else c.text
        text(painter, title, step.title or step.name, shown, weight=400 if waits else 500)
        edge = rect.adjusted(0, 0, -16, 0)
        text(painter, edge, self._time(step), c.text if running else c.text2, size=12, align=RIGHT)

    def _mark(self, painter: QPainter, at: QPointF, state: Progress) -> None:
        c = colors()
        if state is Progress.DONE:
            icons.draw(painter, "circle-check", c.ok, at.x() - 9, at.y() - 9, 18)
        elif state is Progress.FAILED:
            icons.draw(painter, "circle-x", c.err, at.x() - 9, at.y() - 9, 18)
        elif state is Progress.RUNNING:
            spinner(painter, at, 8, time.monotonic(), 2)
        else:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(qcolor(c.line2), 1.5))
            painter.setBrush(qcolor(c.window))
            painter.drawEllipse(at, 7.5, 7.5)

    def _time(self, step: Requirement) -> str:
        if step.state is Progress.RUNNING:
            return words.seconds(time.monotonic() - self._began.get(step.name, time.monotonic()))
        if step.seconds is None:
            return ""
        shown = words.seconds(step.seconds)
        return f"after {shown}" if step.state is Progress.FAILED else shown
