"""Paints the container list: state, name, image, ports, graph, numbers, and actions on hover."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPixmap

from desktop.client import words
from desktop.client.rows import Port, Sample, State
from desktop.ui.containers.rows import Group, Row
from desktop.ui.session import HISTORY
from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, qcolor
from desktop.ui.theme.paint import (
    RIGHT,
    graph,
    spinner,
    state_mark,
    text,
    text_width,
)
from desktop.ui.widgets.rows import RowDelegate, RowList, RowState

TWO_LINES, GROUP = 46, 34
_TEXT_X, _MARK_X, _EDGE = 40, 24, 20
_GRAPH = 56
_NUMBERS = 62
_STEP = 28
_LEAST_TOP = 0.05
ACTIONS = {
    "logs": "scroll-text",
    "restart": "rotate-cw",
    "stop": "square",
    "start": "play",
    "resume": "play",
    "remove": "trash-2",
    "more": "ellipsis",
}
_TIPS = {
    "logs": "Logs (Ctrl+L)",
    "restart": "Restart (Ctrl+R)",
    "stop": "Stop (Ctrl+.)",
    "start": "Start",
    "resume": "Resume",
    "remove": "Remove (Delete)",
    "more": "More actions",
}


def actions_of(row: Row) -> tuple[str, ...]:
    """The actions that a row offers at its right end."""
    if row.busy or row.stale:
        return ()
    if row.container.state is State.PAUSED:
        return ("logs", "resume", "stop", "more")
    if row.container.running:
        return ("logs", "restart", "stop", "more")
    return ("logs", "start", "remove", "more")


class Delegate(RowDelegate):
    """The delegate of the container list; `samples` are the session's."""

    def __init__(self, view: RowList, samples: dict[str, deque[Sample]]) -> None:
        super().__init__(view)
        self._samples = samples
        self.narrow = False
        self._graphs: OrderedDict[tuple[object, ...], QPixmap] = OrderedDict()

    def height(self, item: Any) -> int:
        return GROUP if isinstance(item, Group) else TWO_LINES

    def plain(self, item: Any) -> bool:
        return isinstance(item, Group)

    def paint_row(self, painter: QPainter, rect: QRectF, item: Any, state: RowState) -> None:
        if isinstance(item, Group):
            self._group(painter, rect, item)
        elif isinstance(item, Row):
            self._container(painter, rect, item, state)

    def _group(self, painter: QPainter, rect: QRectF, group: Group) -> None:
        c = colors()
        name = "chevron-right" if group.folded else "chevron-down"
        icons.draw(painter, name, c.text2, rect.x() + 11, rect.center().y() - 6.5, 14)
        x = rect.x() + 31
        count = f"{group.running} of {group.total}"
        room = rect.right() - _EDGE - text_width(count, 12, tabular=True) - 10
        area = QRectF(x, rect.y(), max(0.0, room - x), rect.height())
        used = text(painter, area, group.title, c.text, weight=600)
        rest = area.adjusted(used + 8, 0, 0, 0)
        if group.path and rest.width() > 40:
            middle = Qt.TextElideMode.ElideMiddle
            text(painter, rest, group.path, c.text3, size=12, elide=middle)
        edge = rect.adjusted(0, 0, -_EDGE, 0)
        text(painter, edge, count, c.text3, size=12, align=RIGHT)

    def _container(self, painter: QPainter, rect: QRectF, row: Row, state: RowState) -> None:
        c = colors()
        one = row.container
        mark = QPointF(rect.x() + _MARK_X, rect.center().y())
        if row.busy:
            spinner(painter, mark, 5, state.phase, 1.75)
        else:
            state_mark(painter, mark, row.mark)
        right = self._right(painter, rect, row, state)
        area = QRectF(rect.x() + _TEXT_X, rect.y() + 5, right - rect.x() - _TEXT_X - 10, 18)
        dull = row.stale or not one.running
        name = c.text3 if row.stale else c.text2 if dull else c.text
        text(painter, area, one.name, name, weight=500)
        line, token = row.second
        color = c.text3 if row.stale else getattr(c, token)
        text(painter, area.translated(0, 18), line, color, size=12)

    def _right(self, painter: QPainter, rect: QRectF, row: Row, state: RowState) -> float:
        """Draw the right end; returns where the text has to stop."""
        c = colors()
        places = self.parts(rect, row, state)
        actions = [place for place in places if place[0] in ACTIONS]
        links = [place for place in places if place[0] not in ACTIONS]
        for part, place in links:
            color = c.text3 if row.stale else c.link
            text(painter, place, part, color, weight=500, align=RIGHT)
            if part == state.part:
                width = text_width(part, 13, 500)
                under = QRectF(place.right() - width, place.center().y() + 8, width, 1)
                painter.fillRect(under, color)
        edge = rect.right() - _EDGE
        if actions:
            self.action_icons(painter, actions, ACTIONS, state)
            stop = actions[0][1].x()
        elif row.container.running:
            stop = self._numbers(painter, rect, row)
        else:
            width = text_width(row.instead, 12)
            area = QRectF(edge - width - 1, rect.y(), width + 1, rect.height())
            text(painter, area, row.instead, c.text3 if row.stale else c.text2, size=12)
            stop = area.x()
        return min([stop, *(place.x() for _, place in links)])

    def _numbers(self, painter: QPainter, rect: QRectF, row: Row) -> float:
        c = colors()
        edge = rect.right() - _EDGE
        history = self._samples.get(row.key)
        column = QRectF(edge - _NUMBERS, rect.y() + 5, _NUMBERS, 18)
        if history:
            last = history[-1]
            cpu = c.text3 if row.stale else c.text
            text(painter, column, words.percent(last.cpu), cpu, size=12, align=RIGHT)
            below = column.translated(0, 18)
            memory = words.size(last.memory)
            text(painter, below, memory, c.text3 if row.stale else c.text2, size=12, align=RIGHT)
            if not self.narrow:
                self._sparkline(painter, QRectF(self._graph_x(rect), rect.y(), _GRAPH, 46), row)
        return self._graph_x(rect) if not self.narrow else column.x()

    def _graph_x(self, rect: QRectF) -> float:
        return rect.right() - _EDGE - _NUMBERS - _GRAPH

    def _sparkline(self, painter: QPainter, area: QRectF, row: Row) -> None:
        c = colors()
        history = self._samples[row.key]
        color = c.off if row.stale else c.warn_dot if row.mark == "warning" else c.chart
        device = painter.device()
        ratio = device.devicePixelRatioF() if device else 1.0
        key = (row.key, color, ratio, len(history), history[-1])
        found = self._graphs.get(key)
        if found is None:
            found = QPixmap(int(_GRAPH * ratio), int(24 * ratio))
            found.setDevicePixelRatio(ratio)
            found.fill(Qt.GlobalColor.transparent)
            inner = QPainter(found)
            inner.fillRect(QRectF(1, 22, _GRAPH - 2, 1), qcolor(c.line2))
            # Half a point a second is too dense to read: the higher of each two.
            cpu = [one.cpu for one in history]
            values = [max(cpu[at : at + 2]) for at in range(len(cpu) % 2, len(cpu), 2)] or cpu
            top = max(max(values), _LEAST_TOP) * 1.1
            graph(inner, QRectF(1, 2, _GRAPH - 2, 20), values, top, HISTORY // 2, color)
            inner.end()
            self._graphs[key] = found
            while len(self._graphs) > 64:
                self._graphs.popitem(last=False)
        painter.drawPixmap(QPointF(area.x(), area.y() + 12), found)

    # -- hit areas -------------------------------------------------------------------------

    def parts(self, rect: QRectF, item: Any, state: RowState) -> list[tuple[str, QRectF]]:
        if isinstance(item, Group):
            return [("fold", rect)]
        places = []
        edge = rect.right() - _EDGE
        if state.active and actions_of(item):
            names = actions_of(item)
            x = edge + 2 - _STEP * len(names)
            for number, name in enumerate(names):
                side = QRectF(x + number * _STEP, rect.center().y() - 13, 26, 26)
                places.append((name, side))
            right = x - 12
        elif item.container.running:
            right = (edge - _NUMBERS if self.narrow else self._graph_x(rect)) - 12
        else:
            right = edge - text_width(item.instead, 12) - 12
        return places + self._links(rect, item.container.ports, right)

    def _links(
        self, rect: QRectF, ports: tuple[Port, ...], right: float
    ) -> list[tuple[str, QRectF]]:
        """Published ports from the right, as many as leave the name half of the row."""
        places: list[tuple[str, QRectF]] = []
        public = [port for port in ports if port.public]
        for port in public[: 1 if self.narrow else 2][::-1]:
            label = f":{port.public}"
            width = text_width(label, 13, 500)
            if right - width < rect.x() + rect.width() * 0.42:
                continue
            places.append((label, QRectF(right - width - 8, rect.center().y() - 12, width + 8, 24)))
            right -= width + 12
        return places

    def part_tip(self, item: Any, part: str) -> str:
        if part.startswith(":") and isinstance(item, Row):
            port = port_of(item, part)
            return f"Open {port.url}" if port and port.url else f"Published on {part[1:]}"
        return _TIPS.get(part, "")


def port_of(row: Row, part: str) -> Port | None:
    """The port that a link stands for."""
    return next((p for p in row.container.ports if f":{p.public}" == part), None)
