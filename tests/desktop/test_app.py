"""The window's entry point without a display."""

from __future__ import annotations

import pytest

from desktop import app


def test_no_display_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert app.main([]) == 1
    said = capsys.readouterr().err
    assert "no display" in said and "cove start" in said
