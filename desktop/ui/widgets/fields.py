"""Text fields: a search field with its icon and keys, and labels that can be copied."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QDialog, QLabel, QLineEdit, QSizePolicy, QWidget

from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, qcolor, theme
from desktop.ui.theme.fonts import font
from desktop.ui.theme.paint import RIGHT, rounded, text, text_width


class Field(QLineEdit):
    """A field of one line, 28 points high."""

    escaped = Signal()

    def __init__(self, placeholder: str = "", *, icon: str = "", keys: str = "") -> None:
        super().__init__()
        self._icon, self._keys, self._note = icon, keys, ""
        self._shortcut = QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
        self.setPlaceholderText(placeholder)
        self.setAccessibleName(placeholder)
        self.setFixedHeight(28)
        self.setFont(font(13))
        self.setTextMargins(30 if icon else 8, 0, 8, 0)
        if keys:
            self.setToolTip(f"{placeholder} ({self._shortcut})")

    def set_note(self, note: str) -> None:
        """A few words at the right end: `2 of 3`."""
        self._note = note
        right = int(text_width(note, 12)) + 14 if note else 8
        self.setTextMargins(30 if self._icon else 8, 0, right, 0)
        self.update()

    def set_wrong(self, wrong: bool) -> None:
        """Draw the edge in red."""
        self.setProperty("wrong", wrong)
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            if self.text():
                self.clear()
            else:
                self.escaped.emit()
                # Beyond a sheet the page may have something to close too.
                event.setAccepted(isinstance(self.window(), QDialog))
            return
        super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        c = colors()
        painter = QPainter(self)
        if self._icon:
            icons.draw(painter, self._icon, c.text3, 9, (self.height() - 14) / 2, 14)
        if self._note:
            area = QRectF(0, 0, self.width() - 10, self.height())
            text(painter, area, self._note, c.text3, size=12, align=RIGHT)
        elif self._keys and not self.text() and not self.hasFocus():
            width = text_width(self._shortcut, 11) + 10
            if self.width() >= 60 + width + text_width(self.placeholderText(), 13):
                box = QRectF(self.width() - width - 7, 5, width, 18)
                rounded(painter, box, 4, "", c.line2)
                box = box.adjusted(0, 0, -5, 0)
                text(painter, box, self._shortcut, c.text3, size=11, align=RIGHT)
        painter.end()


class Label(QLabel):
    """Text in a token's colour that follows the scheme."""

    def __init__(
        self,
        value: str = "",
        token: str = "text",
        size: float = 13,
        weight: int = 400,
        *,
        mono: bool = False,
        wrap: bool = False,
        selectable: bool = False,
    ) -> None:
        super().__init__(value)
        self._token = token
        self.setFont(font(size, weight, mono=mono))
        self.setWordWrap(wrap)
        self.setTextFormat(Qt.TextFormat.PlainText)
        if selectable:
            self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._refresh()
        theme.changed.connect(self._refresh)

    def set_token(self, token: str) -> None:
        """Another colour."""
        self._token = token
        self._refresh()

    def _refresh(self) -> None:
        palette = self.palette()
        palette.setColor(self.foregroundRole(), qcolor(getattr(colors(), self._token)))
        self.setPalette(palette)


class Elided(QWidget):
    """One line that shortens itself; the whole is in the tooltip. Click copies when `copies`."""

    def __init__(
        self,
        token: str = "text",
        size: float = 13,
        weight: int = 400,
        *,
        mono: bool = False,
        mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
    ) -> None:
        super().__init__()
        self._value, self._token = "", token
        self._size, self._weight, self._mono, self._mode = size, weight, mono, mode
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def set_text(self, value: str) -> None:
        """What it says."""
        if value != self._value:
            self._value = value
            self.setToolTip(value)
            self.setAccessibleName(value)
            self.updateGeometry()
            self.update()

    def set_token(self, token: str) -> None:
        """Another colour."""
        self._token = token
        self.update()

    def sizeHint(self) -> QSize:
        width = text_width(self._value, self._size, self._weight, mono=self._mono)
        return QSize(int(width) + 2, int(self._size * 1.55))

    def minimumSizeHint(self) -> QSize:
        return QSize(min(48, self.sizeHint().width()), self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        text(
            painter,
            QRectF(self.rect()),
            self._value,
            getattr(colors(), self._token),
            size=self._size,
            weight=self._weight,
            mono=self._mono,
            elide=self._mode,
        )
        painter.end()


class CopyText(Elided):
    """A short id with a copy icon; a click puts the whole value on the clipboard."""

    def __init__(self, name: str) -> None:
        super().__init__("text3", 11.5, mono=True)
        self._whole, self._name, self._copied = "", name, False
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def set_value(self, shown: str, whole: str) -> None:
        """`shown` is drawn, `whole` is copied."""
        self._whole, self._copied = whole, False
        self.set_text(shown)
        self.setToolTip(f"Copy the {self._name}: {whole}")
        self.setAccessibleName(f"Copy the {self._name}")

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width() + 20, 20)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def copy(self) -> None:
        """Put the value on the clipboard and show that it is there."""
        QApplication.clipboard().setText(self._whole)
        self._copied = True
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.copy()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Space):
            self.copy()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        c = colors()
        painter = QPainter(self)
        name, color = ("check", c.ok) if self._copied else ("copy", c.text3)
        icons.draw(painter, name, color, self.width() - 15, (self.height() - 13) / 2, 13)
        if self.hasFocus():
            rounded(painter, QRectF(self.rect()), 5, "", c.focus, 2)
        painter.end()
