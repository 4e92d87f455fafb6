"""The inspector's head: a state mark, the name, a chip, and room for buttons."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from desktop.ui.theme.current import colors
from desktop.ui.theme.paint import chip, state_mark, text, text_width
from desktop.ui.widgets.buttons import IconButton
from desktop.ui.widgets.panes import TOOLBAR, Hairline, column


class Title(QWidget):
    """Mark, name in 15 semibold, a lighter suffix and a chip, in one painted line."""

    def __init__(self) -> None:
        super().__init__()
        self._mark, self._name, self._suffix, self._chip, self._tone = "", "", "", "", "ok"
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(TOOLBAR - 1)

    def tell(
        self, name: str, *, mark: str = "", suffix: str = "", chip: str = "", tone: str = ""
    ) -> None:
        """What to show; `tone` colours the chip (`ok`, `warn`, `err`, `info`)."""
        self._mark, self._name, self._suffix = mark, name, suffix
        self._chip, self._tone = chip, tone or "info"
        self.setToolTip(f"{name}{suffix}")
        self.setAccessibleName(f"{name}{suffix} {chip}")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, TOOLBAR - 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        middle = self.height() / 2
        x = 0.0
        if self._mark:
            state_mark(painter, QPointF(5, middle), self._mark)
            x = 18
        room = self.width() - x
        extra = text_width(self._suffix, 15) + (6 if self._suffix else 0)
        label = text_width(self._chip, 11, 500) + 20 if self._chip else 0
        area = QRectF(x, 0, max(40.0, room - extra - label), self.height())
        x += text(painter, area, self._name, c.text, size=15, weight=600)
        if self._suffix:
            area = QRectF(x, 0, max(0.0, self.width() - x - label), self.height())
            x += text(painter, area, self._suffix, c.text2, size=15)
        if self._chip:
            tone = getattr(c, self._tone)
            chip(painter, x + 10, middle, self._chip, tone, getattr(c, f"{self._tone}_soft"))
        painter.end()


class Header(QWidget):
    """A toolbar of 52 points with a back button that shows when the list is away."""

    back = Signal()

    def __init__(self) -> None:
        super().__init__()
        outer = column(self)
        strip = QWidget()
        strip.setFixedHeight(TOOLBAR - 1)
        self.row = QHBoxLayout(strip)
        self.row.setContentsMargins(16, 0, 12, 0)
        self.row.setSpacing(4)
        self._back = IconButton("arrow-left", "Back to the list", "Esc")
        self._back.clicked.connect(self.back)
        self._back.hide()
        self.row.addWidget(self._back)
        self._gap = QWidget()
        self._gap.setFixedWidth(4)
        self._gap.hide()
        self.row.addWidget(self._gap)
        self.title = Title()
        self.row.addWidget(self.title, 1)
        outer.addWidget(strip)
        outer.addWidget(Hairline())

    def show_back(self, show: bool) -> None:
        """Show the way back."""
        self._back.setVisible(show)
        self._gap.setVisible(show)

    def add(self, widget: QWidget) -> None:
        """Put a button at the right end."""
        self.row.addWidget(widget)
