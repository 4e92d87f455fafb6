"""The scheme in force. Painting asks `colors()` each time, so a switch needs an update only."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from desktop.ui.theme.tokens import DARK, LIGHT, Tokens, more_contrast


class Theme(QObject):
    """Holds the tokens, follows the system's scheme and tells when they change."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.tokens = LIGHT
        self.chosen = ""

    def follow(self, app: QApplication) -> None:
        """Use the system's scheme from now on, also when it switches."""
        hints = app.styleHints()
        hints.colorSchemeChanged.connect(lambda _scheme: self._take(self.chosen))
        self.use(self.chosen)

    def use(self, choice: str) -> None:
        """Choose `light`, `dark` or, with an empty text, what the system says."""
        self.chosen = choice
        hints = QGuiApplication.styleHints()
        scheme = {"dark": Qt.ColorScheme.Dark, "light": Qt.ColorScheme.Light}
        # Web pages of extensions ask Qt, not us.
        hints.setColorScheme(scheme.get(choice, Qt.ColorScheme.Unknown))
        self._take(choice)

    def _take(self, choice: str) -> None:
        hints = QGuiApplication.styleHints()
        dark = choice == "dark" or (not choice and hints.colorScheme() is Qt.ColorScheme.Dark)
        tokens = DARK if dark else LIGHT
        access = hints.accessibility()
        if access.contrastPreference() is Qt.ContrastPreference.HighContrast:
            tokens = more_contrast(tokens)
        self.tokens = tokens
        app = QApplication.instance()
        if isinstance(app, QApplication):
            app.setPalette(palette(tokens))
            for widget in app.allWidgets():
                widget.update()
        self.changed.emit()


theme = Theme()


def colors() -> Tokens:
    """The tokens to paint with now."""
    return theme.tokens


@lru_cache(maxsize=512)
def qcolor(text: str, alpha: float = 1.0) -> QColor:
    """A shared QColor of a token's text; do not change it."""
    color = QColor(text)
    if alpha < 1.0:
        color.setAlphaF(alpha)
    return color


def palette(t: Tokens) -> QPalette:
    """Every role that Qt's own painting asks for."""
    made = QPalette()
    role = QPalette.ColorRole
    for name, value in (
        (role.Window, t.window),
        (role.WindowText, t.text),
        (role.Base, t.window),
        (role.AlternateBase, t.inset),
        (role.Text, t.text),
        (role.Button, t.raised),
        (role.ButtonText, t.text),
        (role.BrightText, t.on),
        (role.ToolTipBase, t.raised),
        (role.ToolTipText, t.text),
        (role.PlaceholderText, t.text3),
        (role.Highlight, t.accent),
        (role.HighlightedText, t.on),
        (role.Link, t.link),
        (role.LinkVisited, t.link),
        (role.Accent, t.accent),
        (role.Light, t.hover),
        (role.Midlight, t.line),
        (role.Mid, t.line2),
        (role.Dark, t.off),
        (role.Shadow, t.line2),
    ):
        made.setColor(name, qcolor(value))
    for name in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, name, qcolor(t.off))
    return made


class _Surface(QObject):
    """Keeps a widget's background at a token's colour; lives and goes with the widget."""

    def __init__(self, widget: QWidget, role: str) -> None:
        super().__init__(widget)
        self._widget, self._role = widget, role
        theme.changed.connect(self.refresh)

    def refresh(self) -> None:
        """Take the colour of the scheme in force."""
        made = self._widget.palette()
        made.setColor(QPalette.ColorRole.Window, qcolor(getattr(colors(), self._role)))
        self._widget.setPalette(made)


def paint_surface(widget: QWidget, role: str) -> None:
    """Give a plain container widget the surface `role` (a token's name), also after a switch."""
    widget.setAutoFillBackground(True)
    _Surface(widget, role).refresh()
