"""The sidebar: pages with counts, the machine's card, Resources. A rail of 56 when it is narrow."""

from __future__ import annotations

import time
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from desktop.client import words
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, paint_surface, qcolor
from desktop.ui.theme.fonts import font
from desktop.ui.theme.paint import (
    RIGHT,
    meter,
    rounded,
    spinner,
    state_mark,
    text,
    text_width,
)
from desktop.ui.widgets.buttons import by_keys, with_keys
from desktop.ui.widgets.panes import Hairline

WIDE, RAIL = 208, 56


class _Ringed(QAbstractButton):
    """Knows whether the focus came by the keyboard."""

    ringed = False

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.ringed = by_keys(event)
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.ringed = False
        super().focusOutEvent(event)


class Entry(_Ringed):
    """One page in the sidebar."""

    def __init__(self, key: str, label: str, icon: str, keys: str) -> None:
        super().__init__()
        self.key, self._icon = key, icon
        self._count: int | None = None
        self.rail = False
        self.setText(label)
        self.setCheckable(True)
        self.setToolTip(with_keys(label, keys))
        self.setAccessibleName(label)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def set_count(self, count: int | None) -> None:
        """The number at the right end."""
        if count != self._count:
            self._count = count
            name = self.text() if count is None else f"{self.text()}, {count}"
            self.setAccessibleName(name)
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(RAIL if self.rail else WIDE, 40 if self.rail else 30)

    def minimumSizeHint(self) -> QSize:
        return QSize(36, self.sizeHint().height())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Down:
            self.focusNextChild()
        elif event.key() == Qt.Key.Key_Up:
            self.focusPreviousChild()
        elif event.key() == Qt.Key.Key_Return:
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        box = QRectF(self.rect()).adjusted(10, 0, -10, 0)
        on = self.isChecked()
        if on or self.underMouse():
            rounded(painter, box, 8, c.press if on else c.hover)
        color = c.link if on else c.text2
        middle = self.height() / 2
        if self.rail:
            icons.draw(painter, self._icon, color, self.width() / 2 - 9, middle - 9, 18)
        else:
            icons.draw(painter, self._icon, color, box.x() + 9, middle - 8, 16)
            label = box.adjusted(34, 0, -9, 0)
            weight = 500 if on else 400
            text(painter, label, self.text(), c.text if on else c.text2, weight=weight)
            if self._count is not None:
                text(painter, label, f"{self._count:,}", c.text3, size=12, align=RIGHT)
        if self.ringed:
            rounded(painter, box, 8, "", c.focus, 2)
        painter.end()


@dataclass(frozen=True)
class CardWords:
    """What the machine's card says; meters show when `cores` is not 0. Memory is in bytes."""

    mark: str
    head: str
    note: str = ""
    detail: str = ""
    cpu: float = 0.0
    cores: int = 0
    memory: float = 0.0
    memory_total: float = 0.0


class Card(_Ringed):
    """State, CPU and memory of the machine; a click goes to the Start page."""

    def __init__(self) -> None:
        super().__init__()
        self.rail = False
        self.words = CardWords("stopped", "Not running")
        self.setAccessibleName("Machine")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def tell(self, said: CardWords) -> None:
        """Show this."""
        if said != self.words:
            before = self.sizeHint()
            self.words = said
            resized = self.sizeHint() != before
            self.setAccessibleName(f"Machine: {said.head}. {said.detail}")
            self.setToolTip(f"{said.head}. {said.detail or said.note}".strip())
            if resized:
                self.updateGeometry()
            self.update()

    def sizeHint(self) -> QSize:
        if self.rail:
            return QSize(RAIL, 44)
        if self.words.cores:
            return QSize(WIDE, 100)
        return QSize(WIDE, 70 if self.words.detail else 40)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        said = self.words
        if self.rail:
            mark = QPointF(self.width() / 2, self.height() / 2)
            self._mark(painter, mark)
            return
        box = QRectF(self.rect()).adjusted(10, 0, -10, 0)
        rounded(painter, box, 10, c.window, c.line)
        self._mark(painter, QPointF(box.x() + 16, box.y() + 19))
        head = QRectF(box.x() + 28, box.y() + 9, box.width() - 40, 20)
        note = text_width(said.note, 11, tabular=True)
        text(painter, head.adjusted(0, 0, -note - 6, 0), said.head, c.text, weight=600)
        text(painter, head, said.note, c.text2, size=11, align=RIGHT)
        inner = QRectF(box.x() + 12, box.y() + 33, box.width() - 24, 16)
        if said.cores:
            cpu = said.cpu / said.cores
            self._number(
                painter,
                inner,
                "CPU",
                f"{said.cpu:.1f}",
                f"of {words.count(said.cores, 'core')}",
                cpu,
            )
            share = said.memory / said.memory_total if said.memory_total else 0.0
            used = f"{said.memory / 1e9:.1f}"
            whole = f"of {said.memory_total / 1e9:.0f} GB"
            self._number(painter, inner.translated(0, 31), "Memory", used, whole, share)
        elif said.detail:
            painter.setPen(Qt.PenStyle.NoPen)
            self._wrapped(painter, inner.adjusted(0, 0, 0, 16), said.detail)
        if self.ringed:
            rounded(painter, box, 10, "", c.focus, 2)
        painter.end()

    def _mark(self, painter: QPainter, at: QPointF) -> None:
        if self.words.mark == "busy":
            spinner(painter, at, 5, time.monotonic(), 1.75)
        else:
            state_mark(painter, at, self.words.mark)

    def _number(
        self, painter: QPainter, area: QRectF, name: str, bold: str, rest: str, share: float
    ) -> None:
        c = colors()
        text(painter, area, name, c.text2, size=11)
        text(painter, area, rest, c.text2, size=11, align=RIGHT)
        left = area.adjusted(0, 0, -text_width(rest, 11, tabular=True) - 3, 0)
        text(painter, left, bold, c.text, size=11, weight=600, align=RIGHT)
        color = c.err_dot if share > 0.95 else c.warn_dot if share > 0.8 else c.chart
        meter(painter, QRectF(area.x(), area.bottom() + 3, area.width(), 4), share, color)

    def _wrapped(self, painter: QPainter, area: QRectF, value: str) -> None:
        painter.setFont(font(11))
        painter.setPen(qcolor(colors().text2))
        flags = Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignTop
        painter.drawText(area, int(flags), value)


class Wordmark(QWidget):
    """The product's mark and name at the top."""

    def __init__(self) -> None:
        super().__init__()
        self.rail = False
        self.setFixedHeight(52)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        x = (self.width() - 20) / 2 if self.rail else 18
        draw_logo(painter, QRectF(x, 16, 20, 20))
        if not self.rail:
            text(painter, QRectF(46, 0, 120, 52), "Cove", c.text, size=15, weight=600)
        painter.end()


def draw_logo(painter: QPainter, rect: QRectF) -> None:
    """The mark: a C around a wave, on the accent."""
    c = colors()
    rounded(painter, rect, rect.width() * 0.24, c.accent)
    side = rect.width()
    pen = QPen(qcolor(c.on), side * 0.075)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    ring = rect.adjusted(side * 0.25, side * 0.25, -side * 0.25, -side * 0.25)
    painter.drawArc(ring, 42 * 16, 276 * 16)
    y = rect.center().y()
    x = rect.x()
    wave = QPainterPath(QPointF(x + side * 0.38, y + side * 0.02))
    wave.cubicTo(
        QPointF(x + side * 0.46, y - side * 0.10),
        QPointF(x + side * 0.50, y - side * 0.06),
        QPointF(x + side * 0.54, y),
    )
    wave.cubicTo(
        QPointF(x + side * 0.60, y + side * 0.08),
        QPointF(x + side * 0.66, y + side * 0.04),
        QPointF(x + side * 0.72, y - side * 0.02),
    )
    painter.drawPath(wave)


class Sidebar(QWidget):
    """Entries in order; `chosen` says which page, `machine_asked` that the card was clicked."""

    chosen = Signal(str)
    machine_asked = Signal()

    def __init__(self, top: list[Entry], bottom: list[Entry]) -> None:
        super().__init__()
        self.rail = False
        self.entries = {entry.key: entry for entry in [*top, *bottom]}
        paint_surface(self, "sidebar")
        self.setFixedWidth(WIDE)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        layout = QVBoxLayout()
        layout.setContentsMargins(0, 0, 0, 8)
        layout.setSpacing(2)
        self._mark = Wordmark()
        layout.addWidget(self._mark)
        for entry in top:
            layout.addWidget(entry)
        layout.addStretch()
        self.card = Card()
        self.card.clicked.connect(self.machine_asked)
        layout.addWidget(self.card)
        layout.addSpacing(8)
        for entry in bottom:
            layout.addWidget(entry)
        outer.addLayout(layout)
        outer.addWidget(Hairline(upright=True))
        for entry in self.entries.values():
            entry.clicked.connect(lambda _=False, key=entry.key: self.chosen.emit(key))

    def show_page(self, key: str) -> None:
        """Mark the page that is on screen."""
        for name, entry in self.entries.items():
            entry.setChecked(name == key)

    def set_rail(self, rail: bool) -> None:
        """Icons only, or icons with words."""
        if rail == self.rail:
            return
        self.rail = rail
        self.setFixedWidth(RAIL if rail else WIDE)
        railed: list[Entry | Card | Wordmark] = [*self.entries.values(), self.card, self._mark]
        for widget in railed:
            widget.rail = rail
            widget.updateGeometry()
            widget.update()
