"""The log on screen: a scroll area over the buffer that draws only the lines that show."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame

from desktop.ui.containers.logs.buffer import Level, Line
from desktop.ui.theme.current import colors, paint_surface, qcolor
from desktop.ui.theme.fonts import font, metrics
from desktop.ui.theme.paint import rounded

ROW = 20
_MARGIN, _TOP = 16, 8
_SIZE = 11.5
_CLOCK = 12


def breaks(text: str, columns: int) -> list[int]:
    """Where the rows of a line begin: after a space near the end of a row, else anywhere."""
    starts = [0]
    at = 0
    while len(text) - at > columns:
        space = text.rfind(" ", at + columns // 2, at + columns + 1)
        at = space + 1 if space >= 0 else at + columns
        starts.append(at)
    return starts


class LogView(QAbstractScrollArea):
    """Draws lines; follows the end until somebody scrolls up."""

    following_changed = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.following = True
        self.wrap = True
        self.unseen = 0
        self._lines: list[Line] = []
        self._tops: list[int] = [0]
        self._columns = 80
        self._needle = ""
        self._found: tuple[int, int] | None = None
        self._selection: tuple[int, int] | None = None
        self._moving = False
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Log")
        paint_surface(self.viewport(), "inset")
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        self.verticalScrollBar().setSingleStep(ROW)

    # -- content ---------------------------------------------------------------------------

    def show_lines(self, lines: Sequence[Line]) -> None:
        """Replace everything."""
        self._lines = list(lines)
        self._selection = self._found = None
        self._measure()
        self._limits()
        if self.following:
            self.to_end()
        self.viewport().update()

    def append(self, lines: Sequence[Line], dropped: int) -> None:
        """Add lines at the end after `dropped` went at the beginning."""
        if dropped:
            gone = self._tops[min(dropped, len(self._lines))]
            del self._lines[:dropped]
            self._lines += lines
            self._selection = self._found = None
            self._measure()
            self._limits()
            if not self.following:
                bar = self.verticalScrollBar()
                bar.setValue(max(0, bar.value() - gone * ROW))
        else:
            total = self._tops[-1]
            for line in lines:
                total += self._rows(line)
                self._tops.append(total)
            self._lines += lines
            self._limits()
        if self.following:
            self.to_end()
        else:
            self.unseen += len(lines)
        self.viewport().update()

    def _rows(self, line: Line) -> int:
        if not self.wrap or len(line.text) <= self._columns:
            return 1
        return len(breaks(line.text, self._columns))

    def _measure(self) -> None:
        columns = self._columns if self.wrap else 1 << 30
        total = 0
        tops = [0]
        for line in self._lines:
            total += 1 if len(line.text) <= columns else len(breaks(line.text, columns))
            tops.append(total)
        self._tops = tops

    def _limits(self) -> None:
        height = self.viewport().height()
        bar = self.verticalScrollBar()
        self._moving = True
        bar.setPageStep(height)
        bar.setRange(0, max(0, self._tops[-1] * ROW + 2 * _TOP - height))
        wide = self.horizontalScrollBar()
        longest = 0 if self.wrap else max((len(one.text) for one in self._lines), default=0)
        room = self.viewport().width()
        wide.setPageStep(room)
        wide.setRange(0, max(0, int(self._text_x() + longest * self._advance() + 16 - room)))
        self._moving = False

    def set_wrap(self, wrap: bool) -> None:
        """Break long lines, or scroll sideways."""
        self.wrap = wrap
        self._measure()
        self._limits()
        if self.following:
            self.to_end()
        self.viewport().update()

    # -- places ----------------------------------------------------------------------------

    def _advance(self) -> float:
        return metrics(_SIZE, mono=True).horizontalAdvance("0")

    def _text_x(self) -> float:
        return _MARGIN + _CLOCK * self._advance() + 16

    def resizeEvent(self, event: QResizeEvent) -> None:
        room = self.viewport().width() - self._text_x() - 14
        columns = max(16, int(room / self._advance()))
        if columns != self._columns:
            self._columns = columns
            self._measure()
        self._limits()
        if self.following:
            self.to_end()

    def to_end(self) -> None:
        """Go to the newest line and follow."""
        bar = self.verticalScrollBar()
        self._moving = True
        bar.setValue(bar.maximum())
        self._moving = False
        self.unseen = 0
        self._follow(True)

    def _follow(self, follow: bool) -> None:
        if follow != self.following:
            self.following = follow
            self.following_changed.emit(follow)

    def _scrolled(self, value: int) -> None:
        if not self._moving:
            at_end = value >= self.verticalScrollBar().maximum() - 2
            if at_end:
                self.unseen = 0
            self._follow(at_end)
        self.viewport().update()

    # -- searching -------------------------------------------------------------------------

    def search(self, needle: str) -> list[int]:
        """Mark a text; returns the numbers of the lines that have it."""
        self._needle = needle.lower()
        self._found = None
        self.viewport().update()
        if not needle:
            return []
        low = self._needle
        return [number for number, line in enumerate(self._lines) if low in line.text.lower()]

    def reveal(self, number: int) -> None:
        """Scroll to a line and frame its first match."""
        if not 0 <= number < len(self._lines):
            return
        at = self._lines[number].text.lower().find(self._needle)
        self._found = (number, at)
        y = self._tops[number] * ROW
        bar = self.verticalScrollBar()
        bar.setValue(max(0, y - self.viewport().height() // 2))
        self._follow(bar.value() >= bar.maximum() and bar.maximum() == 0)
        self.viewport().update()

    # -- drawing ---------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        offset = self.verticalScrollBar().value() - _TOP
        first = max(0, bisect_right(self._tops, max(0, offset) // ROW) - 1)
        height = self.viewport().height()
        number = first
        while number < len(self._lines):
            y = self._tops[number] * ROW - offset
            if y > height:
                break
            self._draw(painter, number, y)
            number += 1
        painter.end()

    def _draw(self, painter: QPainter, number: int, y: float) -> None:
        c = colors()
        line = self._lines[number]
        rows = self._tops[number + 1] - self._tops[number]
        width = self.viewport().width()
        area = QRectF(0, y, width, rows * ROW)
        if self._selected(number):
            painter.fillRect(area, qcolor(c.selected))
        elif line.level is Level.ERROR:
            painter.fillRect(area, qcolor(c.err_soft))
            painter.fillRect(QRectF(0, y, 2, rows * ROW), qcolor(c.err_dot))
        elif line.level is Level.WARN:
            painter.fillRect(QRectF(0, y, 2, rows * ROW), qcolor(c.warn_dot))
        shift = self.horizontalScrollBar().value()
        painter.setFont(font(_SIZE, mono=True))
        base = metrics(_SIZE, mono=True)
        down = (ROW - base.height()) / 2 + base.ascent()
        painter.setPen(qcolor(c.text3))
        if line.time:
            painter.drawText(QPointF(_MARGIN - shift, y + down), line.clock)
        text_x = self._text_x() - shift
        starts = breaks(line.text, self._columns) if rows > 1 else [0]
        ends = [*starts[1:], len(line.text)]
        self._marks(painter, number, line, y, text_x, starts)
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            self._segment(painter, line, start, end, text_x, y + row * ROW + down)

    def _segment(
        self, painter: QPainter, line: Line, start: int, end: int, x: float, y: float
    ) -> None:
        """Draw the characters from `start` to `end`, colour by colour."""
        c = colors()
        advance = self._advance()
        base = c.text2 if line.level is Level.DEBUG else c.text
        at = start
        last = min(end, len(line.text))
        runs: list[tuple[int, int, str, bool]] = []
        for span in line.spans:
            if span.end <= at or span.start >= last:
                continue
            if span.start > at:
                runs.append((at, span.start, base, False))
            stop = min(span.end, last)
            runs.append((max(span.start, at), stop, getattr(c, span.token), span.bold))
            at = stop
        if at < last:
            runs.append((at, last, base, False))
        for begin, stop, color, bold in runs:
            painter.setFont(font(_SIZE, 600 if bold else 400, mono=True))
            painter.setPen(qcolor(color))
            painter.drawText(QPointF(x + (begin - start) * advance, y), line.text[begin:stop])

    def _marks(
        self, painter: QPainter, number: int, line: Line, y: float, x: float, starts: list[int]
    ) -> None:
        if not self._needle:
            return
        c = colors()
        advance = self._advance()
        low = line.text.lower()
        at = low.find(self._needle)
        while at >= 0:
            left = at
            while left < at + len(self._needle):
                row = bisect_right(starts, left) - 1
                column = left - starts[row]
                last = starts[row + 1] if row + 1 < len(starts) else len(low)
                count = min(at + len(self._needle), last) - left
                rect = QRectF(x + column * advance, y + row * ROW + 1, count * advance, ROW - 2)
                edge = c.warn_dot if self._found == (number, at) else ""
                rounded(painter, rect, 2, c.mark, edge)
                left += count
            at = low.find(self._needle, at + len(self._needle))

    # -- selecting -------------------------------------------------------------------------

    def _selected(self, number: int) -> bool:
        if self._selection is None:
            return False
        low, high = sorted(self._selection)
        return low <= number <= high

    def _line_at(self, y: float) -> int:
        row = int(max(0.0, y + self.verticalScrollBar().value() - _TOP) // ROW)
        return min(len(self._lines) - 1, max(0, bisect_right(self._tops, row) - 1))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and self._lines:
            number = self._line_at(event.position().y())
            shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            start = self._selection[0] if shift and self._selection else number
            self._selection = (start, number)
            self.viewport().update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton and self._selection:
            self._selection = (self._selection[0], self._line_at(event.position().y()))
            self.viewport().update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        bar = self.verticalScrollBar()
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.matches(QKeySequence.StandardKey.SelectAll) and self._lines:
            self._selection = (0, len(self._lines) - 1)
            self.viewport().update()
        elif event.key() == Qt.Key.Key_Escape and self._selection:
            self._selection = None
            self.viewport().update()
        elif event.key() == Qt.Key.Key_End:
            self.to_end()
        elif event.key() == Qt.Key.Key_Home:
            bar.setValue(0)
        else:
            super().keyPressEvent(event)

    def text(self) -> str:
        """The selected lines, else all."""
        lines = self._lines
        if self._selection is not None:
            low, high = sorted(self._selection)
            lines = lines[low : high + 1]
        return "\n".join(line.text for line in lines)

    def copy(self) -> None:
        """Put the selected lines on the clipboard."""
        QApplication.clipboard().setText(self.text())
