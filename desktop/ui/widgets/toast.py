"""The toast: what was just done, Undo, and a line that shows how long Undo is there."""

from __future__ import annotations

import time

from PySide6.QtCore import QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, qcolor
from desktop.ui.theme.paint import rounded
from desktop.ui.widgets.buttons import Button, IconButton
from desktop.ui.widgets.fields import Elided

_SHADOW = 14


class Toast(QWidget):
    """Lies over the window's lower edge; `undone` when Undo is chosen, `ended` when it goes."""

    undone = Signal()
    ended = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._began, self._length = 0.0, 1.0
        layout = QHBoxLayout(self)
        layout.setContentsMargins(_SHADOW + 44, _SHADOW + 10, _SHADOW + 10, _SHADOW + 10)
        layout.setSpacing(8)
        words = QVBoxLayout()
        words.setSpacing(1)
        self._head = Elided("text", 13, 500)
        self._body = Elided("text2", 12)
        words.addWidget(self._head)
        words.addWidget(self._body)
        layout.addLayout(words, 1)
        self._undo = Button("Undo", icon="undo-2")
        self._undo.setToolTip("Undo (Ctrl+Z)")
        self._undo.clicked.connect(self.undone)
        layout.addWidget(self._undo)
        close = IconButton("x", "Do it now", small=True)
        close.clicked.connect(self._end)
        layout.addWidget(close)
        self._clock = QTimer(self)
        self._clock.setInterval(50)
        self._clock.timeout.connect(self._tick)
        self.hide()

    def tell(self, head: str, body: str, seconds: float, *, undo: bool = True) -> None:
        """Show it for `seconds`."""
        self._head.set_text(head)
        self._body.set_text(body)
        self._body.setVisible(bool(body))
        self._undo.setVisible(undo)
        self._began, self._length = time.monotonic(), seconds
        self.setAccessibleName(f"{head}. {body}")
        self.place()
        self.show()
        self.raise_()
        self._clock.start()

    def dismiss(self) -> None:
        """Take it away without a word."""
        self._clock.stop()
        self.hide()

    def _end(self) -> None:
        self.dismiss()
        self.ended.emit()

    def _tick(self) -> None:
        if time.monotonic() - self._began >= self._length:
            self.dismiss()
        else:
            self.update()

    def place(self) -> None:
        """Go to the lower right of the window."""
        parent = self.parentWidget()
        assert parent is not None
        width = min(430, parent.width() - 40)
        self.resize(width, self.sizeHint().height())
        self.move(parent.width() - width - 12, parent.height() - self.height() - 34)

    def sizeHint(self) -> QSize:
        return QSize(430, super().sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        box = QRectF(self.rect()).adjusted(_SHADOW, _SHADOW, -_SHADOW, -_SHADOW)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        for spread in range(_SHADOW, 0, -2):
            painter.setBrush(qcolor("#000000", 0.03 if c.dark else 0.009))
            around = box.adjusted(-spread, -spread + 3, spread, spread)
            painter.drawRoundedRect(around, 10 + spread, 10 + spread)
        rounded(painter, box, 10, c.raised, c.line2)
        icons.draw(painter, "circle-check", c.ok, box.x() + 16, box.center().y() - 9, 18)
        rest = 1.0 - (time.monotonic() - self._began) / self._length
        if rest > 0:
            painter.setClipRect(QRectF(box.x() + 8, box.bottom() - 2, box.width() - 16, 2))
            bar = QRectF(box.x() + 8, box.bottom() - 2, (box.width() - 16) * rest, 2)
            painter.fillRect(bar, qcolor(c.accent))
        painter.end()
