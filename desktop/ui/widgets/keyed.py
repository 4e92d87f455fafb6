"""A list model of frozen values with keys: a new list becomes the smallest set of changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt

ITEM = Qt.ItemDataRole.UserRole + 1
Index = QModelIndex | QPersistentModelIndex


class Keyed(Protocol):
    """A value with an identity that outlives its changes."""

    @property
    def key(self) -> str: ...


class KeyedModel(QAbstractListModel):
    """Rows of any keyed values; `describe` says a row in a sentence for screen readers."""

    def __init__(
        self,
        describe: Callable[[Any], str],
        tip: Callable[[Any], str] | None = None,
        selectable: Callable[[Any], bool] | None = None,
    ) -> None:
        super().__init__()
        self._items: list[Any] = []
        self._describe, self._tip, self._selectable = describe, tip, selectable

    @property
    def items(self) -> Sequence[Any]:
        """The values in order."""
        return self._items

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._items)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._items):
            return None
        item = self._items[index.row()]
        if role == ITEM:
            return item
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.DisplayRole):
            return self._describe(item)
        if role == Qt.ItemDataRole.ToolTipRole and self._tip is not None:
            return self._tip(item)
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemNeverHasChildren
        if index.isValid() and index.row() < len(self._items):
            item = self._items[index.row()]
            if self._selectable is None or self._selectable(item):
                flags |= Qt.ItemFlag.ItemIsSelectable
        return flags

    def row_of(self, key: str) -> int:
        """The row of a key; -1 when it is not there."""
        return next((row for row, item in enumerate(self._items) if item.key == key), -1)

    def touch(self, keys: Iterable[str], roles: list[int] | None = None) -> None:
        """Tell that rows look different although their values are the same."""
        wanted = set(keys)
        rows = [row for row, item in enumerate(self._items) if item.key in wanted]
        for first, last in _runs(rows):
            self.dataChanged.emit(self.index(first), self.index(last), roles or [])

    def set_items(self, items: Sequence[Any]) -> None:
        """Show `items`; rows that stay keep their selection, focus and place."""
        wanted = {item.key for item in items}
        gone = [row for row, item in enumerate(self._items) if item.key not in wanted]
        for first, last in reversed(list(_runs(gone))):
            self.beginRemoveRows(QModelIndex(), first, last)
            del self._items[first : last + 1]
            self.endRemoveRows()
        self._order(items)
        self._insert(items)
        changed = []
        for row, item in enumerate(items):
            if self._items[row] != item:
                self._items[row] = item
                changed.append(row)
        for first, last in _runs(changed):
            self.dataChanged.emit(self.index(first), self.index(last))

    def _order(self, items: Sequence[Any]) -> None:
        """Bring the rows that stay into the order of `items`."""
        have = {item.key: item for item in self._items}
        target = [have[item.key] for item in items if item.key in have]
        if all(a is b for a, b in zip(self._items, target, strict=True)):
            return
        self.layoutAboutToBeChanged.emit()
        old = {row: item.key for row, item in enumerate(self._items)}
        place = {item.key: row for row, item in enumerate(target)}
        before = self.persistentIndexList()
        after = [self.createIndex(place[old[index.row()]], 0) for index in before]
        self._items = target
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _insert(self, items: Sequence[Any]) -> None:
        have = {item.key for item in self._items}
        new = [row for row, item in enumerate(items) if item.key not in have]
        for first, last in _runs(new):
            self.beginInsertRows(QModelIndex(), first, last)
            self._items[first:first] = items[first : last + 1]
            self.endInsertRows()


def _runs(rows: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Ascending numbers as ranges without gaps."""
    start = previous = -2
    for row in rows:
        if row != previous + 1:
            if start >= 0:
                yield start, previous
            start = row
        previous = row
    if start >= 0:
        yield start, previous
