"""The command palette: containers, images and pages by name, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QEvent, QObject, QPoint, QRectF, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QPainter, QPaintEvent
from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from desktop.client import words
from desktop.client.rows import Container, Image
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, paint_surface
from desktop.ui.theme.paint import RIGHT, rounded, text, text_width
from desktop.ui.widgets.fields import Field, Label
from desktop.ui.widgets.keyed import KeyedModel
from desktop.ui.widgets.panes import Hairline
from desktop.ui.widgets.rows import RowDelegate, RowList, RowState

WIDTH, TOP, ROW, HEAD = 600, 88, 36, 30
_MOST = 5


@dataclass(frozen=True)
class Command:
    """One line of the palette; `run` is left out of comparisons."""

    key: str
    title: str
    hint: str
    icon: str
    group: str
    keys: str = ""
    danger: bool = False
    run: Callable[[], object] = field(default=lambda: None, compare=False)


@dataclass(frozen=True)
class Group:
    """A heading between commands."""

    title: str

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return f"group:{self.title}"


def find(commands: Sequence[Command], typed: str) -> list[Group | Command]:
    """The commands whose title or hint has every word, under their groups, a few each."""
    wanted = typed.lower().split()
    found: list[Group | Command] = []
    counts: dict[str, int] = {}
    for command in commands:
        hay = f"{command.title} {command.hint} {command.group}".lower()
        if not all(word in hay for word in wanted):
            continue
        count = counts.get(command.group, 0)
        if count >= (_MOST if wanted else 4):
            continue
        if count == 0:
            found.append(Group(command.group))
        counts[command.group] = count + 1
        found.append(command)
    return found


def of_container(one: Container, act: Callable[[Container, str], object]) -> list[Command]:
    """What can be done with a container."""
    where = f"{one.project}, {one.status.lower()}" if one.project else one.status.lower()
    verbs = [("restart", "Restart", "rotate-cw"), ("stop", "Stop", "square")]
    if not one.running:
        verbs = [("start", "Start", "play")]
    made = [("show", f"Show {one.name}", "box")]
    made += [(verb, f"{word} {one.name}", glyph) for verb, word, glyph in verbs]
    return [
        Command(f"{verb}:{one.id}", title, where, glyph, "Containers", run=_bound(act, one, verb))
        for verb, title, glyph in made
    ]


def of_image(image: Image, run: Callable[[str], object]) -> Command:
    """Run an image."""
    hint = f"Image, {words.size(image.size)}"
    title = f"Run {image.reference}…"
    return Command(
        f"image:{image.key}", title, hint, "play", "Images", run=lambda: run(image.reference)
    )


def _bound(
    act: Callable[[Container, str], object], one: Container, verb: str
) -> Callable[[], object]:
    return lambda: act(one, verb)


class _Delegate(RowDelegate):
    """Icon, title, hint, keys."""

    def height(self, item: Any) -> int:
        return HEAD if isinstance(item, Group) else ROW

    def plain(self, item: Any) -> bool:
        return isinstance(item, Group)

    def paint_row(self, painter: QPainter, rect: QRectF, item: Any, state: RowState) -> None:
        c = colors()
        if isinstance(item, Group):
            area = rect.adjusted(18, 4, -18, 0)
            text(painter, area, item.title, c.text2, size=11, weight=600)
            return
        command: Command = item
        color = c.err if command.danger else c.text
        icons.draw(
            painter, command.icon, color if command.danger else c.text2,
            rect.x() + 20, rect.center().y() - 7.5, 16,
        )  # fmt: skip
        keys = QKeySequence(command.keys).toString(QKeySequence.SequenceFormat.NativeText)
        edge = rect.right() - 20 - (text_width(keys, 11) + 14 if keys else 0)
        area = QRectF(rect.x() + 48, rect.y(), edge - rect.x() - 56, rect.height())
        used = text(painter, area, command.title, color, weight=500)
        rest = area.adjusted(used + 10, 0, 0, 0)
        if rest.width() > 30:
            text(painter, rest, command.hint, c.text3, size=12)
        if keys:
            box = QRectF(edge + 4, rect.center().y() - 9, text_width(keys, 11) + 10, 18)
            rounded(painter, box, 4, "", c.line2)
            text(painter, box.adjusted(0, 0, -5, 0), keys, c.text2, size=11, align=RIGHT)


class Palette(QDialog):
    """Type, choose by arrows, Return runs; Escape closes."""

    def __init__(self, parent: QWidget, commands: Sequence[Command]) -> None:
        super().__init__(parent, Qt.WindowType.Dialog | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setWindowTitle("Commands")
        self._commands = commands
        self._chosen: Command | None = None
        outer = QVBoxLayout(self)
        outer.setContentsMargins(1, 8, 1, 8)
        outer.setSpacing(6)
        self.field = Field("Type a name or a command", icon="search")
        self.field.setFrame(False)
        self.field.setFixedHeight(36)
        self.field.setAutoFillBackground(False)
        self.field.textChanged.connect(lambda _t: self._show())
        self.field.escaped.connect(self.reject)
        self.field.returnPressed.connect(self._run)
        self.field.installEventFilter(self)
        outer.addWidget(self.field)
        outer.addWidget(Hairline())
        self.model = KeyedModel(_describe, None, lambda item: isinstance(item, Command))
        self.view = RowList(self.model, "Commands")
        self.view.setItemDelegate(_Delegate(self.view))
        self.view.setSelectionMode(RowList.SelectionMode.SingleSelection)
        self.view.tinted = True
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.view.clicked.connect(lambda _i: self._run())
        paint_surface(self.view.viewport(), "raised")
        outer.addWidget(self.view)
        self._none = Label("Nothing is called that.", "text3", 12)
        self._none.setContentsMargins(20, 4, 0, 8)
        outer.addWidget(self._none)
        self._show()
        self.move(parent.mapToGlobal(QPoint((parent.width() - WIDTH) // 2, TOP)))

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colors()
        painter = QPainter(self)
        rounded(painter, QRectF(self.rect()), 13, c.raised, c.line2)
        painter.end()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
                self._step(1 if event.key() == Qt.Key.Key_Down else -1)
                return True
        return super().eventFilter(watched, event)

    def _show(self) -> None:
        items = find(self._commands, self.field.text())
        self.model.set_items(items)
        first = next((one for one in items if isinstance(one, Command)), None)
        if first is not None:
            self.view.choose(first.key)
        self._none.setVisible(first is None)
        self.view.setVisible(first is not None)
        height = sum(HEAD if isinstance(one, Group) else ROW for one in items)
        self.view.setFixedHeight(min(420, height + 2))
        self.setFixedSize(WIDTH, min(420, height + 2) + 66 if first else 100)

    def _step(self, by: int) -> None:
        rows = [one.key for one in self.model.items if isinstance(one, Command)]
        chosen = self.view.chosen()
        if rows and chosen:
            self.view.choose(rows[(rows.index(chosen[0].key) + by) % len(rows)])

    def _run(self) -> None:
        chosen = self.view.chosen()
        if chosen:
            command: Command = chosen[0]
            self.accept()
            command.run()


def _describe(item: Group | Command) -> str:
    return item.title if isinstance(item, Group) else f"{item.title}, {item.hint}"
