"""Quoting, white space and guesses."""

from __future__ import annotations

import pytest

from engine.builder.text import did_you_mean, quote, suggest, trim, trim_left


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", '"a b"'),
        ('"\\', r'"\"\\"'),
        ("\n\t\r\a\b\f\v", r'"\n\t\r\a\b\f\v"'),
        ("\x00\x7f", r'"\x00\x7f"'),
        ("é塔", '"é塔"'),
        ("\u200b\U000e0001", r'"\u200b\U000e0001"'),
    ],
)
def test_quote(text: str, expected: str) -> None:
    assert quote(text) == expected


def test_suggest() -> None:
    names = ("FROM", "RUN", "COPY")
    assert suggest("FRM", names) == "FROM"
    assert suggest("frm", names) == ""
    assert suggest("frm", names, any_case=True) == "from"
    assert suggest("Frm", names, any_case=True) == "FROM"
    assert suggest("from", names, any_case=True) == ""
    assert suggest("ENTIRELY", names) == ""
    assert suggest("x" * 1_000_000, names) == ""
    assert did_you_mean("COYP", names) == " (did you mean COPY?)"
    assert did_you_mean("RUN", names) == ""


def test_white_space_is_unicode_s() -> None:
    assert trim("\u3000 a\x1c \x85") == "a\x1c"
    assert trim_left("\xa0a ") == "a "
