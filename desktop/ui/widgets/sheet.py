"""Sheets: small window-modal dialogs that ask for words or for a yes."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from desktop.ui.theme.current import paint_surface
from desktop.ui.widgets.buttons import DANGER, PRIMARY, Button
from desktop.ui.widgets.fields import Field, Label
from desktop.ui.widgets.states import Tile


class Sheet(QDialog):
    """A title with an icon, a sentence, room for content, and two buttons that say what happens."""

    def __init__(
        self,
        parent: QWidget,
        icon: str,
        title: str,
        sentence: str,
        accept: str,
        *,
        danger: bool = False,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setMinimumWidth(440)
        paint_surface(self, "raised")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(20, 20, 20, 20)
        outer.setSpacing(16)
        head = QHBoxLayout()
        head.setSpacing(14)
        head.addWidget(Tile(icon, "err" if danger else "info", 40), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(Label(title, "text", 15, 600, wrap=True))
        self.sentence = Label(sentence, "text2", 13, wrap=True)
        words.addWidget(self.sentence)
        head.addLayout(words, 1)
        outer.addLayout(head)
        self.content = QVBoxLayout()
        self.content.setSpacing(10)
        outer.addLayout(self.content)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch()
        self.cancel = Button("Cancel")
        self.go = Button(accept, DANGER if danger else PRIMARY)
        for button, slot in ((self.cancel, self.reject), (self.go, self.accept)):
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.clicked.connect(slot)
            row.addWidget(button)
        outer.addLayout(row)
        if danger:
            self.cancel.setFocus()

    def form(self, rows: list[tuple[str, QWidget]]) -> None:
        """Add labelled fields."""
        form = QFormLayout()
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(10)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for label, widget in rows:
            form.addRow(Label(label, "text2", 13), widget)
        self.content.addLayout(form)


def ask(
    parent: QWidget, icon: str, title: str, sentence: str, accept: str, then: Callable[[], None]
) -> Sheet:
    """Ask before something that can't be undone; Cancel has the focus. Returns at once."""
    sheet = Sheet(parent, icon, title, sentence, accept, danger=True)
    sheet.accepted.connect(then)
    sheet.finished.connect(sheet.deleteLater)
    sheet.open()
    return sheet


def ask_text(
    parent: QWidget,
    icon: str,
    title: str,
    sentence: str,
    placeholder: str,
    accept: str,
    then: Callable[[str], None],
) -> Sheet:
    """Ask for one line; an empty one can't be accepted. Returns at once."""
    sheet = Sheet(parent, icon, title, sentence, accept)
    field = Field(placeholder)
    sheet.content.addWidget(field)
    sheet.go.setEnabled(False)
    field.textChanged.connect(lambda text: sheet.go.setEnabled(bool(text.strip())))
    field.returnPressed.connect(sheet.go.click)
    field.escaped.connect(sheet.reject)
    sheet.accepted.connect(lambda: then(field.text().strip()))
    sheet.finished.connect(sheet.deleteLater)
    sheet.open()
    field.setFocus()
    return sheet
