"""Type: Inter and JetBrains Mono where they are, else the desktop's fonts; tabular numbers."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import util
from pathlib import Path

from PySide6.QtGui import QFont, QFontDatabase, QFontMetricsF
from PySide6.QtWidgets import QApplication

NORMAL, MEDIUM, SEMIBOLD = 400, 500, 600


class _Families:
    sans = ""
    mono = ""
    scale = 1.0


def install(app: QApplication) -> None:
    """Load the fonts that are installed as packages and set the application's own."""
    families = set(QFontDatabase.families())
    if sys.platform == "darwin":
        _Families.sans = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).family()
    else:
        _Families.sans = _pick("Inter", "fontpkg_inter", families) or app.font().family()
    fixed = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family()
    _Families.mono = "SF Mono" if "SF Mono" in families else ""
    _Families.mono = _Families.mono or _pick("JetBrains Mono", "fontpkg_jetbrains_mono", families)
    _Families.mono = _Families.mono or fixed
    font.cache_clear()
    metrics.cache_clear()
    app.setFont(font(13))


def _pick(family: str, package: str, installed: set[str]) -> str:
    """`family` from the desktop, else from the font package's files, else nothing."""
    if family in installed:
        return family
    found = util.find_spec(package)
    if found is None or found.origin is None:
        return ""
    loaded = ""
    for file in sorted((Path(found.origin).parent / "files").glob("*.ttf")):
        if "Italic" in file.name:
            continue
        number = QFontDatabase.addApplicationFont(str(file))
        names = QFontDatabase.applicationFontFamilies(number) if number >= 0 else []
        loaded = loaded or (names[0] if names else "")
    return loaded


@lru_cache(maxsize=128)
def font(
    size: float = 13, weight: int = NORMAL, *, mono: bool = False, tabular: bool = False
) -> QFont:
    """A shared font at `size` pixels; do not change it. `tabular` lines digits up in columns."""
    made = QFont(_Families.mono if mono else _Families.sans)
    made.setPixelSize(round(size * _Families.scale))
    made.setWeight(QFont.Weight(weight))
    # A variable font has one style only: without the axis every weight looks the same.
    made.setVariableAxis(QFont.Tag("wght"), weight)
    if mono:
        made.setStyleHint(QFont.StyleHint.Monospace)
        made.setFeature(QFont.Tag("liga"), 0)
        made.setFeature(QFont.Tag("calt"), 0)
    elif tabular:
        made.setFeature(QFont.Tag("tnum"), 1)
    return made


@lru_cache(maxsize=128)
def metrics(
    size: float = 13, weight: int = NORMAL, *, mono: bool = False, tabular: bool = False
) -> QFontMetricsF:
    """The metrics of `font` with the same arguments."""
    return QFontMetricsF(font(size, weight, mono=mono, tabular=tabular))
