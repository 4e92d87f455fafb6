"""Paints image rows in columns, pulls with their bar, and the layers of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from desktop.client import words
from desktop.client.rows import Image, Layer
from desktop.ui.images.pulls import PullRow, PullState
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors
from desktop.ui.theme.paint import LEFT, RIGHT, line, meter, name_and_tag, spinner, text, text_width
from desktop.ui.widgets.rows import RowDelegate, RowState

_EDGE, _LEFT = 20, 20
_SIZE, _AGE = 72, 54
_ICONS = {"run": "play", "remove": "trash-2", "more": "ellipsis"}
_PULL_ICONS = {"cancel": "x", "retry": "rotate-cw", "dismiss": "x"}
_TIPS = {
    "run": "Run a container of it…",
    "remove": "Remove (Delete)",
    "more": "More actions",
    "cancel": "Cancel the pull",
    "retry": "Pull again",
    "dismiss": "Take it off the list",
}


@dataclass(frozen=True)
class ImageRow:
    """An image with what the window knows beside."""

    image: Image
    busy: str = ""
    problem: str = ""
    stale: bool = False

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return self.image.key

    @property
    def use(self) -> str:
        """Who uses it."""
        if self.image.used_by:
            users = self.image.used_by
            return users[0] if len(users) == 1 else words.count(len(users), "container")
        return "Dangling" if self.image.dangling else "Unused"

    def sentence(self) -> str:
        """The row for a screen reader."""
        one = self.image
        return f"{one.reference}, {words.size(one.size)}, {self.use}, {words.age(one.created)} old"


@dataclass(frozen=True)
class Columns:
    """Where the columns of a row are; the used-by column gives way first."""

    name: QRectF
    size: QRectF
    use: QRectF
    age: QRectF

    @classmethod
    def of(cls, rect: QRectF) -> Columns:
        """The columns of a row's rectangle."""
        right = rect.right() - _EDGE
        age = QRectF(right - _AGE, rect.y(), _AGE, rect.height())
        wide = rect.width() > 400
        use_width = 104.0 if wide else 0.0
        use = QRectF(age.x() - use_width, rect.y(), use_width, rect.height())
        size = QRectF(use.x() - 14 - _SIZE, rect.y(), _SIZE, rect.height())
        left = rect.x() + _LEFT
        return cls(QRectF(left, rect.y(), size.x() - left - 8, rect.height()), size, use, age)


class Head(QWidget):
    """The column heads; a click sorts."""

    sorted_by = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.order = "size"
        self.setFixedHeight(26)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Order of the list")
        self.setToolTip("Sort by name, size or age")

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        columns = Columns.of(QRectF(0, 0, self.width(), self.height() - 4))
        for key, title, area, align in (
            ("name", "Name", columns.name, LEFT),
            ("size", "Size", columns.size, RIGHT),
            ("", "Used by", columns.use, LEFT),
            ("age", "Age", columns.age, RIGHT),
        ):
            if area.width() <= 0:
                continue
            on = key == self.order
            color = c.text if on else c.text3
            text(painter, area, title, color, size=11, weight=500 if on else 400, align=align)
        line(painter, 16, self.height() - 2, self.width() - 32, 1, c.line)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        columns = Columns.of(QRectF(0, 0, self.width(), self.height()))
        for key, area in (("name", columns.name), ("size", columns.size), ("age", columns.age)):
            if area.contains(event.position()):
                self.order = key
                self.update()
                self.sorted_by.emit(key)


class Delegate(RowDelegate):
    """Images in one line, pulls in two."""

    def height(self, item: Any) -> int:
        return 58 if isinstance(item, PullRow) else 34

    def paint_row(self, painter: QPainter, rect: QRectF, item: Any, state: RowState) -> None:
        if isinstance(item, PullRow):
            self._pull(painter, rect, item, state)
        elif isinstance(item, ImageRow):
            self._image(painter, rect, item, state)

    def _image(self, painter: QPainter, rect: QRectF, row: ImageRow, state: RowState) -> None:
        c = colors()
        one = row.image
        columns = Columns.of(rect)
        name = columns.name
        if row.busy:
            spinner(painter, name.topLeft() + QRectF(0, 0, 12, 34).center(), 5, state.phase, 1.75)
            name = name.adjusted(20, 0, 0, 0)
        main, second = (c.text3, c.text3) if row.stale else (c.text, c.text2)
        if one.dangling:
            width = text(painter, name, "No tag ", c.text2)
            short = one.id.removeprefix("sha256:")[:12]
            rest = name.adjusted(width, 0, 0, 0)
            text(painter, rest, short, c.text3, size=11.5, mono=True)
        else:
            name_and_tag(painter, name, one.repository, one.tag, main, second)
        size = columns.size
        text(painter, size, words.size(one.size), main, weight=500, align=RIGHT)
        places = self.parts(rect, row, state)
        if places:
            self.action_icons(painter, places, _ICONS, state)
            return
        if columns.use.width() > 0:
            use, color = (row.problem, c.err) if row.problem else (row.use, c.text2)
            text(painter, columns.use, use, c.text if one.used_by and not use == row.problem
                 else color)  # fmt: skip
        text(painter, columns.age, words.age(one.created), c.text3, align=RIGHT)

    def _pull(self, painter: QPainter, rect: QRectF, row: PullRow, state: RowState) -> None:
        c = colors()
        failed = row.state is PullState.FAILED
        places = self.parts(rect, row, state)
        right = places[0][1].x() - 10 if places else rect.right() - _EDGE
        x = rect.x() + _LEFT
        if row.state is PullState.RUNNING:
            spinner(painter, QRectF(x, rect.y() + 10, 12, 12).center(), 5, state.phase, 1.75)
        else:
            name, color = ("circle-x", c.err) if failed else ("circle-stop", c.text3)
            icons.draw(painter, name, color, x - 1, rect.y() + 9, 14)
        repository, _, tag = row.reference.rpartition(":")
        percent = f"{row.progress.fraction * 100:.0f} %" if row.progress.layers else ""
        room = text_width(percent, 12) + 8 if row.state is PullState.RUNNING else 0
        area = QRectF(x + 20, rect.y() + 6, right - x - 20 - room, 20)
        name_and_tag(painter, area, repository, tag, c.text, c.text2)
        if room:
            number = QRectF(right - room, rect.y() + 6, room, 20)
            text(painter, number, percent, c.text, size=12, align=RIGHT)
        below = QRectF(x + 20, rect.y() + 25, right - x - 20, 16)
        text(painter, below, row.sentence(), c.err if failed else c.text2, size=12)
        bar = QRectF(x + 20, rect.y() + 46, right - x - 20, 4)
        meter(painter, bar, row.progress.fraction, c.err_dot if failed else "")
        self.action_icons(painter, places, _PULL_ICONS, state)

    def parts(self, rect: QRectF, item: Any, state: RowState) -> list[tuple[str, QRectF]]:
        y, edge = rect.center().y() - 13, rect.right() - _EDGE + 4
        names: tuple[str, ...]
        if isinstance(item, PullRow):
            running = item.state is PullState.RUNNING
            names = ("cancel",) if running else ("retry", "dismiss")
        elif state.active and not item.busy and not item.stale:
            names = ("run", "remove", "more")
        else:
            return []
        step = 28
        first = edge - step * len(names)
        return [(n, QRectF(first + i * step, y, 26, 26)) for i, n in enumerate(names)]

    def part_tip(self, item: Any, part: str) -> str:
        return _TIPS.get(part, "")


@dataclass(frozen=True)
class LayerRow:
    """A layer with its number and the image's size for the share."""

    number: int
    layer: Layer
    total: int

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return str(self.number)

    def sentence(self) -> str:
        """The row for a screen reader."""
        layer = self.layer
        return f"{layer.instruction} {layer.arguments[:120]}, {words.size(layer.size)}"


class LayerDelegate(RowDelegate):
    """Instruction, its arguments, size and share of the whole."""

    def height(self, item: Any) -> int:
        return 30

    def paint_row(self, painter: QPainter, rect: QRectF, item: Any, state: RowState) -> None:
        row: LayerRow = item
        c = colors()
        layer = row.layer
        right = rect.right() - 16
        share = QRectF(right - 84, rect.center().y() - 2, 84, 4)
        size = QRectF(share.x() - 80, rect.y(), 70, rect.height())
        head = QRectF(rect.x() + 16, rect.y(), 86, rect.height())
        text(painter, head, layer.instruction, c.text, size=11.5, weight=600, mono=True)
        rest = QRectF(head.right(), rect.y(), size.x() - head.right() - 8, rect.height())
        plain = " ".join(layer.arguments.split())
        text(painter, rest, plain, c.text2, size=11.5, mono=True)
        shown = words.size(layer.size) if layer.size else "–"
        text(painter, size, shown, c.text if layer.size else c.text3, size=12, align=RIGHT)
        meter(painter, share, layer.size / row.total if row.total else 0.0)
