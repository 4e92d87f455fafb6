"""Signal names as Docker's clients send them."""

import signal

from engine.errors import BadRequest

RTMIN, RTMAX = 34, 64


def parse_signal(text: str) -> int:
    """`KILL`, `SIGKILL`, `9`, `RTMIN+3` -> number. Raises BadRequest."""
    word = text.strip().upper()
    if word.isdecimal():
        number = int(word)
        if 0 < number <= RTMAX:
            return number
        if number:
            raise BadRequest(f"the linux daemon does not support signal {number}")
        raise BadRequest(f"invalid signal: {text}")
    word = word.removeprefix("SIG")
    for base, start in (("RTMIN", RTMIN), ("RTMAX", RTMAX)):
        if word.startswith(base):
            rest = word.removeprefix(base)
            number = start + int(rest or 0) if rest.lstrip("+-").isdecimal() or not rest else 0
            if RTMIN <= number <= RTMAX:
                return number
    found = getattr(signal, f"SIG{word}", None)
    if isinstance(found, signal.Signals):
        return int(found)
    raise BadRequest(f"invalid signal: {text}")


def stop_signal(config: dict[str, object]) -> int:
    """The signal that stops a container with this config; SIGTERM unless it says otherwise."""
    asked = config.get("StopSignal")
    try:
        return parse_signal(asked) if isinstance(asked, str) and asked else int(signal.SIGTERM)
    except BadRequest:
        return int(signal.SIGTERM)
