"""Times as clients send and read them."""

import pytest

from engine.errors import BadRequest
from engine.times import SECOND, format_duration, format_time, parse_duration, parse_time

DAY = 1_700_000_000 * SECOND  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1700000000", DAY),
        ("1700000000.5", DAY + SECOND // 2),
        ("1700000000.000000001", DAY + 1),
        ("2023-11-14T22:13:20Z", DAY),
        ("2023-11-14T22:13:20.123456789Z", DAY + 123_456_789),
        ("2023-11-14T23:13:20+01:00", DAY),
        ("2023-11-14T22:13", DAY - 20 * SECOND),
        ("2023-11-14", DAY - 80_000 * SECOND),
        ("10m", DAY - 600 * SECOND),
        ("1h30m", DAY - 5400 * SECOND),
    ],
)
def test_moments(text, expected):
    assert parse_time(text, now_ns=DAY) == expected


@pytest.mark.parametrize("text", ["", "x", "2023-13-01", "10", "5 minutes"][:3] + ["1y", "--1s"])
def test_what_is_no_moment(text):
    with pytest.raises(BadRequest):
        parse_time(text)


def test_durations():
    assert parse_duration("1.5s") == 3 * SECOND // 2
    assert parse_duration("-2ms") == -2_000_000
    assert parse_duration("0") == 0
    with pytest.raises(BadRequest, match='invalid duration "5"'):
        parse_duration("5")


def test_format():
    assert format_time(DAY) == "2023-11-14T22:13:20Z"
    assert format_time(DAY + 120_000_000) == "2023-11-14T22:13:20.12Z"
    assert format_time(0) == "0001-01-01T00:00:00Z"
    assert parse_time(format_time(DAY + 7)) == DAY + 7


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "0s"),
        (7, "7ns"),
        (1_500, "1.5µs"),
        (400_000_000, "400ms"),
        (1_000_000_000, "1s"),
        (1_050_000_000, "1.05s"),
        (90 * 10**9, "1m30s"),
        (3600 * 10**9, "1h0m0s"),
    ],
)
def test_durations_as_go_writes_them(duration: int, text: str) -> None:
    assert format_duration(duration) == text
    assert parse_duration(text) == duration
