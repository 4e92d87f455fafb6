"""Durations as `docker ps` words them."""


def human(seconds: float) -> str:
    """`2 hours`, `About a minute`, `Less than a second`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    for unit, length, limit in (("days", 24, 336), ("weeks", 168, 1440), ("months", 720, 17520)):
        if hours < limit:
            return f"{hours // length} {unit}"
    return f"{hours // 8760} years"
