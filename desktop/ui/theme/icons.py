"""Lucide icons, drawn at the size and ratio asked for in the colour of the moment."""

from __future__ import annotations

import zipfile
from functools import lru_cache
from importlib import util
from pathlib import Path

from PySide6.QtCore import QByteArray, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from desktop.ui.theme.current import colors

# Lucide ships strokes of 2 on a grid of 24; at 16 points they look heavy.
_STROKE = "1.75"
_FILLED = frozenset({"square"})


@lru_cache(maxsize=1)
def _archive() -> zipfile.ZipFile | None:
    found = util.find_spec("lucide")
    if found is None or found.origin is None:
        return None
    return zipfile.ZipFile(Path(found.origin).parent / "lucide.zip")


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    archive = _archive()
    return frozenset(archive.namelist()) if archive else frozenset()


def exists(name: str) -> bool:
    """Whether Lucide has an icon of that name."""
    return f"{name}.svg" in _names()


@lru_cache(maxsize=256)
def _source(name: str) -> str:
    archive = _archive()
    if archive is None:
        return ""
    return archive.read(f"{name}.svg").decode("utf-8")


@lru_cache(maxsize=512)
def _renderer(name: str, color: str) -> QSvgRenderer:
    text = _source(name).replace('stroke-width="2"', f'stroke-width="{_STROKE}"')
    text = text.replace("currentColor", color)
    if name in _FILLED:
        text = text.replace('fill="none"', f'fill="{color}"')
    return QSvgRenderer(QByteArray(text.encode()))


@lru_cache(maxsize=1024)
def pixmap(name: str, color: str, size: float, ratio: float) -> QPixmap:
    """An icon as a pixmap of `size` points for a screen of `ratio` pixels a point."""
    pixels = max(1, round(size * ratio))
    made = QPixmap(pixels, pixels)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    _renderer(name, color).render(painter, QRectF(0, 0, pixels, pixels))
    painter.end()
    made.setDevicePixelRatio(ratio)
    return made


def draw(painter: QPainter, name: str, color: str, x: float, y: float, size: float = 16) -> None:
    """Draw an icon with its top left corner at `x`, `y`."""
    device = painter.device()
    ratio = device.devicePixelRatioF() if device else 1.0
    painter.drawPixmap(QPointF(x, y), pixmap(name, color, size, ratio))


class _Engine(QIconEngine):
    """Paints one Lucide icon in a token's colour; disabled in `off`."""

    def __init__(self, name: str, token: str) -> None:
        super().__init__()
        self._name, self._token = name, token

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        size = min(rect.width(), rect.height())
        x = rect.x() + (rect.width() - size) / 2
        y = rect.y() + (rect.height() - size) / 2
        draw(painter, self._name, self._color(mode), x, y, size)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return pixmap(self._name, self._color(mode), min(size.width(), size.height()), 1.0)

    def scaledPixmap(
        self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float
    ) -> QPixmap:
        side = min(size.width(), size.height())
        return pixmap(self._name, self._color(mode), side / scale, scale)

    def clone(self) -> QIconEngine:
        return _Engine(self._name, self._token)

    def _color(self, mode: QIcon.Mode) -> str:
        if mode is QIcon.Mode.Disabled:
            return colors().off
        return str(getattr(colors(), self._token))


def icon(name: str, token: str = "text2") -> QIcon:
    """An icon for menus and buttons that follows the scheme."""
    return QIcon(_Engine(name, token))
