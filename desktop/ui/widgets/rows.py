"""A list of painted rows: hover, hit areas, keyboard, selection. No widget per row."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import (
    QContextMenuEvent,
    QHelpEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolTip,
)

from desktop.ui.theme import icons
from desktop.ui.theme.current import colors
from desktop.ui.theme.paint import rounded
from desktop.ui.widgets.keyed import ITEM, KeyedModel

Index = QModelIndex | QPersistentModelIndex
INSET = 8


@dataclass(frozen=True)
class RowState:
    """How a row is drawn now; `part` is the hit area under the pointer, `phase` turns spinners."""

    hovered: bool = False
    selected: bool = False
    focused: bool = False
    ring: bool = False
    part: str = ""
    phase: float = 0.0

    @property
    def active(self) -> bool:
        """True when the row shows its actions."""
        return self.hovered or self.ring


class RowDelegate(QStyledItemDelegate):
    """Paints rows. A subclass says `height`, `paint_row` and, for hit areas, `parts`."""

    def __init__(self, view: RowList) -> None:
        super().__init__(view)
        self.view = view

    def height(self, item: Any) -> int:
        """The row's height in points."""
        return 46

    def paint_row(self, painter: QPainter, rect: QRectF, item: Any, state: RowState) -> None:
        """Draw the content; the background is there."""

    def parts(self, rect: QRectF, item: Any, state: RowState) -> list[tuple[str, QRectF]]:
        """The hit areas of a row by name, in the same rectangle as `paint_row`."""
        return []

    def part_tip(self, item: Any, part: str) -> str:
        """The tooltip of a hit area."""
        return ""

    def plain(self, item: Any) -> bool:
        """True for rows without a background of their own (headers)."""
        return False

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(100, self.height(index.data(ITEM)))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        item = index.data(ITEM)
        if item is None:
            return
        state = self.view.row_state(index, bool(option.state & QStyle.StateFlag.State_Selected))
        rect = QRectF(option.rect)
        box = rect.adjusted(INSET, 0, -INSET, 0)
        c = colors()
        fill = ""
        if state.selected:
            fill = c.selected if state.focused else c.selected_idle
        elif state.hovered and not self.plain(item):
            fill = c.hover
        if fill:
            rounded(painter, box, 8, fill)
        self.paint_row(painter, rect, item, state)
        if state.ring:
            rounded(painter, box.adjusted(0, 0, 0, 0), 8, "", c.focus, 2)

    def action_icons(
        self,
        painter: QPainter,
        places: list[tuple[str, QRectF]],
        names: dict[str, str],
        state: RowState,
    ) -> None:
        """Draw the icons of hit areas, the one under the pointer on a chip."""
        c = colors()
        for part, place in places:
            if part not in names:
                continue
            if part == state.part:
                rounded(painter, place, 6, c.press if not state.selected else c.line2)
            side = 14 if names[part] == "square" else 16
            x, y = place.center().x() - side / 2, place.center().y() - side / 2
            icons.draw(painter, names[part], c.text, x, y, side)


class RowList(QListView):
    """The view. Signals carry keys, so that a row that moves meanwhile does no harm."""

    acted = Signal(str, str)
    opened = Signal(str)
    menu_asked = Signal(str, QPoint)
    selection_moved = Signal()
    folded = Signal(str, bool)
    escaped = Signal()
    removed = Signal()
    copied = Signal()
    visible_changed = Signal()

    def __init__(self, model: KeyedModel, name: str) -> None:
        super().__init__()
        self.keyed = model
        self._hover: QPersistentModelIndex = QPersistentModelIndex()
        self._part = ""
        self._by_keys = False
        # Keys reach this list through a field: its selection is the focus.
        self.tinted = False
        self.setModel(model)
        self.setAccessibleName(name)
        self.setFrameShape(QListView.Shape.NoFrame)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.verticalScrollBar().setSingleStep(23)
        self.verticalScrollBar().valueChanged.connect(lambda _v: self._report_soon())
        model.rowsInserted.connect(lambda *_: self._report_soon())
        model.rowsRemoved.connect(lambda *_: self._report_soon())
        model.layoutChanged.connect(lambda *_: self._report_soon())
        self._reporter = QTimer(self)
        self._reporter.setSingleShot(True)
        self._reporter.setInterval(120)
        self._reporter.timeout.connect(self.visible_changed)
        self._spin = QTimer(self)
        self._spin.setInterval(60)
        self._spin.timeout.connect(self._turn)
        self._spinning: set[str] = set()

    # -- what is chosen --------------------------------------------------------------------

    def current_item(self) -> Any:
        """The item with the keyboard focus, or None."""
        index = self.currentIndex()
        return index.data(ITEM) if index.isValid() else None

    def chosen(self) -> list[Any]:
        """The selected items in order."""
        rows = sorted(index.row() for index in self.selectionModel().selectedIndexes())
        return [self.keyed.items[row] for row in rows]

    def choose(self, key: str) -> bool:
        """Select the row of a key and make it current."""
        row = self.keyed.row_of(key)
        if row < 0:
            return False
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self.selectionModel().setCurrentIndex(self.keyed.index(row), flags)
        return True

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:
        super().selectionChanged(selected, deselected)
        self.selection_moved.emit()

    def visible_items(self) -> list[Any]:
        """The items on screen."""
        view = self.viewport().rect()
        first = self.indexAt(QPoint(20, 2))
        if not first.isValid():
            return list(self.keyed.items[:20])
        found = []
        for row in range(first.row(), len(self.keyed.items)):
            rect = self.visualRect(self.keyed.index(row))
            if rect.top() > view.bottom():
                break
            found.append(self.keyed.items[row])
        return found

    def _report_soon(self) -> None:
        self._reporter.start()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._report_soon()

    # -- how rows look ---------------------------------------------------------------------

    def row_state(self, index: Index, selected: bool) -> RowState:
        """What the delegate needs to know about a row."""
        hovered = self._hover == index
        focused = self.hasFocus() or self.tinted
        ring = self.hasFocus() and self._by_keys and self.currentIndex() == index
        part = self._part if hovered else ""
        return RowState(hovered, selected, focused, ring, part, time.monotonic())

    def spin(self, keys: set[str]) -> None:
        """Repaint these rows all the time: they show a spinner."""
        self._spinning = keys
        if keys and not self._spin.isActive():
            self._spin.start()
        elif not keys:
            self._spin.stop()

    def _turn(self) -> None:
        for row, item in enumerate(self.keyed.items):
            if item.key in self._spinning:
                self.update(self.keyed.index(row))

    # -- pointer ---------------------------------------------------------------------------

    def _hit(self, position: QPointF) -> tuple[QModelIndex, str]:
        index = self.indexAt(position.toPoint())
        delegate = self.itemDelegate()
        if not index.isValid() or not isinstance(delegate, RowDelegate):
            return index, ""
        selected = self.selectionModel().isSelected(index)
        state = RowState(hovered=True, selected=selected)
        rect = QRectF(self.visualRect(index))
        for part, place in delegate.parts(rect, index.data(ITEM), state):
            if place.contains(position):
                return index, part
        return index, ""

    def _hovered(self) -> QModelIndex:
        return self.keyed.index(self._hover.row()) if self._hover.isValid() else QModelIndex()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        index, part = self._hit(event.position())
        if self._hover != index or part != self._part:
            before = self._hovered()
            self._hover, self._part = QPersistentModelIndex(index), part
            for one in (before, index):
                if one.isValid():
                    self.update(one)
            shape = Qt.CursorShape.PointingHandCursor if part else Qt.CursorShape.ArrowCursor
            self.viewport().setCursor(shape)
        if not part:
            super().mouseMoveEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        before = self._hovered()
        self._hover, self._part = QPersistentModelIndex(), ""
        if before.isValid():
            self.update(before)
        super().leaveEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._by_keys = False
        index, part = self._hit(event.position())
        if part and event.button() is Qt.MouseButton.LeftButton:
            self.acted.emit(index.data(ITEM).key, part)
            return
        super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        index, part = self._hit(event.position())
        if index.isValid() and not part:
            self.opened.emit(index.data(ITEM).key)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        index = self.indexAt(event.pos())
        if event.reason() is QContextMenuEvent.Reason.Keyboard:
            index = self.currentIndex()
        if not index.isValid():
            return
        place = event.globalPos()
        if event.reason() is QContextMenuEvent.Reason.Keyboard:
            place = self.viewport().mapToGlobal(self.visualRect(index).center())
        self.menu_asked.emit(index.data(ITEM).key, place)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() is QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index, part = self._hit(QPointF(event.pos()))
            delegate = self.itemDelegate()
            tip = ""
            if index.isValid() and isinstance(delegate, RowDelegate):
                item = index.data(ITEM)
                tip = delegate.part_tip(item, part) if part else ""
                tip = tip or str(index.data(Qt.ItemDataRole.ToolTipRole) or "")
            QToolTip.showText(event.globalPos(), tip, self)
            return True
        return super().viewportEvent(event)

    # -- keys ------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self._by_keys = True
        item = self.current_item()
        key = event.key()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and item is not None:
            self.opened.emit(item.key)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and item is not None:
            self.folded.emit(item.key, key == Qt.Key.Key_Left)
        elif event.matches(QKeySequence.StandardKey.Copy):
            self.copied.emit()
        elif key == Qt.Key.Key_Escape:
            self.escaped.emit()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removed.emit()
        else:
            super().keyPressEvent(event)
        self.viewport().update()

    def focusInEvent(self, event: Any) -> None:
        if event.reason() in (
            Qt.FocusReason.TabFocusReason,
            Qt.FocusReason.BacktabFocusReason,
            Qt.FocusReason.ShortcutFocusReason,
        ):
            self._by_keys = True
        if not self.currentIndex().isValid():
            for row, item in enumerate(self.keyed.items):
                if self.keyed.flags(self.keyed.index(row)) & Qt.ItemFlag.ItemIsSelectable:
                    self.choose(item.key)
                    break
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: Any) -> None:
        super().focusOutEvent(event)
        self.viewport().update()
