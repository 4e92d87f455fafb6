"""What the four list pages share: toolbar, filter, states, selection that survives, panes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from desktop.client.failures import Problem
from desktop.ui.layout import Layout
from desktop.ui.session import Session
from desktop.ui.theme.current import paint_surface
from desktop.ui.widgets.fields import Field, Label
from desktop.ui.widgets.keyed import KeyedModel
from desktop.ui.widgets.panes import (
    NARROW,
    TOOLBAR,
    Footer,
    Hairline,
    Panes,
    Stack,
    bar,
    column,
)
from desktop.ui.widgets.rows import RowList
from desktop.ui.widgets.states import Banner, EmptyState, Skeleton

FIRST_SELECTION_MS = 20


class ListPage(QWidget):
    """A page with a list and an inspector. Subclasses fill `toolbar`, `choices` and `refresh`."""

    key, title, icon_name = "", "", ""
    noun, plural = "", ""

    def __init__(
        self,
        session: Session,
        layout: Layout,
        inspector: QWidget,
        describe: Callable[[Any], str],
        tip: Callable[[Any], str],
        selectable: Callable[[Any], bool] | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self.model = KeyedModel(describe, tip, selectable)
        self.view = RowList(self.model, self.title)
        self._kept = ""
        self._width = 1240
        left = QWidget()
        paint_surface(left, "window")
        outer = column(left)
        outer.addWidget(self._bar())
        outer.addWidget(Hairline())
        strip, self.choices = bar(46, left=16, right=10)
        self._choices_strip = strip
        outer.addWidget(strip)
        holder = QWidget()
        inside = QVBoxLayout(holder)
        inside.setContentsMargins(8, 0, 8, 6)
        self.banner = Banner()
        inside.addWidget(self.banner)
        self._banner_holder = holder
        outer.addWidget(holder)
        self.states = Stack()
        self.empty = EmptyState()
        self.states.put("list", self.view)
        self.states.put("empty", self.empty)
        self.states.put("loading", Skeleton())
        outer.addWidget(self.states, 1)
        self.footer = Footer()
        outer.addWidget(self.footer)
        self.panes = Panes(self.key, layout, left, inspector)
        column(self).addWidget(self.panes)
        self.panes.inspecting.connect(self.inspecting)
        self.view.selection_moved.connect(self._selection_moved)
        self.view.opened.connect(self._opened)
        self.view.escaped.connect(self._escape)
        self.view.removed.connect(lambda: self.act("remove"))
        self.view.copied.connect(lambda: self.act("copy"))
        self.view.menu_asked.connect(self.context_menu)
        session.failed.connect(self._failed)
        self._silence = QTimer(self)
        self._silence.setInterval(1000)
        self._silence.timeout.connect(self._tell_silence)
        session.reachable_changed.connect(self._reachable)

    def _bar(self) -> QWidget:
        strip = QWidget()
        strip.setFixedHeight(TOOLBAR - 1)
        self.toolbar = QHBoxLayout(strip)
        self.toolbar.setContentsMargins(16, 0, 12, 0)
        self.toolbar.setSpacing(8)
        self.toolbar.addWidget(Label(self.title, "text", 15, 600))
        self.toolbar.addStretch(1)
        self.filter = Field("Filter", icon="search", keys="Ctrl+F")
        self.filter.setMinimumWidth(90)
        self.filter.setMaximumWidth(176)
        self.filter.textChanged.connect(lambda _t: self.refresh())
        self.filter.escaped.connect(self.view.setFocus)
        self.filter.returnPressed.connect(self.view.setFocus)
        self.toolbar.addWidget(self.filter, 4)
        return strip

    # -- for subclasses --------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what the session knows now."""

    def empty_words(self) -> None:
        """Fill `self.empty` for a list without any row."""

    def selection_moved(self) -> None:
        """Another row is selected."""

    def inspecting(self, full: bool) -> None:
        """The inspector has the whole pane, or gave it back."""

    def narrow(self, narrow: bool) -> None:
        """The list has little room, or enough again."""

    def context_menu(self, key: str, place: QPoint) -> None:
        """A row's menu is asked for."""

    def act(self, name: str) -> None:
        """An action for the selection, by name."""

    def make_new(self) -> None:
        """The page's primary action."""

    def focus_search(self) -> bool:
        """Put the caret into the inspector's search field, when it has one."""
        return False

    def first_of_inspector(self) -> QWidget:
        """The widget of the inspector that takes the focus first."""
        return self.panes.inspector

    def step_tab(self, by: int) -> None:
        """The next or previous tab of the inspector."""

    def show_tab(self, name: str) -> None:
        """A tab of the inspector by name."""

    # -- states ----------------------------------------------------------------------------

    def tell_state(self, total: int, noun: str) -> None:
        """Show the list, or say why it is empty; `total` counts the rows before the filter."""
        if len(self.model.items):
            self.states.turn("list")
        elif total and self.filter.text():
            self.empty.tell(
                "search",
                f"Nothing matches “{self.filter.text()}”",
                f"{total} {self.plural if total != 1 else self.noun} hidden by the filter.",
                [("Clear filter", "x", self.filter.clear)],
            )
            self.states.turn("empty")
        elif noun not in self.session.loaded:
            self.states.turn("loading")
        elif total:
            self.empty.tell("check", "None of these", "No row is in this group now.")
            self.states.turn("empty")
        else:
            self.empty_words()
            self.states.turn("empty")

    def _failed(self, problem: Problem, keys: tuple[str, ...]) -> None:
        if self.isVisible():
            self.banner.tell_problem(problem)

    def _reachable(self) -> None:
        if self.session.reachable:
            self._silence.stop()
            self.banner.hide()
        elif self.session.silent_since:
            self._silence.start()

    def _tell_silence(self) -> None:
        since = self.session.silent_since
        if not self.session.reachable and self.session.loaded and time.time() - since > 2:
            clock = time.strftime("%H:%M:%S", time.localtime(since))
            head = f"The engine has not answered since {clock}"
            self.banner.tell("warn", "unplug", head, "Showing the last list.")

    # -- selection and panes ---------------------------------------------------------------

    def _selection_moved(self) -> None:
        current = self.view.chosen()
        if len(current) == 1:
            self._kept = current[0].key
        self.selection_moved()

    def keep_selection(self) -> None:
        """After a refresh: select what was selected; at first the first row."""
        if self.view.chosen() or not len(self.model.items):
            return
        current = self.view.currentIndex()
        if self._kept and self.model.row_of(self._kept) < 0 and current.isValid():
            if self._can_select(current.row()):
                # The selected row went: its neighbour, where the focus is now, takes its place.
                self.view.choose(self.model.items[current.row()].key)
                return
        if self._kept and self.view.choose(self._kept):
            return
        if not self._kept:
            # The list is painted before the inspector fills: each is a turn of its own.
            QTimer.singleShot(FIRST_SELECTION_MS, self, self._select_first)

    def _select_first(self) -> None:
        if self._kept or self.view.chosen():
            return
        first = next((i for n, i in enumerate(self.model.items) if self._can_select(n)), None)
        if first is not None:
            self.view.choose(first.key)

    def _can_select(self, row: int) -> bool:
        return bool(self.model.flags(self.model.index(row)) & Qt.ItemFlag.ItemIsSelectable)

    def _opened(self, key: str) -> None:
        self.view.choose(key)
        self.open_inspector()

    def open_inspector(self) -> None:
        """Give the inspector the whole pane, and the focus with it."""
        self.panes.show_full(True)
        self.first_of_inspector().setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.panes.full:
            self.close_inspector()
        else:
            super().keyPressEvent(event)

    def close_inspector(self) -> None:
        """Back to the list."""
        self.panes.show_full(False)
        self.view.setFocus()

    def _escape(self) -> None:
        if self.panes.full:
            self.panes.show_full(False)
        elif self.filter.text():
            self.filter.clear()

    def fit(self, width: int) -> None:
        """Arrange for a window of this width."""
        self._width = width
        self.panes.fit(width)
        self.narrow(width < NARROW and not self.panes.single)
