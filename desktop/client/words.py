"""Numbers as people read them: Docker's decimal bytes, short ages, elided names."""

from __future__ import annotations

import time

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_AGES = (
    (31_536_000, "y"),
    (2_592_000, "mo"),
    (604_800, "wk"),
    (86_400, "d"),
    (3600, "h"),
    (60, "min"),
)


def size(count: float) -> str:
    """Bytes in decimal units, three digits at most: 1.77 GB, 96 MB; a dash below 0."""
    if count < 0:
        return "–"
    value = float(count)
    unit = 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value /= 1000
        unit += 1
    if unit == 0:
        return f"{value:.0f} B"
    digits = 2 if value < 9.995 and unit >= 3 else 1 if value < 9.95 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"


def rate(count: float) -> str:
    """Bytes a second."""
    return f"{size(max(0.0, count))}/s"


def percent(cores: float) -> str:
    """A share of one core as Docker prints it: 18 %, 4.2 %, 0.0 %."""
    value = cores * 100
    return f"{value:.0f} %" if value >= 9.95 else f"{value:.1f} %"


def seconds(value: float) -> str:
    """A short duration: 0.04 s, 3.4 s, 1 min 5 s."""
    if value < 0.995:
        return f"{value:.2f} s"
    if value < 59.95:
        return f"{value:.1f} s"
    return f"{int(value) // 60} min {int(value) % 60} s"


def age(then: float, now: float | None = None) -> str:
    """How long ago, in one unit: 6 d, 2 h, 3 wk, now."""
    passed = (time.time() if now is None else now) - then
    for length, unit in _AGES:
        if passed >= length:
            return f"{int(passed // length)} {unit}"
    return "now"


def uptime(passed: float) -> str:
    """A running time in at most two units: 2 h 14 min, 3 d 4 h, 12 s."""
    whole = int(passed)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        minutes = whole % 3600 // 60
        return f"{whole // 3600} h {minutes} min" if minutes else f"{whole // 3600} h"
    hours = whole % 86_400 // 3600
    return f"{whole // 86_400} d {hours} h" if hours else f"{whole // 86_400} d"


def moment(then: float) -> str:
    """An absolute local time for tooltips."""
    return time.strftime("%d %b %Y, %H:%M:%S", time.localtime(then)) if then > 0 else "never"


def count(number: int, noun: str, plural: str = "") -> str:
    """1 image, 3 images, 1,248 lines."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: tuple[str, ...] | list[str], limit: int = 3) -> str:
    """Some names as a phrase: a, b and 4 more."""
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[: limit - 1])} and {len(names) - limit + 1} more"
