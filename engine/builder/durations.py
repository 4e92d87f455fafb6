"""Times and counts of a HEALTHCHECK's flags."""

import re

from engine.builder.errors import DockerfileError
from engine.builder.text import quote
from engine.errors import BadRequest
from engine.times import parse_duration

_SHORTEST = 1_000_000  # ns
_LONGEST = (1 << 63) - 1
_BARE = re.compile(r"[-+]?[0-9]*\.?[0-9]+", re.ASCII)
_UNKNOWN_UNIT = re.compile(r"[-+]?[0-9]*\.?[0-9]+([^0-9.]+)", re.ASCII)
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_MOST_DIGITS = 64


def health_time(flag: str, text: str) -> int:
    """A duration (`1m30s`) in nanoseconds, "" is 0. Raises DockerfileError."""
    if not text:
        return 0
    duration = _duration(text)
    if duration and duration < _SHORTEST:
        raise DockerfileError(f"Interval {quote(flag)} cannot be less than 1ms")
    return duration


def _duration(text: str) -> int:
    try:
        duration = parse_duration(text if text.isascii() or "µ" in text else "")
    except BadRequest as error:
        raise DockerfileError(_reason(text)) from error
    except OverflowError as error:
        raise DockerfileError(f"time: invalid duration {quote(text)}") from error
    if abs(duration) > _LONGEST:
        raise DockerfileError(f"time: invalid duration {quote(text)}")
    return duration


def _reason(text: str) -> str:
    if _BARE.fullmatch(text):
        return f"time: missing unit in duration {quote(text)}"
    if match := _UNKNOWN_UNIT.fullmatch(text):
        return f"time: unknown unit {quote(match[1])} in duration {quote(text)}"
    return f"time: invalid duration {quote(text)}"


def retries(text: str) -> int:
    """A count, "" is 0. Raises DockerfileError."""
    if not text:
        return 0
    if not _INTEGER.fullmatch(text):
        raise DockerfileError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    if len(text) > _MOST_DIGITS or not -(1 << 31) <= int(text) < 1 << 31:
        raise DockerfileError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    if int(text) < 0:
        raise DockerfileError(f"--retries cannot be negative ({int(text)})")
    return int(text)
