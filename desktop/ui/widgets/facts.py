"""Sections of facts: name at the left, value at the right, links and copyable text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from desktop.ui.theme.current import paint_surface
from desktop.ui.widgets.buttons import LINK, Button, IconButton
from desktop.ui.widgets.fields import Elided, Label
from desktop.ui.widgets.panes import Hairline

_NAME_WIDTH = 150


@dataclass(frozen=True)
class Fact:
    """One line. `link` makes the value a button; `secret` hides it until asked."""

    name: str
    value: str
    mono: bool = False
    note: str = ""
    link: Callable[[], None] | None = None
    secret: bool = False


@dataclass(frozen=True)
class Section:
    """A title with its facts; `empty` is said when there are none."""

    title: str
    facts: tuple[Fact, ...]
    empty: str = ""
    stacked: bool = False


class Facts(QScrollArea):
    """Shows sections, one below the other."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(name)
        self._told: tuple[tuple[object, ...], ...] = ()

    def show_sections(self, sections: list[Section]) -> None:
        """Show these; the same words again keep the place on screen."""
        told = tuple(
            (s.title, s.empty, *((f.name, f.value, f.note) for f in s.facts)) for s in sections
        )
        if told == self._told:
            return
        self._told = told
        place = self.verticalScrollBar().value()
        inner = QWidget()
        paint_surface(inner, "window")
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(16, 12, 16, 20)
        layout.setSpacing(0)
        for number, section in enumerate(sections):
            if number:
                layout.addSpacing(14)
                layout.addWidget(Hairline())
                layout.addSpacing(14)
            layout.addLayout(_section(section))
        layout.addStretch()
        self.setWidget(inner)
        self.verticalScrollBar().setValue(place)


def _section(section: Section) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(6)
    grid.setColumnMinimumWidth(0, _NAME_WIDTH)
    grid.setColumnStretch(1, 1)
    grid.addWidget(Label(section.title, "text", 13, 600), 0, 0, 1, 3)
    if not section.facts:
        grid.addWidget(Label(section.empty or "None", "text3", 12), 1, 0, 1, 3)
    for row, fact in enumerate(section.facts, start=1):
        name = Elided("text2", 12 if not fact.mono else 11.5, mono=fact.mono)
        name.set_text(fact.name)
        name.setFixedWidth(_NAME_WIDTH)
        grid.addWidget(name, row, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(_value(fact), row, 1)
        if fact.note:
            grid.addWidget(Label(fact.note, "text3", 12), row, 2, Qt.AlignmentFlag.AlignTop)
    return grid


def _value(fact: Fact) -> QWidget:
    if fact.link is not None:
        box = QWidget()
        layout = QHBoxLayout(box)
        layout.setContentsMargins(0, 0, 0, 0)
        button = Button(fact.value, LINK, small=True)
        button.clicked.connect(fact.link)
        layout.addWidget(button)
        layout.addStretch()
        button.setFixedHeight(18)
        button.setContentsMargins(0, 0, 0, 0)
        return box
    if fact.secret:
        return _Secret(fact)
    size = 11.5 if fact.mono else 12
    label = Label(fact.value, "text", size, mono=fact.mono, wrap=True, selectable=True)
    label.setMinimumWidth(40)
    return label


class _Secret(QWidget):
    """A value behind dots, with an eye to show it."""

    def __init__(self, fact: Fact) -> None:
        super().__init__()
        self._fact, self._shown = fact, False
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._label = Label("●" * 10, "text", 11.5, mono=fact.mono, wrap=True, selectable=True)
        self._eye = IconButton("eye", f"Show {fact.name}", small=True)
        self._eye.clicked.connect(self._turn)
        layout.addWidget(self._label)
        layout.addWidget(self._eye)
        layout.addStretch()

    def _turn(self) -> None:
        self._shown = not self._shown
        self._label.setText(self._fact.value if self._shown else "●" * 10)
        verb = "Hide" if self._shown else "Show"
        self._eye.describe("eye-off" if self._shown else "eye", f"{verb} {self._fact.name}")
