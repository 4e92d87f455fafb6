"""Numbers as people read them."""

from __future__ import annotations

import pytest

from desktop.client import words


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (-1, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (96_400_000, "96 MB"),
        (999_600_000, "1.00 GB"),
        (1_770_000_000, "1.77 GB"),
        (12_340_000_000, "12 GB"),
    ],
)
def test_size_has_three_digits_at_most(count: int, said: str) -> None:
    assert words.size(count) == said


def test_percent_keeps_a_digit_below_ten() -> None:
    assert words.percent(0.18) == "18 %"
    assert words.percent(0.042) == "4.2 %"
    assert words.percent(0.0999) == "10 %"


def test_age_is_in_one_unit() -> None:
    assert words.age(1000, now=1010) == "now"
    assert words.age(0, now=3 * 604_800) == "3 wk"
    assert words.age(0, now=7300) == "2 h"


def test_uptime_is_in_two_units() -> None:
    assert words.uptime(12) == "12 s"
    assert words.uptime(8040) == "2 h 14 min"
    assert words.uptime(3 * 86_400 + 4 * 3600) == "3 d 4 h"


def test_lists_and_counts() -> None:
    assert words.listed(("a", "b")) == "a, b"
    assert words.listed(("a", "b", "c", "d", "e"), 3) == "a, b and 3 more"
    assert words.count(1, "process", "processes") == "1 process"
    assert words.count(1248, "line") == "1,248 lines"
