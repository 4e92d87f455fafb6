"""The colours keep their contrast on every surface."""

from __future__ import annotations

import pytest

from desktop.ui.theme.tokens import DARK, LIGHT, Tokens

_TEXT = ("text", "text2", "text3", "link", "ok", "warn", "err", "plum", "cyan")
_GRAPHICS = ("ok_dot", "warn_dot", "err_dot", "off", "focus", "chart")
_SURFACES = ("window", "sidebar", "inset", "raised", "hover", "press", "selected", "selected_idle")
_PAIRS = (
    ("on", "accent"),
    ("on", "accent_hover"),
    ("on", "danger"),
    ("ok", "ok_soft"),
    ("warn", "warn_soft"),
    ("err", "err_soft"),
    ("link", "info_soft"),
    ("plum", "plum_soft"),
    ("cyan", "cyan_soft"),
    ("text", "mark"),
)


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast(tokens: Tokens) -> None:
    for surface in _SURFACES:
        for name in _TEXT:
            assert contrast(getattr(tokens, name), getattr(tokens, surface)) >= 4.5, (name, surface)
        for name in _GRAPHICS:
            ratio = contrast(getattr(tokens, name), getattr(tokens, surface))
            assert ratio >= 2.95, (name, surface, ratio)
    for ink, paper in _PAIRS:
        assert contrast(getattr(tokens, ink), getattr(tokens, paper)) >= 4.5, (ink, paper)
