"""Buttons: with a word, with an icon only, and a two-state switch."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QEnterEvent, QFocusEvent, QKeySequence, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, qcolor
from desktop.ui.theme.paint import LEFT, rounded, text, text_width

PLAIN, PRIMARY, DANGER, QUIET, LINK = "plain", "primary", "danger", "quiet", "link"


def by_keys(event: QFocusEvent) -> bool:
    """Whether the focus came by the keyboard: only then a ring says where it is."""
    reason = Qt.FocusReason
    return event.reason() in (
        reason.TabFocusReason,
        reason.BacktabFocusReason,
        reason.ShortcutFocusReason,
    )


def ring(painter: QPainter, widget: _Base, rect: QRectF, radius: float) -> None:
    """The keyboard focus ring, inside the widget's own rectangle."""
    if widget.ringed:
        rounded(painter, rect, radius, "", colors().focus, 2)


def with_keys(tip: str, keys: str) -> str:
    """A tooltip that names its keys in the system's way."""
    if not keys:
        return tip
    shown = QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
    return f"{tip} ({shown})"


class _Base(QAbstractButton):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._over = False
        self.ringed = False
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.ringed = by_keys(event)
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.ringed = False
        super().focusOutEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        self._over = True
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._over = False
        self.update()


class Button(_Base):
    """A button with a word and perhaps an icon. Kinds: plain, primary, danger, quiet, link."""

    def __init__(
        self, label: str, kind: str = PLAIN, icon: str = "", *, small: bool = False
    ) -> None:
        super().__init__()
        self._kind, self._icon, self._height = kind, icon, 24 if small else 28
        self.setText(label)
        self.setAccessibleName(label.rstrip("…"))
        if kind == LINK:
            self.setCursor(Qt.CursorShape.PointingHandCursor)

    def restyle(self, kind: str, icon: str) -> None:
        """Another kind and icon: the same place may mean something else now."""
        self._kind, self._icon = kind, icon
        self.updateGeometry()
        self.update()

    def relabel(self, label: str) -> None:
        """Change the word and the size with it."""
        if label != self.text():
            self.setText(label)
            self.setAccessibleName(label.rstrip("…"))
            self.updateGeometry()

    def sizeHint(self) -> QSize:
        width = text_width(self.text(), 13, 500) + (22 if self._icon else 0)
        return QSize(int(width) + (2 if self._kind == LINK else 26), self._height)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        rect = QRectF(self.rect())
        fill, stroke, color = self._look()
        if fill or stroke:
            rounded(painter, rect, 7, fill, stroke)
        label = self.text()
        width = text_width(label, 13, 500) + (20 if self._icon else 0)
        x = 0.0 if self._kind == LINK else max(4.0, (rect.width() - width) / 2)
        if self._icon:
            icons.draw(painter, self._icon, color, x, (rect.height() - 14) / 2, 14)
            x += 20
        area = QRectF(x, 0, rect.width() - x, rect.height())
        text(painter, area, label, color, weight=500, align=LEFT)
        if self.ringed:
            rounded(painter, rect, 7, "", c.focus if self._kind != PRIMARY else c.window, 2)
            if self._kind == PRIMARY:
                rounded(painter, rect.adjusted(-0.5, -0.5, 0.5, 0.5), 7, "", c.focus, 1.5)
        painter.end()

    def _look(self) -> tuple[str, str, str]:
        c = colors()
        if not self.isEnabled():
            return ("", "", c.off) if self._kind in (QUIET, LINK) else (c.track, "", c.text3)
        down = self.isDown()
        if self._kind == PRIMARY:
            return (c.accent_hover if self._over or down else c.accent), "", c.on
        if self._kind == DANGER:
            return c.danger, "", c.on
        if self._kind == LINK:
            return "", "", c.link
        if self._kind == QUIET:
            return (c.press if down else c.hover if self._over else ""), "", c.text2
        return (c.press if down else c.hover if self._over else c.raised), c.line2, c.text


class DropButton(Button):
    """A word with an arrow behind it that opens a menu."""

    def __init__(self, label: str) -> None:
        super().__init__(label, QUIET, small=True)

    def sizeHint(self) -> QSize:
        return QSize(int(text_width(self.text(), 13)) + 34, 24)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        rect = QRectF(self.rect())
        if self._over:
            rounded(painter, rect, 7, c.hover)
        text(painter, rect.adjusted(8, 0, -24, 0), self.text(), c.text2)
        icons.draw(painter, "chevron-down", c.text2, rect.right() - 20, 5, 14)
        ring(painter, self, rect, 7)
        painter.end()


class IconButton(_Base):
    """An icon of 28 by 28 points that always has a name and a tooltip."""

    def __init__(self, icon: str, name: str, keys: str = "", *, small: bool = False) -> None:
        super().__init__()
        self._icon, self._keys = icon, keys
        self._side = 24 if small else 28
        self.describe(icon, name)

    def describe(self, icon: str, name: str) -> None:
        """Change what it shows and says."""
        self._icon = icon
        self.setAccessibleName(name)
        self.setToolTip(with_keys(name, self._keys))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(self._side, self._side)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        rect = QRectF(self.rect())
        color = c.off if not self.isEnabled() else c.text if self._over else c.text2
        if self.isChecked():
            rounded(painter, rect, 7, c.info_soft)
            color = c.link
        elif self.isEnabled() and (self._over or self.isDown()):
            rounded(painter, rect, 7, c.press if self.isDown() else c.hover)
        side = 14 if self._icon == "square" or self._side < 28 else 16
        icons.draw(
            painter, self._icon, color, (rect.width() - side) / 2, (rect.height() - side) / 2, side
        )
        ring(painter, self, rect, 7)
        painter.end()


class Switch(_Base):
    """On or off, at once."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setAccessibleName(name)

    def sizeHint(self) -> QSize:
        return QSize(36, 24)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rounded(painter, QRectF(2, 3, 32, 18), 9, c.accent if self.isChecked() else c.off)
        painter.setBrush(qcolor(c.on))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawEllipse(QPointF(25 if self.isChecked() else 11, 12), 7, 7)
        ring(painter, self, QRectF(self.rect()), 12)
        painter.end()
