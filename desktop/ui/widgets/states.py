"""What stands where rows would: nothing yet, no match, loading; and a banner above a list."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from desktop.client.failures import Problem
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors
from desktop.ui.theme.paint import rounded
from desktop.ui.widgets.buttons import PLAIN, PRIMARY, QUIET, Button, IconButton
from desktop.ui.widgets.fields import Label

Action = tuple[str, str, Callable[[], None]]


class Tile(QWidget):
    """An icon on a soft square."""

    def __init__(self, icon: str, tone: str = "info", side: int = 52) -> None:
        super().__init__()
        self._icon, self._tone, self._side = icon, tone, side
        self.setFixedSize(side, side)

    def show_icon(self, icon: str, tone: str) -> None:
        """Another icon or tone (`info`, `warn`, `err`, `ok`, `plum`, `cyan`)."""
        self._icon, self._tone = icon, tone
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        radius = 12 if self._side > 40 else 8
        rounded(painter, QRectF(self.rect()), radius, getattr(c, f"{self._tone}_soft"))
        side = 24 if self._side > 40 else 18
        at = (self._side - side) / 2
        icons.draw(painter, self._icon, getattr(c, self._tone), at, at, side)
        painter.end()


class CodeLine(QWidget):
    """A command to copy."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command
        layout = QHBoxLayout(self)
        layout.setContentsMargins(10, 2, 4, 2)
        layout.setSpacing(6)
        layout.addWidget(Label(command, "text", 11.5, mono=True, selectable=True))
        self._button = IconButton("copy", f"Copy {command}", small=True)
        self._button.clicked.connect(self._copy)
        layout.addWidget(self._button)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def _copy(self) -> None:
        QApplication.clipboard().setText(self._command)
        self._button.describe("check", "Copied")

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        rounded(painter, QRectF(self.rect()), 7, c.inset, c.line2)
        painter.end()


class EmptyState(QWidget):
    """An icon, a title, a sentence, one to three actions, perhaps a command to copy."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(24, 24, 24, 24)
        self._layout.setSpacing(0)
        self._shown: tuple[object, ...] = ()

    def tell(
        self,
        icon: str,
        title: str,
        sentence: str,
        actions: list[Action] | None = None,
        command: str = "",
        tone: str = "info",
    ) -> None:
        """Show a state; the same words again change nothing."""
        names = tuple(action[:2] for action in actions or ())
        shown = (icon, title, sentence, names, command, tone)
        if shown == self._shown:
            return
        self._shown = shown
        self._clear()
        center = Qt.AlignmentFlag.AlignHCenter
        self._layout.addStretch(4)
        self._layout.addWidget(Tile(icon, tone), 0, center)
        self._layout.addSpacing(14)
        head = Label(title, "text", 15, 600, wrap=True)
        head.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._layout.addWidget(head)
        self._layout.addSpacing(4)
        body = Label(sentence, "text2", 13, wrap=True)
        body.setAlignment(Qt.AlignmentFlag.AlignCenter)
        # A wrapped label that is centred gets the height of one line unless told.
        width = min(330, max(200, self.width() - 60)) if self.isVisible() else 330
        body.setFixedSize(width, body.heightForWidth(width))
        self._layout.addWidget(body, 0, center)
        if actions:
            self._layout.addSpacing(14)
            row = QHBoxLayout()
            row.setSpacing(8)
            row.addStretch()
            for number, (label, glyph, run) in enumerate(actions):
                kind = PRIMARY if number == 0 else PLAIN if number == 1 else QUIET
                button = Button(label, kind, glyph)
                button.clicked.connect(run)
                row.addWidget(button)
            row.addStretch()
            self._layout.addLayout(row)
        if command:
            self._layout.addSpacing(14)
            self._layout.addWidget(CodeLine(command), 0, center)
        self._layout.addStretch(5)

    def _clear(self) -> None:
        while (item := self._layout.takeAt(0)) is not None:
            widget, inner = item.widget(), item.layout()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
            if inner is not None:
                while (one := inner.takeAt(0)) is not None:
                    child = one.widget()
                    if child is not None:
                        child.hide()
                        child.deleteLater()


class Skeleton(QWidget):
    """Grey blocks in the shape of rows; invisible for the first 300 ms."""

    def __init__(self, height: int = 46) -> None:
        super().__init__()
        self._height, self._on = height, False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(300)
        self._timer.timeout.connect(self._appear)

    def showEvent(self, event: object) -> None:
        self._on = False
        self._timer.start()

    def _appear(self) -> None:
        self._on = True
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._on:
            return
        c = colors()
        painter = QPainter(self)
        for number in range(7):
            y = 12 + number * self._height
            width = 90 + (number * 37) % 70
            rounded(painter, QRectF(20, y + 12, 12, 12), 6, c.track)
            rounded(painter, QRectF(44, y + 4, width, 10), 4, c.track)
            rounded(painter, QRectF(44, y + 22, width + 50, 8), 4, c.hover)
            rounded(painter, QRectF(self.width() - 90, y + 10, 66, 10), 4, c.track)
        painter.end()


class Banner(QWidget):
    """A line above a list: what is wrong, why, and one action. Tones: warn, err, ok, info."""

    def __init__(self) -> None:
        super().__init__()
        self._tone, self._icon = "warn", "unplug"
        self._raw = ""
        layout = QHBoxLayout(self)
        layout.setContentsMargins(44, 10, 10, 10)
        layout.setSpacing(8)
        words = QVBoxLayout()
        words.setSpacing(1)
        self._head = Label("", "text", 13, 500, wrap=True)
        self._body = Label("", "text2", 12, wrap=True, selectable=True)
        words.addWidget(self._head)
        words.addWidget(self._body)
        layout.addLayout(words, 1)
        self._action = Button("", small=True)
        self._copy = IconButton("copy", "Copy the error", small=True)
        self._close = IconButton("x", "Close this message", small=True)
        for widget in (self._action, self._copy, self._close):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
        self._copy.clicked.connect(lambda: QApplication.clipboard().setText(self._raw))
        self._close.clicked.connect(self.hide)
        self._run: Callable[[], None] | None = None
        self._action.clicked.connect(lambda: self._run and self._run())
        self.hide()

    def tell(
        self,
        tone: str,
        icon: str,
        head: str,
        body: str = "",
        action: tuple[str, Callable[[], None]] | None = None,
        raw: str = "",
        *,
        closable: bool = False,
    ) -> None:
        """Show a message until the next one, `hide` or its close button."""
        self._tone, self._icon, self._raw = tone, icon, raw
        self._head.setText(head)
        self._body.setText(body)
        self._body.setVisible(bool(body))
        self._copy.setVisible(bool(raw))
        self._close.setVisible(closable)
        self._action.setVisible(action is not None)
        self._run = action[1] if action else None
        if action:
            self._action.relabel(action[0])
        self.setAccessibleName(f"{head} {body}")
        self.show()
        self.update()

    def tell_problem(
        self, problem: Problem, action: tuple[str, Callable[[], None]] | None = None
    ) -> None:
        """An error: what failed, why, what to do; the raw text can be copied."""
        body = " ".join(part for part in (problem.why, problem.hint) if part)
        self.tell("err", "circle-x", problem.what, body, action, problem.report, closable=True)

    def sizeHint(self) -> QSize:
        return QSize(200, max(48, super().sizeHint().height()))

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        rounded(painter, QRectF(self.rect()), 8, getattr(c, f"{self._tone}_soft"))
        icons.draw(painter, self._icon, getattr(c, self._tone), 16, (self.height() - 16) / 2, 16)
        painter.end()
