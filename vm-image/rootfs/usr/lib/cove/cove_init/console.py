"""What PID 1 says on the console; the host's agent reads it to know how the start goes."""

from __future__ import annotations

import os

PREFIX = "cove: "


def line(text: str) -> None:
    """One line, whatever bytes stand in it; a console that is gone is no reason to die."""
    try:
        os.write(2, text.replace("\n", " ").encode(errors="replace") + b"\n")
    except OSError:
        return


def say(text: str) -> None:
    """A line of PID 1's own that isn't about one of the named parts."""
    line(PREFIX + text)


def ok(name: str, detail: str = "") -> None:
    """A part of the start is done: `cove: NAME ok [DETAIL]`."""
    line(f"{PREFIX}{name} ok {detail}".rstrip())


def failed(name: str, reason: str, hint: str) -> None:
    """A part of the start failed: `cove: NAME failed REASON | HINT`."""
    line(f"{PREFIX}{name} failed {reason} | {hint}")
