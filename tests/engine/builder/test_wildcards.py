"""Patterns of `${x#...}` and `${x/...}`."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.builder.wildcards import PatternError, Wildcard


@pytest.mark.parametrize(
    ("pattern", "text", "shortest", "longest"),
    [
        ("*", "abc", 0, 3),
        ("a*", "abc", 1, 3),
        ("*b", "abab", 2, 4),
        ("a?", "abc", 2, 2),
        ("?", "", None, None),
        (r"\*", "*x", 1, 1),
        (r"\?\\", "?\\", 2, 2),
        (r"\}\/", "}/", 2, 2),
        ("()[]{}^$.|+", "()[]{}^$.|+", 11, 11),
        ("*a*b", "xaxbxb", 4, 6),
        ("a*", "a\nb", 1, 1),
        ("*\nb", "a\nb", 3, 3),
        ("?", "\n", None, None),
    ],
)
def test_prefix(pattern: str, text: str, shortest: int | None, longest: int | None) -> None:
    wildcard = Wildcard.parse(pattern)
    assert wildcard.prefix(text, longest=False) == shortest
    assert wildcard.prefix(text, longest=True) == longest


@pytest.mark.parametrize("pattern", ["\\", "\\x", "a\\\\\\"])
def test_escapes_that_mean_nothing(pattern: str) -> None:
    with pytest.raises(PatternError):
        Wildcard.parse(pattern)


@settings(max_examples=60, deadline=None)
@given(st.text("ab*?\n", max_size=6), st.text("ab\n", max_size=10))
def test_agrees_with_regular_expressions(pattern: str, text: str) -> None:
    """Leftmost, and greedy or not: what a backtracking search finds."""

    def regex(star: str) -> re.Pattern[str]:
        parts = {"*": star, "?": "."}
        return re.compile("".join(parts.get(each, re.escape(each)) for each in pattern))

    wildcard = Wildcard.parse(pattern)
    shortest, longest = regex(".*?").match(text), regex(".*").match(text)
    assert wildcard.prefix(text, longest=False) == (shortest and shortest.end())
    assert wildcard.prefix(text, longest=True) == (longest and longest.end())
    first = regex(".*").search(text)
    assert next(wildcard.matches(text), None) == (first and first.span())
