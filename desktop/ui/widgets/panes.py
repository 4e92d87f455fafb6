"""The frame of a page: list and inspector with a splitter that is remembered."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from desktop.ui.layout import Layout
from desktop.ui.theme.current import paint_surface
from desktop.ui.widgets.fields import Label

TOOLBAR, FOOTER = 52, 30
LIST_WIDTH, LIST_LEAST, LIST_MOST, INSPECTOR_LEAST = 508, 380, 640, 420
NARROW, ONE_PANE = 1100, 900


class Hairline(QWidget):
    """A line of one point."""

    def __init__(self, *, upright: bool = False) -> None:
        super().__init__()
        if upright:
            self.setFixedWidth(1)
        else:
            self.setFixedHeight(1)
        paint_surface(self, "line")


def bar(height: int, *, left: int = 16, right: int = 12) -> tuple[QWidget, QHBoxLayout]:
    """A horizontal strip of a fixed height."""
    widget = QWidget()
    widget.setFixedHeight(height)
    layout = QHBoxLayout(widget)
    layout.setContentsMargins(left, 0, right, 0)
    layout.setSpacing(8)
    return widget, layout


def column(parent: QWidget) -> QVBoxLayout:
    """A vertical layout without any space."""
    layout = QVBoxLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    return layout


class Panes(QSplitter):
    """List at the left, inspector at the right; one of them when there is no room for both."""

    inspecting = Signal(bool)

    def __init__(self, key: str, layout: Layout, list_pane: QWidget, inspector: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._key, self._layout = key, layout
        self.list_pane, self.inspector = list_pane, inspector
        self.single = False
        self.full = False
        self._user = True
        self.addWidget(list_pane)
        self.addWidget(inspector)
        self.setHandleWidth(1)
        self.setChildrenCollapsible(False)
        self.setStretchFactor(0, 0)
        self.setStretchFactor(1, 1)
        list_pane.setMinimumWidth(LIST_LEAST)
        list_pane.setMaximumWidth(LIST_MOST)
        remembered = layout.integers(f"split/{key}")
        self._wanted = remembered[0] if remembered else LIST_WIDTH
        self.setSizes([self._wanted, 2000])
        self.splitterMoved.connect(self._moved)

    def _moved(self, position: int, _index: int) -> None:
        self._wanted = position
        self._layout.remember(f"split/{self._key}", [position])

    def fit(self, window_width: int) -> None:
        """Arrange for a window of this width."""
        single = window_width < ONE_PANE
        narrow = window_width < NARROW
        self.list_pane.setMinimumWidth(300 if narrow else LIST_LEAST)
        self.inspector.setMinimumWidth(320 if narrow else INSPECTOR_LEAST)
        self.list_pane.setMaximumWidth(16_777_215 if single else LIST_MOST)
        if single != self.single:
            self.single = single
            self.full = False
        self._arrange()
        if not single and not self.full:
            wanted = min(self._wanted, 340) if narrow else self._wanted
            self.setSizes([wanted, max(1, self.width() - wanted - 1)])

    def show_full(self, full: bool) -> None:
        """Give the inspector the whole pane, or take it back."""
        if full != self.full:
            self.full = full
            self._arrange()
            self.inspecting.emit(full)
            if not full and not self.single:
                self.setSizes([self._wanted, max(1, self.width() - self._wanted - 1)])

    def toggle_inspector(self) -> None:
        """Hide or show the inspector."""
        if not self.single:
            self.inspector.setVisible(self.inspector.isHidden())

    def _arrange(self) -> None:
        self.list_pane.setVisible(not self.full)
        if self.single:
            self.inspector.setVisible(self.full)
        else:
            self.inspector.setVisible(True)


class Footer(QWidget):
    """A strip below a list: words at the left, numbers at the right."""

    def __init__(self) -> None:
        super().__init__()
        outer = column(self)
        outer.addWidget(Hairline())
        strip, layout = bar(FOOTER - 1, right=16)
        self.left = Label("", "text2", 12)
        self.right = Label("", "text2", 12)
        layout.addWidget(self.left, 1)
        layout.addWidget(self.right)
        outer.addWidget(strip)


class Stack(QStackedWidget):
    """Widgets of which one shows, by name."""

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, QWidget] = {}

    def put(self, name: str, widget: QWidget) -> None:
        """Add one; the first one shows."""
        self._names[name] = widget
        self.addWidget(widget)

    def turn(self, name: str) -> None:
        """Show one."""
        self.setCurrentWidget(self._names[name])
