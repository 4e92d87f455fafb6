"""What the engine says about a thing, as JSON: coloured, searchable, copyable."""

from __future__ import annotations

import json
import re
from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QSyntaxHighlighter, QTextCharFormat, QTextCursor, QTextDocument
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QTextEdit, QWidget

from desktop.ui.theme.current import colors, paint_surface, qcolor, theme
from desktop.ui.theme.fonts import font
from desktop.ui.widgets.buttons import Button
from desktop.ui.widgets.fields import Field
from desktop.ui.widgets.panes import Hairline, bar, column

_TOKENS = re.compile(
    r'("(?:[^"\\]|\\.)*")(\s*:)|("(?:[^"\\]|\\.)*")|(-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)'
    r"|\b(true|false|null)\b"
)
_KINDS = ((1, "link"), (3, "ok"), (4, "plum"), (5, "plum"))
_MOST_MARKS = 400


class _Colours(QSyntaxHighlighter):
    def highlightBlock(self, text: str) -> None:
        c = colors()
        for match in _TOKENS.finditer(text):
            for group, token in _KINDS:
                if match.group(group):
                    form = QTextCharFormat()
                    form.setForeground(qcolor(getattr(c, token)))
                    start = match.start(group)
                    self.setFormat(start, match.end(group) - start, form)


class JsonView(QWidget):
    """A search field, Copy, and the text."""

    escaped = Signal()

    def __init__(self) -> None:
        super().__init__()
        outer = column(self)
        strip, layout = bar(44)
        self.field = Field("Find in JSON", icon="search", keys="Ctrl+F")
        self.field.textChanged.connect(lambda _t: self._mark())
        self.field.returnPressed.connect(self.find_next)
        self.field.escaped.connect(self.escaped)
        layout.addWidget(self.field, 1)
        copy = Button("Copy JSON", icon="copy")
        copy.clicked.connect(self._copy)
        layout.addWidget(copy)
        outer.addWidget(strip)
        outer.addWidget(Hairline())
        self.edit = QPlainTextEdit()
        self.edit.setReadOnly(True)
        self.edit.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.edit.setFont(font(11.5, mono=True))
        self.edit.document().setDocumentMargin(14)
        self.edit.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.edit.setAccessibleName("JSON")
        paint_surface(self.edit.viewport(), "inset")
        self._colours = _Colours(self.edit.document())
        theme.changed.connect(self._recolour)
        outer.addWidget(self.edit, 1)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._mark)

    def show_value(self, value: Any) -> None:
        """Show a value; the place on screen stays when the text is nearly the same."""
        text = json.dumps(value, indent=2, ensure_ascii=False) if value is not None else ""
        if text != self.edit.toPlainText():
            place = self.edit.verticalScrollBar().value()
            self.edit.setPlainText(text)
            self.edit.verticalScrollBar().setValue(place)
            self._mark()

    def _recolour(self) -> None:
        self._colours.rehighlight()
        self._mark()

    def _copy(self) -> None:
        QApplication.clipboard().setText(self.edit.toPlainText())

    def find_next(self) -> None:
        """Go to the next match, from the beginning after the last one."""
        needle = self.field.text()
        if needle and not self.edit.find(needle):
            self.edit.moveCursor(QTextCursor.MoveOperation.Start)
            self.edit.find(needle)

    def _mark(self) -> None:
        needle = self.field.text()
        marks: list[QTextEdit.ExtraSelection] = []
        document: QTextDocument = self.edit.document()
        cursor = document.find(needle) if needle else QTextCursor()
        while needle and not cursor.isNull() and len(marks) < _MOST_MARKS:
            mark = QTextEdit.ExtraSelection()
            mark.cursor = cursor
            form = QTextCharFormat()
            form.setBackground(qcolor(colors().mark))
            form.setForeground(qcolor(colors().text))
            mark.format = form
            marks.append(mark)
            cursor = document.find(needle, cursor)
        self.edit.setExtraSelections(marks)
        self.field.set_note((f"{len(marks)} found" if marks else "no match") if needle else "")
