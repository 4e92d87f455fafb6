"""A card with a live graph: a title, the value now, a scale that starts at 0."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.ui.theme.current import colors, qcolor
from desktop.ui.theme.paint import RIGHT, graph, line, nice_top, rounded, text, text_width


class Chart(QWidget):
    """One or two lines over two minutes. `label` words the numbers of the scale."""

    def __init__(self, title: str, token: str, label: Callable[[float], str], floor: float) -> None:
        super().__init__()
        self._title, self._token, self._label, self._floor = title, token, label, floor
        self._now, self._detail = "", ""
        self._values: list[float] = []
        self._second: list[float] = []
        self._limit = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(158)

    def tell(
        self,
        values: list[float],
        now: str,
        detail: str = "",
        limit: float = 0.0,
        second: list[float] | None = None,
    ) -> None:
        """New values, oldest first; `limit` draws a dashed line when it is within the scale."""
        self._values, self._now, self._detail, self._limit = values, now, detail, limit
        self._second = second or []
        self.setAccessibleName(f"{self._title}: {now} {detail}")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(240, 158)

    def minimumSizeHint(self) -> QSize:
        return QSize(150, 158)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        rounded(painter, QRectF(self.rect()), 10, c.window, c.line)
        head = QRectF(14, 8, self.width() - 28, 24)
        text(painter, head, self._title, c.text2)
        detail = text_width(self._detail, 13, tabular=True)
        if self._detail and self.width() > 230:
            text(painter, head, self._detail, c.text2, align=RIGHT)
            head = head.adjusted(0, 0, -detail - 5, 0)
        text(painter, head, self._now, c.text, weight=600, align=RIGHT)
        top = nice_top(max([self._floor, *self._values, *self._second]))
        scale = text_width(self._label(top), 11) + 8
        area = QRectF(14, 44, self.width() - 28 - scale, self.height() - 72)
        for part in (0.0, 0.5, 1.0):
            y = area.bottom() - part * area.height()
            line(painter, area.x(), round(y), area.width(), 1, c.line)
            place = QRectF(area.right() + 4, y - 8, scale, 16)
            text(painter, place, self._label(top * part), c.text3, size=11, align=RIGHT)
        if 0 < self._limit <= top:
            y = area.bottom() - self._limit / top * area.height()
            pen = QPen(qcolor(c.warn_dot), 1.25)
            pen.setStyle(Qt.PenStyle.DashLine)
            painter.setPen(pen)
            painter.drawLine(int(area.x()), int(y), int(area.right()), int(y))
        graph(painter, area, self._values, top, 120, getattr(c, self._token), width=1.5)
        graph(painter, area, self._second, top, 120, c.cyan, fill=False, width=1.5)
        foot = QRectF(14, self.height() - 24, area.width(), 16)
        text(painter, foot, "2 min ago", c.text3, size=11)
        text(painter, foot, "now", c.text3, size=11, align=RIGHT)
        painter.end()
