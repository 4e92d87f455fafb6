"""Times of the API: what clients send as since/until, and what they read as timestamps."""

import re
import time

from engine.errors import BadRequest

SECOND = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_DURATION = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION_WHOLE = re.compile(r"[-+]?((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+")
_UNIX = re.compile(r"(-?\d+)(?:\.(\d+))?")
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d(?::\d\d(?::\d\d)?)?)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?"
)
ZERO = "0001-01-01T00:00:00Z"


def parse_duration(text: str) -> int:
    """Go's duration text ("1h30m", "500ms") in nanoseconds; BadRequest when it is none."""
    if text == "0":
        return 0
    if not _DURATION_WHOLE.fullmatch(text):
        raise BadRequest(f'time: invalid duration "{text}"')
    total = sum(
        round(float(number) * _UNITS[unit])
        for number, _, unit in _DURATION.findall(text.lstrip("+-"))
    )
    return -total if text.startswith("-") else total


def format_duration(duration_ns: int) -> str:
    """Go's text for a duration of no less than nothing: "400ms", "1.5s", "1m0s", "1h0m0s"."""
    for unit, length in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if duration_ns and duration_ns < length * 1_000:
            return f"{_plain(duration_ns, length)}{unit}"
    minutes, rest = divmod(duration_ns, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    text = f"{_plain(rest, SECOND)}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _plain(count: int, length: int) -> str:
    whole, rest = divmod(count, length)
    digits = str(length + rest)[1:].rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def parse_time(text: str, now_ns: int | None = None) -> int:
    """A moment in ns since the epoch: Unix seconds with fraction, RFC 3339 or its beginning,
    or a duration before now. BadRequest otherwise.
    """
    text = text.strip()
    if match := _UNIX.fullmatch(text):
        seconds, fraction = match.groups()
        return int(seconds) * SECOND + int((fraction or "").ljust(9, "0")[:9] or 0)
    if match := _RFC3339.fullmatch(text):
        return _parse_rfc3339(text, *match.groups())
    if _DURATION_WHOLE.fullmatch(text):
        return (time.time_ns() if now_ns is None else now_ns) - parse_duration(text)
    raise BadRequest(f'parsing time "{text}": it is neither a Unix time, RFC 3339 nor a duration')


def _parse_rfc3339(
    text: str, day: str, clock: str | None, fraction: str | None, zone: str | None
) -> int:
    import datetime  # rarely needed, and the engine's start pays for it

    clock = (clock or "00:00:00").ljust(2, "0")
    clock += ":00" * (2 - clock.count(":"))
    zone = "+00:00" if zone in (None, "Z") else zone
    try:
        moment = datetime.datetime.fromisoformat(f"{day}T{clock}{zone}")
    except ValueError as error:
        raise BadRequest(f'parsing time "{text}": {error}') from error
    return int(moment.timestamp()) * SECOND + int((fraction or ".")[1:].ljust(9, "0")[:9])


def format_time(time_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds as Go's RFC3339Nano prints it (no trailing zeros)."""
    if time_ns <= 0:
        return ZERO
    seconds, fraction = divmod(time_ns, SECOND)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    tail = f".{fraction:09d}".rstrip("0").rstrip(".")
    return f"{moment}{tail}Z"
