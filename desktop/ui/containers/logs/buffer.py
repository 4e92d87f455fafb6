"""Lines of a log: escape sequences become spans, levels are found, the oldest go. No Qt."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from desktop.client.rows import LogLine

CAP = 100_000
# Dropped at once when the cap is reached, so that it does not happen for each line.
_SLACK = 5_000
_ESCAPE = re.compile(r"\x1b(?:\[([0-9;:]*)([A-Za-z])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_LEVEL = re.compile(
    r"\b(?:(fatal|panic|critical|error|err|severe)|(warn|warning)|(info|notice)|(debug|trace))\b",
    re.IGNORECASE,
)
_LOOK_AT = 64
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# SGR 30-37 and 90-97 as tokens: a terminal's eight colours in the window's own.
_TOKENS = ("text2", "err", "ok", "warn", "link", "plum", "cyan", "text")


class Level(IntEnum):
    """How loud a line is."""

    NONE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4


@dataclass(frozen=True)
class Span:
    """Characters `start` to `end` in a token's colour."""

    start: int
    end: int
    token: str
    bold: bool = False


@dataclass(frozen=True)
class Line:
    """One line ready to be drawn."""

    time: float
    stream: int
    text: str
    level: Level
    spans: tuple[Span, ...] = ()

    @property
    def clock(self) -> str:
        """Local time with milliseconds."""
        part = time.strftime("%H:%M:%S", time.localtime(self.time))
        return f"{part}.{int(self.time * 1000) % 1000:03d}"


def parse(line: LogLine) -> Line:
    """A line as the container wrote it, made ready."""
    text, spans = plain(line.text)
    level, word = level_of(text)
    if not spans and word is not None:
        spans = (word,)
    return Line(line.time, line.stream, text, level, spans)


def plain(raw: str) -> tuple[str, tuple[Span, ...]]:
    """Text without escape sequences, and the colours that they asked for."""
    if "\x1b" not in raw:
        return _clean(raw), ()
    # A carriage return rewrites the line: the last state is what a terminal would show.
    raw = raw.rsplit("\r", 1)[-1] if "\r" in raw else raw
    parts: list[str] = []
    spans: list[Span] = []
    length, at, token, bold = 0, 0, "", False
    for match in [*_ESCAPE.finditer(raw), None]:
        chunk = _clean(raw[at : match.start()] if match else raw[at:])
        if chunk:
            parts.append(chunk)
            if token or bold:
                spans.append(Span(length, length + len(chunk), token or "text", bold))
            length += len(chunk)
        if match is None:
            break
        at = match.end()
        if match.group(2) == "m":
            token, bold = _style(match.group(1), token, bold)
    return "".join(parts), tuple(spans)


def _clean(text: str) -> str:
    text = text.expandtabs(4) if "\t" in text else text
    return _CONTROL.sub("", text)


def _style(codes: str, token: str, bold: bool) -> tuple[str, bool]:
    numbers = [int(code) if code.isdigit() else 0 for code in codes.replace(":", ";").split(";")]
    skip = 0
    for position, code in enumerate(numbers):
        if skip:
            skip -= 1
        elif code == 0:
            token, bold = "", False
        elif code == 1:
            bold = True
        elif code == 22:
            bold = False
        elif code == 2:
            token = "text3"
        elif 30 <= code <= 37:
            token = _TOKENS[code - 30]
        elif code == 90:
            token = "text3"
        elif 91 <= code <= 97:
            token = _TOKENS[code - 90]
        elif code == 39:
            token = ""
        elif code in (38, 48):
            follow = numbers[position + 1] if position + 1 < len(numbers) else 0
            skip = 2 if follow == 5 else 4
            if code == 38:
                token = _indexed(numbers[position + 2 :]) if follow == 5 else "text"
    return token, bold


def _indexed(rest: list[int]) -> str:
    color = rest[0] if rest else 0
    return _TOKENS[color % 8] if color < 16 else "text"


def level_of(text: str) -> tuple[Level, Span | None]:
    """The level that a line names near its beginning, and where."""
    match = _LEVEL.search(text, 0, _LOOK_AT)
    if match is None:
        return Level.NONE, None
    for group, level, token in (
        (1, Level.ERROR, "err"),
        (2, Level.WARN, "warn"),
        (3, Level.INFO, "link"),
        (4, Level.DEBUG, "text3"),
    ):
        if match.group(group):
            return level, Span(match.start(), match.end(), token, level is Level.ERROR)
    return Level.NONE, None


class Buffer:
    """The last lines of a log. `dropped` counts those that went."""

    def __init__(self, cap: int = CAP) -> None:
        self.lines: list[Line] = []
        self.dropped = 0
        self.errors = 0
        self.warnings = 0
        self._cap = cap

    def add(self, lines: Iterable[LogLine]) -> tuple[list[Line], int]:
        """Append; returns the new lines and how many old ones went."""
        new = [parse(line) for line in lines]
        self.lines += new
        self.errors += sum(line.level is Level.ERROR for line in new)
        self.warnings += sum(line.level is Level.WARN for line in new)
        extra = len(self.lines) - self._cap
        if extra <= 0:
            return new, 0
        gone = min(len(self.lines), extra + min(_SLACK, self._cap // 10))
        for line in self.lines[:gone]:
            self.errors -= line.level is Level.ERROR
            self.warnings -= line.level is Level.WARN
        del self.lines[:gone]
        self.dropped += gone
        return new, gone

    def clear(self) -> None:
        """Forget everything."""
        self.lines = []
        self.dropped = self.errors = self.warnings = 0
