"""An inspector with two tabs, facts and JSON, for nouns without live content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from desktop.ui.bridge import Task
from desktop.ui.session import Session
from desktop.ui.theme.current import paint_surface
from desktop.ui.widgets.choices import Choice, Tabs
from desktop.ui.widgets.facts import Facts, Section
from desktop.ui.widgets.fields import CopyText, Elided
from desktop.ui.widgets.header import Header
from desktop.ui.widgets.json_view import JsonView
from desktop.ui.widgets.panes import Stack, bar, column
from desktop.ui.widgets.states import EmptyState


class SimpleInspector(QWidget):
    """Head, a line with an id to copy, then tabs. Pages add tabs with `put`."""

    back = Signal()

    def __init__(self, session: Session, noun: str, icon: str, tabs: list[Choice]) -> None:
        super().__init__()
        self._session, self._noun, self._icon = session, noun, icon
        self._key = ""
        self._task: Task | None = None
        paint_surface(self, "window")
        self._stack = Stack()
        self._none = EmptyState()
        self._none.tell(icon, "Nothing selected", f"Choose {noun} to see what it holds.")
        self._stack.put("none", self._none)
        page = QWidget()
        outer = column(page)
        self.header = Header()
        self.header.back.connect(self.back)
        outer.addWidget(self.header)
        strip, self.line = bar(34, right=16)
        self.summary = Elided("text2", 12)
        self.line.addWidget(self.summary, 1)
        self.copy = CopyText("id")
        self.line.addWidget(self.copy)
        outer.addWidget(strip)
        self.tabs = Tabs(tabs, noun)
        self.pages = Stack()
        self.tabs.chosen.connect(self.pages.turn)
        outer.addWidget(self.tabs)
        self.facts = Facts("Facts")
        self.json = JsonView()
        outer.addWidget(self.pages, 1)
        self._stack.put("one", page)
        column(self).addWidget(self._stack)

    def put(self, name: str, widget: QWidget) -> None:
        """Add the content of a tab."""
        self.pages.put(name, widget)

    def clear(self) -> None:
        """Nothing is selected."""
        self._key = ""
        self._stack.turn("none")

    def inspect(self, key: str, read: Callable[[], dict[str, Any]]) -> bool:
        """Show the page and fetch the JSON of `key`; True when it is another one than before."""
        self._stack.turn("one")
        changed = key != self._key
        self._key = key
        if self._task is not None:
            self._task.cancel()
        if self._session.reachable:
            self._task = self._session.bridge.call(read, self.json.show_value, lambda _e: None)
        return changed

    def show_facts(self, sections: list[Section]) -> None:
        """Fill the facts tab."""
        self.facts.show_sections(sections)

    def focus_search(self) -> bool:
        """Put the caret into the JSON's search field when that tab shows."""
        if self.tabs.current != "inspect" or not self._key:
            return False
        self.json.field.setFocus()
        return True
