"""Segments (one of a few) and tabs: drawn in one widget, moved by arrows."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.ui.theme.current import colors
from desktop.ui.theme.paint import LEFT, line, rounded, text, text_width
from desktop.ui.widgets.buttons import by_keys


@dataclass(frozen=True)
class Choice:
    """One segment or tab; a `count` of None shows no number, `alarm` shows it in red."""

    key: str
    label: str
    count: int | None = None
    alarm: bool = False


class _Choices(QWidget):
    """What segments and tabs share: items, the current one, keys and hover."""

    chosen = Signal(str)

    def __init__(self, items: list[Choice], name: str) -> None:
        super().__init__()
        self._items = items
        self._current = items[0].key if items else ""
        self._over = ""
        self._ringed = False
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    @property
    def current(self) -> str:
        """The key of the chosen item."""
        return self._current

    def keys(self) -> list[str]:
        """All keys in order."""
        return [item.key for item in self._items]

    def set_items(self, items: list[Choice]) -> None:
        """Other labels or counts; the choice stays when its key does."""
        if items == self._items:
            return
        self._items = items
        if self._current not in self.keys():
            self._current = items[0].key if items else ""
        self.updateGeometry()
        self.update()

    def choose(self, key: str) -> None:
        """Make `key` current and tell."""
        if key != self._current and key in self.keys():
            self._current = key
            self.update()
            self.chosen.emit(key)

    def step(self, by: int) -> None:
        """The next or previous one, round the end."""
        keys = self.keys()
        if keys:
            self.choose(keys[(keys.index(self._current) + by) % len(keys)])

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._ringed = by_keys(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._ringed = False
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Left:
            self.step(-1)
        elif event.key() == Qt.Key.Key_Right:
            self.step(1)
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        for item, rect in self.places():
            if rect.contains(event.position()):
                self.choose(item.key)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        over = next((i.key for i, r in self.places() if r.contains(event.position())), "")
        if over != self._over:
            self._over = over
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._over = ""
        self.update()

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def sizeHint(self) -> QSize:
        places = self.places()
        width = places[-1][1].right() + self.margin() if places else 10
        return QSize(int(width + 0.99), self.tall())

    def tall(self) -> int:
        """The height in points."""
        raise AssertionError("a kind of choices says its height")

    def margin(self) -> float:
        """The space before the first and after the last item."""
        return 0.0

    def padding(self) -> float:
        """The space beside a label."""
        return 0.0

    def gap(self) -> float:
        """The space between items."""
        return 0.0

    def places(self) -> list[tuple[Choice, QRectF]]:
        """Each item with its rectangle."""
        x = self.margin()
        found = []
        for item in self._items:
            width = text_width(item.label, 13, 500) + 2 * self.padding()
            if item.count is not None:
                width += text_width(f"{item.count:,}", 13, 400) + 5
            found.append((item, QRectF(x, 0, width, self.tall())))
            x += width + self.gap()
        return found


class Segments(_Choices):
    """All 11 | Running 9 | Problems 1."""

    def tall(self) -> int:
        return 28

    def margin(self) -> float:
        return 2.0

    def padding(self) -> float:
        return 10.0

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        rounded(painter, QRectF(self.rect()), 7, c.segment)
        for item, rect in self.places():
            on = item.key == self._current
            inner = rect.adjusted(0, 2, 0, -2)
            if on:
                rounded(painter, inner, 5.5, c.segment_on, "" if c.dark else c.line2)
                if self._ringed:
                    rounded(painter, inner, 5.5, "", c.focus, 2)
            color = c.text if on or item.key == self._over else c.text2
            x = rect.x() + self.padding()
            label = QRectF(x, 0, rect.right() - x, rect.height())
            width = text(painter, label, item.label, color, weight=500, align=LEFT)
            if item.count is not None:
                number = c.err if item.alarm and item.count else c.text3
                text(
                    painter,
                    label.adjusted(width + 5, 0, 0, 0),
                    f"{item.count:,}",
                    number,
                    weight=500 if item.alarm and item.count else 400,
                )
        painter.end()


class Tabs(_Choices):
    """Logs | Stats | Inspect: a line of two points under the current one."""

    def __init__(self, items: list[Choice], name: str) -> None:
        super().__init__(items, name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def tall(self) -> int:
        return 36

    def margin(self) -> float:
        return 16.0

    def gap(self) -> float:
        return 20.0

    def minimumSizeHint(self) -> QSize:
        return QSize(60, self.tall())

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        line(painter, 0, self.height() - 1, self.width(), 1, c.line)
        for item, rect in self.places():
            on = item.key == self._current
            color = c.text if on or item.key == self._over else c.text2
            width = text(painter, rect, item.label, color, weight=500)
            if item.count is not None:
                rest = rect.adjusted(width + 5, 0, 6, 0)
                text(painter, rest, f"{item.count:,}", c.err if item.alarm else c.text3, size=12)
            if on:
                line(painter, rect.x(), self.height() - 2, rect.width(), 2, c.accent)
                if self._ringed:
                    ring = QRectF(rect.x() - 6, 5, rect.width() + 12, 24)
                    rounded(painter, ring, 6, "", c.focus, 2)
        painter.end()
