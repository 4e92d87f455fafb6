"""Drawing shared by delegates and widgets; all in points, hairlines on whole device pixels."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QFontMetricsF, QPainter, QPainterPath, QPen

from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, qcolor
from desktop.ui.theme.fonts import font, metrics

LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
CENTER = Qt.AlignmentFlag.AlignCenter


def rounded(
    painter: QPainter,
    rect: QRectF,
    radius: float,
    fill: str = "",
    stroke: str = "",
    width: float = 1.0,
) -> None:
    """A rounded rectangle; the stroke lies inside `rect`."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QBrush(qcolor(fill)) if fill else Qt.BrushStyle.NoBrush)
    if stroke:
        painter.setPen(QPen(qcolor(stroke), width))
        half = width / 2
        rect = rect.adjusted(half, half, -half, -half)
        radius = max(0.0, radius - half)
    else:
        painter.setPen(Qt.PenStyle.NoPen)
    painter.drawRoundedRect(rect, radius, radius)


def line(painter: QPainter, x: float, y: float, width: float, height: float, color: str) -> None:
    """A hairline as a filled rectangle, which stays sharp at every ratio."""
    painter.fillRect(QRectF(x, y, width, height), qcolor(color))


def text(
    painter: QPainter,
    rect: QRectF,
    value: str,
    color: str,
    *,
    size: float = 13,
    weight: int = 400,
    mono: bool = False,
    align: Qt.AlignmentFlag = LEFT,
    elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
) -> float:
    """One line of text, elided to fit; returns the width that it took."""
    tabular = bool(align & Qt.AlignmentFlag.AlignRight)
    measure = metrics(size, weight, mono=mono, tabular=tabular)
    width = measure.horizontalAdvance(value)
    if width > rect.width():
        value = measure.elidedText(value, elide, rect.width())
        width = measure.horizontalAdvance(value)
    painter.setFont(font(size, weight, mono=mono, tabular=tabular))
    painter.setPen(qcolor(color))
    painter.drawText(rect, int(align) | int(Qt.TextFlag.TextSingleLine), value)
    return width


def name_and_tag(
    painter: QPainter, rect: QRectF, name: str, tag: str, color: str, tag_color: str
) -> float:
    """A reference: the path gives way in its middle, never the tag. Returns the width."""
    bold, plain = metrics(13, 500), metrics(13)
    tail = f":{tag}" if tag else ""
    tail_width = plain.horizontalAdvance(tail)
    room = rect.width() - tail_width
    shown = elide_path(name, bold, max(room, 40))
    width = text(painter, rect, shown, color, weight=500)
    rest = rect.adjusted(width, 0, 0, 0)
    return width + text(painter, rest, tail, tag_color)


def elide_path(name: str, measure: QFontMetricsF, room: float) -> str:
    """Shorten the first part of `registry/path/name` before the last one."""
    if measure.horizontalAdvance(name) <= room:
        return name
    head, slash, tail = name.rpartition("/")
    if not slash:
        return measure.elidedText(name, Qt.TextElideMode.ElideMiddle, room)
    rest = room - measure.horizontalAdvance("/" + tail)
    if rest < measure.horizontalAdvance("m…"):
        return measure.elidedText(name, Qt.TextElideMode.ElideMiddle, room)
    return measure.elidedText(head, Qt.TextElideMode.ElideRight, rest) + "/" + tail


def state_mark(painter: QPainter, center: QPointF, mark: str) -> None:
    """The mark of a state, told apart by shape too.

    running: disc; stopped: ring; failed: square with a cross; warning: triangle; starting: amber
    disc; paused: two bars; stale: dashed ring.
    """
    c = colors()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if mark in ("running", "starting", "notrunning"):
        fill = {"running": c.ok_dot, "starting": c.warn_dot, "notrunning": c.err_dot}[mark]
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(qcolor(fill))
        painter.drawEllipse(center, 4, 4)
    elif mark in ("stopped", "stale"):
        pen = QPen(qcolor(c.off), 1.5)
        if mark == "stale":
            pen.setDashPattern([1.2, 1.2])
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(center, 3.5, 3.5)
    elif mark == "paused":
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(qcolor(c.link))
        for x in (-3.5, 1.0):
            painter.drawRoundedRect(QRectF(center.x() + x, center.y() - 4, 2.5, 8), 0.8, 0.8)
    elif mark == "failed":
        rounded(painter, QRectF(center.x() - 5, center.y() - 5, 10, 10), 2.5, c.err_dot)
        pen = QPen(qcolor(c.window), 1.4)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        x, y = center.x(), center.y()
        painter.drawLine(QPointF(x - 2, y - 2), QPointF(x + 2, y + 2))
        painter.drawLine(QPointF(x - 2, y + 2), QPointF(x + 2, y - 2))
    elif mark == "warning":
        icons.draw(painter, "triangle-alert", c.warn_dot, center.x() - 6.5, center.y() - 7, 13)


def spinner(painter: QPainter, center: QPointF, radius: float, phase: float, width: float) -> None:
    """An arc that goes round; `phase` is in turns."""
    c = colors()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    rect = QRectF(center.x() - radius, center.y() - radius, radius * 2, radius * 2)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(qcolor(c.track), width))
    painter.drawEllipse(rect)
    pen = QPen(qcolor(c.chart), width)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.drawArc(rect, int(90 * 16 - (phase % 1.0) * 360 * 16), -100 * 16)


def meter(painter: QPainter, rect: QRectF, fraction: float, color: str = "") -> None:
    """A bar on a track; what is there at all stays visible."""
    c = colors()
    radius = rect.height() / 2
    rounded(painter, rect, radius, c.track)
    if fraction > 0:
        width = max(rect.height(), rect.width() * min(1.0, fraction))
        filled = QRectF(rect.x(), rect.y(), width, rect.height())
        rounded(painter, filled, radius, color or c.chart)


def chip(painter: QPainter, x: float, middle: float, value: str, color: str, fill: str) -> float:
    """A small label; returns its width."""
    width = metrics(11, 500).horizontalAdvance(value) + 12
    rect = QRectF(x, middle - 9, width, 18)
    rounded(painter, rect, 5, fill)
    text(painter, rect, value, color, size=11, weight=500, align=CENTER)
    return width


def graph(
    painter: QPainter,
    rect: QRectF,
    values: list[float],
    top: float,
    slots: int,
    color: str,
    *,
    fill: bool = True,
    width: float = 1.25,
) -> None:
    """Values as a line over a light area, the newest at the right; `slots` fill the width."""
    if not values or top <= 0 or slots < 2:
        return
    step = rect.width() / (slots - 1)
    left = rect.right() - step * (len(values) - 1)
    points = [
        QPointF(left + i * step, rect.bottom() - min(1.0, max(0.0, v) / top) * rect.height())
        for i, v in enumerate(values)
    ]
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    path = QPainterPath(points[0])
    for point in points[1:]:
        path.lineTo(point)
    if fill:
        area = QPainterPath(path)
        area.lineTo(rect.right(), rect.bottom())
        area.lineTo(points[0].x(), rect.bottom())
        area.closeSubpath()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(qcolor(color, 0.15))
        painter.drawPath(area)
    pen = QPen(qcolor(color), width)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPath(path)


def nice_top(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten at or above `value`."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    for factor in (1, 2, 5, 10):
        if value <= factor * power:
            return factor * power
    return 10 * power


def text_width(
    value: str, size: float = 13, weight: int = 400, *, mono: bool = False, tabular: bool = False
) -> float:
    """How wide one line is; `tabular` for text that is drawn at the right."""
    return metrics(size, weight, mono=mono, tabular=tabular).horizontalAdvance(value)


__all__ = ["CENTER", "LEFT", "RIGHT", "chip", "elide_path", "graph", "line", "meter"]
__all__ += ["name_and_tag", "nice_top", "rounded", "spinner", "state_mark", "text", "text_width"]
