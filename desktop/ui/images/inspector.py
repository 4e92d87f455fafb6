"""The inspector of an image: layers, JSON, users; or of a pull: a bar for each layer."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QScrollArea, QVBoxLayout, QWidget

from desktop.client import words
from desktop.client.rows import Image, Layer
from desktop.ui.bridge import Task
from desktop.ui.images.delegate import ImageRow, LayerDelegate, LayerRow
from desktop.ui.images.pulls import PullRow, PullState
from desktop.ui.session import Session
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, paint_surface
from desktop.ui.theme.fonts import font
from desktop.ui.theme.paint import RIGHT, meter, state_mark, text
from desktop.ui.widgets.buttons import Button, IconButton
from desktop.ui.widgets.choices import Choice
from desktop.ui.widgets.facts import Fact, Facts, Section
from desktop.ui.widgets.fields import Label
from desktop.ui.widgets.header import Header
from desktop.ui.widgets.keyed import KeyedModel
from desktop.ui.widgets.panes import Hairline, Stack, column
from desktop.ui.widgets.rows import RowList
from desktop.ui.widgets.simple_inspector import SimpleInspector
from desktop.ui.widgets.states import Banner

_WORDS = {
    "Pull complete": "Done",
    "Already exists": "Already here",
    "Download complete": "Downloaded",
    "Verifying Checksum": "Verifying",
    "Pulling fs layer": "Waiting",
}


class Bars(QWidget):
    """A line for each layer of a pull."""

    def __init__(self) -> None:
        super().__init__()
        self._row: PullRow | None = None

    def tell(self, row: PullRow) -> None:
        """Show this progress."""
        self._row = row
        self.setMinimumHeight(len(row.progress.layers) * 30 + 16)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._row is None:
            return
        c = colors()
        painter = QPainter(self)
        for number, layer in enumerate(self._row.progress.layers):
            y = 8 + number * 30
            status = _WORDS.get(layer.status, layer.status)
            if layer.done:
                icons.draw(painter, "check", c.ok, 16, y + 8, 14)
            elif status == "Waiting":
                state_mark(painter, QPointF(23, y + 15), "stale")
            else:
                icons.draw(painter, "arrow-down", c.link, 16, y + 8, 14)
            name = QRectF(40, y, 100, 30)
            text(painter, name, layer.id[:12], c.text2, size=11.5, mono=True)
            if layer.status == "Downloading" and layer.total:
                status = f"{words.size(layer.current)} of {words.size(layer.total)}"
            text(painter, QRectF(140, y, 140, 30), status, c.text, size=12)
            right = self.width() - 16
            size = QRectF(right - 64, y, 64, 30)
            shown = words.size(layer.total) if layer.total else ""
            text(painter, size, shown, c.text2, size=12, align=RIGHT)
            room = size.x() - 300
            if room > 30:
                share = 1.0 if layer.done else layer.current / layer.total if layer.total else 0.0
                color = c.ok if layer.done else c.plum if layer.status == "Extracting" else ""
                meter(painter, QRectF(288, y + 13, room, 4), share, color)
        painter.end()


class PullPane(QWidget):
    """A pull in the inspector."""

    asked = Signal(str)
    back = Signal()

    def __init__(self) -> None:
        super().__init__()
        outer = column(self)
        self.header = Header()
        self.header.back.connect(self.back)
        self._button = Button("Cancel", small=True)
        self._action = "cancel"
        self._button.clicked.connect(self._ask)
        self.header.add(self._button)
        outer.addWidget(self.header)
        box = QWidget()
        inner = QVBoxLayout(box)
        inner.setContentsMargins(16, 12, 16, 12)
        inner.setSpacing(8)
        self._sentence = Label("", "text2", 13, wrap=True)
        inner.addWidget(self._sentence)
        self._bar = _Bar()
        inner.addWidget(self._bar)
        self._banner = Banner()
        inner.addWidget(self._banner)
        outer.addWidget(box)
        outer.addWidget(Hairline())
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._bars = Bars()
        paint_surface(self._bars, "window")
        scroll.setWidget(self._bars)
        outer.addWidget(scroll, 1)

    def _ask(self) -> None:
        self.asked.emit(self._action)

    def tell(self, row: PullRow) -> None:
        """Show this pull."""
        running = row.state is PullState.RUNNING
        chip = {"running": "Pulling", "failed": "Failed", "cancelled": "Cancelled"}[row.state]
        tone = {"running": "info", "failed": "err", "cancelled": "warn"}[row.state]
        self.header.title.tell(row.reference, chip=chip, tone=tone)
        self._action = "cancel" if running else "retry"
        self._button.relabel("Cancel" if running else "Retry")
        self._sentence.setText(row.sentence() if row.problem is None else "")
        self._sentence.setVisible(row.problem is None)
        self._bar.tell(row.progress.fraction)
        if row.problem is not None:
            self._banner.tell_problem(row.problem)
        else:
            self._banner.hide()
        self._bars.tell(row)


class _Bar(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._share = 0.0
        self.setFixedHeight(6)

    def tell(self, share: float) -> None:
        self._share = share
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(100, 6)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        meter(painter, QRectF(self.rect()), self._share)
        painter.end()


class LayersPane(QWidget):
    """The layers as a list, and the whole instruction of the chosen one below."""

    def __init__(self) -> None:
        super().__init__()
        outer = column(self)
        self._foot = Label("", "text2", 12)
        self.model = KeyedModel(lambda row: row.sentence(), lambda row: row.layer.arguments[:2000])
        self.view = RowList(self.model, "Layers")
        self.view.setItemDelegate(LayerDelegate(self.view))
        self.view.setSelectionMode(RowList.SelectionMode.SingleSelection)
        self.view.selection_moved.connect(self._chosen)
        outer.addSpacing(6)
        outer.addWidget(self.view, 3)
        outer.addWidget(Hairline())
        self.whole = QPlainTextEdit()
        self.whole.setReadOnly(True)
        self.whole.setFrameShape(QFrame.Shape.NoFrame)
        self.whole.setFont(font(11.5, mono=True))
        self.whole.document().setDocumentMargin(12)
        self.whole.setPlaceholderText("Choose a layer to see its whole instruction.")
        self.whole.setAccessibleName("The layer's instruction")
        self.whole.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        paint_surface(self.whole.viewport(), "inset")
        outer.addWidget(self.whole, 1)

    def show_layers(self, layers: list[Layer]) -> None:
        """Show an image's history."""
        total = sum(layer.size for layer in layers)
        self.view.clearSelection()
        self.model.set_items([LayerRow(n, layer, total) for n, layer in enumerate(layers)])
        self.whole.setPlainText("")

    def _chosen(self) -> None:
        rows = self.view.chosen()
        if rows:
            layer: Layer = rows[0].layer
            made = words.moment(layer.created) if layer.created else "unknown"
            words_ = f"{layer.instruction} {layer.arguments}".strip()
            self.whole.setPlainText(f"{words_}\n\n# {words.size(layer.size)}, made {made}")


class Inspector(QWidget):
    """Image or pull, whichever is chosen."""

    asked = Signal(str)
    back = Signal()
    container_asked = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._asking: Task | None = None
        tabs = [Choice("layers", "Layers"), Choice("inspect", "Inspect"), Choice("used", "Used by")]
        self.simple = SimpleInspector(session, "an image", "layers", tabs)
        self.layers = LayersPane()
        self._used = Facts("Containers of the image")
        self.simple.put("layers", self.layers)
        self.simple.put("inspect", self.simple.json)
        self.simple.put("used", self._used)
        run = Button("Run…", icon="play")
        run.clicked.connect(lambda: self.asked.emit("run"))
        remove = IconButton("trash-2", "Remove", "Delete")
        remove.clicked.connect(lambda: self.asked.emit("remove"))
        self.simple.header.add(run)
        self.simple.header.add(remove)
        self.pull = PullPane()
        self.pull.asked.connect(self.asked)
        for source in (self.simple, self.pull):
            source.back.connect(self.back)
        self._stack = Stack()
        self._stack.put("image", self.simple)
        self._stack.put("pull", self.pull)
        column(self).addWidget(self._stack)
        paint_surface(self, "window")

    def show_row(self, row: object) -> None:
        """Show an image, a pull, or nothing."""
        if isinstance(row, PullRow):
            self._stack.turn("pull")
            self.pull.tell(row)
            return
        self._stack.turn("image")
        if not isinstance(row, ImageRow):
            self.simple.clear()
            return
        self._image(row.image)

    def _image(self, image: Image) -> None:
        engine = self._session.engine
        changed = self.simple.inspect(image.key, lambda: self._inspected(image))
        name, tag = (image.repository, f":{image.tag}") if not image.dangling else ("No tag", "")
        self.simple.header.title.tell(name, suffix=tag)
        short = image.id.removeprefix("sha256:")[:12]
        self.simple.copy.set_value(short, image.id)
        users = tuple(
            Fact(name, "Show", link=partial(self.container_asked.emit, name))
            for name in image.used_by
        )
        self._used.show_sections([Section("Containers", users, "No container uses it.")])
        self.simple.tabs.set_items(
            [
                Choice("layers", "Layers"),
                Choice("inspect", "Inspect"),
                Choice("used", "Used by", len(users) or None),
            ]
        )
        if changed:
            self.simple.summary.set_text(f"{words.size(image.size)}")
            if self._asking is not None:
                self._asking.cancel()
            self.layers.show_layers([])
            self._asking = self._session.bridge.call(
                lambda: engine.layers(image.id),
                lambda layers: self._layers(image, layers),
                lambda _error: None,
            )

    def _inspected(self, image: Image) -> dict[str, Any]:
        return self._session.engine.inspect_image(image.id)

    def _layers(self, image: Image, layers: list[Layer]) -> None:
        self.layers.show_layers(layers)
        real = sum(1 for layer in layers if layer.size)
        age = words.age(image.created)
        self.simple.summary.set_text(
            f"{words.size(image.size)}, {words.count(real, 'layer')} with files, "
            f"{words.count(len(layers), 'step')}, {age} old"
        )
