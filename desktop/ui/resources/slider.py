"""A slider that shows what is used, what is asked for, and the limits of this computer."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.ui.theme.current import colors, qcolor
from desktop.ui.theme.paint import CENTER, LEFT, RIGHT, line, rounded, text, text_width

_HANDLE = 9.0


@dataclass(frozen=True)
class Mark:
    """A value worth a tick and a word below the track."""

    value: float
    label: str


class Slider(QWidget):
    """Whole steps from `least` to `most`. `floor` stops the handle: a disk never shrinks."""

    moved = Signal(float)

    def __init__(self, name: str, step: float) -> None:
        super().__init__()
        self.value = 0.0
        self._least, self._most, self._floor, self._step = 0.0, 1.0, 0.0, step
        self._used = 0.0
        self._marks: list[Mark] = []
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(46)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def set_range(self, floor: float, most: float, marks: list[Mark], used: float = 0.0) -> None:
        """The lowest value to choose, the end of the track, ticks, and what is in use now."""
        self._floor, self._most, self._marks, self._used = floor, most, marks, used
        self.set_value(self.value, tell=False)
        self.update()

    def set_value(self, value: float, *, tell: bool = True) -> None:
        """Move the handle to the nearest step within the limits."""
        stepped = round(value / self._step) * self._step
        clamped = min(self._most, max(self._floor, stepped))
        if clamped != self.value:
            self.value = clamped
            self.setAccessibleDescription(f"{clamped:g}")
            self.update()
            if tell:
                self.moved.emit(clamped)

    def sizeHint(self) -> QSize:
        return QSize(400, 46)

    def _x(self, value: float) -> float:
        share = value / self._most if self._most else 0.0
        return min(1.0, max(0.0, share)) * (self.width() - 2) + 1

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        y = 14.0
        track = QRectF(0, y - 2, self.width(), 4)
        rounded(painter, track, 2, c.track)
        enabled = self.isEnabled()
        at = self._x(self.value)
        painter.setOpacity(0.5)
        rounded(painter, QRectF(0, y - 2, at, 4), 2, c.accent if enabled else c.off)
        painter.setOpacity(1.0)
        if self._used > 0:
            rounded(painter, QRectF(0, y - 2, self._x(self._used), 4), 2, c.chart)
        taken: list[tuple[float, float]] = []
        for mark in self._marks:
            self._tick(painter, mark, taken)
        handle = QPointF(min(self.width() - _HANDLE - 1, max(_HANDLE + 1, at)), y)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focus = self.hasFocus()
        pen = QPen(qcolor(c.focus if focus else c.off if c.dark else c.line2), 2 if focus else 1.2)
        painter.setPen(pen)
        painter.setBrush(qcolor(c.on if enabled else c.track))
        painter.drawEllipse(handle, _HANDLE, _HANDLE)
        painter.end()

    def _tick(self, painter: QPainter, mark: Mark, taken: list[tuple[float, float]]) -> None:
        """A tick, and its word unless it would touch another one."""
        c = colors()
        x = self._x(mark.value)
        line(painter, min(x, self.width() - 1), 20, 1, 5, c.line2)
        width = text_width(mark.label, 11) + 4
        left = min(self.width() - width, max(0.0, x - width / 2))
        if any(left < b + 8 and a < left + width + 8 for a, b in taken):
            return
        taken.append((left, left + width))
        align = LEFT if left <= 0 else RIGHT if left >= self.width() - width else CENTER
        text(painter, QRectF(left, 27, width, 16), mark.label, c.text3, size=11, align=align)

    def _drag(self, x: float) -> None:
        if self.isEnabled():
            self.set_value(x / max(1, self.width()) * self._most)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._drag(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._drag(event.position().x())

    def wheelEvent(self, event: QWheelEvent) -> None:
        # The page scrolls: a wheel over a slider must not change the machine.
        event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Down: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_Up: 1,
            Qt.Key.Key_PageUp: 4,
            Qt.Key.Key_PageDown: -4,
        }
        key = Qt.Key(event.key())
        if key in steps:
            self.set_value(self.value + steps[key] * self._step)
        elif key == Qt.Key.Key_Home:
            self.set_value(self._floor)
        elif key == Qt.Key.Key_End:
            self.set_value(self._most)
        else:
            super().keyPressEvent(event)
