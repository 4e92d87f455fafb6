"""The format of conmon's log (k8s-file), parsed in big pieces.

A line is "2026-01-31T12:34:56.123456789+00:00 stdout F text": the parts before the text have a
fixed width. Mark P instead of F says that the text goes on in the stream's next line.
"""

import datetime
import functools
from collections.abc import Callable
from typing import NamedTuple

from engine.runtime.streams import STDERR, STDOUT

_PREFIX = 45
_MARK = 43
_KIND = slice(36, 44)
_STREAM = 39  # the fourth letter of stdout or stderr
_ERR = ord("e")
_PARTIAL = ord("P")
_LONGEST = 1 << 20
_SEGMENT = 8 << 10
_UNFINISHED = 16 << 10
_KINDS = {STDOUT: {b"stdout F", b"stdout P"}, STDERR: {b"stderr F", b"stderr P"}}
_WHOLE = {b"stdout F": STDOUT, b"stderr F": STDERR}


class LogLine(NamedTuple):
    """One line: STDOUT 1 or STDERR 2, nanoseconds since 1970, the bytes with their newline.

    A last line that has no newline (yet) comes without one, and so does a piece of a line that is
    longer than a megabyte.
    """

    stream: int
    time_ns: int
    data: bytes


@functools.lru_cache(maxsize=512)
def _seconds(text: bytes, offset: bytes) -> int:
    """The epoch second of "2026-01-31T12:34:56" at UTC offset "+01:00"."""
    moment = datetime.datetime.fromisoformat((text + offset).decode("ascii"))
    return int(moment.timestamp())


def parse_time(line: bytes) -> int:
    """The time of a line in nanoseconds. Raises ValueError when it isn't one of conmon's."""
    return _seconds(line[:19], line[29:35]) * 1_000_000_000 + int(line[20:29])


class Parser:
    """Turns pieces of the file into LogLines; keeps what is unfinished between pieces.

    `timed` False leaves times out (0) and joins neighbouring lines of a stream to one LogLine.
    """

    def __init__(self, *, stdout: bool, stderr: bool, timed: bool) -> None:
        self._wanted = {stream for stream, on in ((STDOUT, stdout), (STDERR, stderr)) if on}
        self._timed = timed
        self._rest = b""
        self._partial: dict[int, tuple[int, list[bytes]]] = {}
        self._held: dict[int, bytes] = {}
        self._last = (b"", 0)

    @property
    def pending(self) -> bool:
        """Whether a line waits for its end."""
        return bool(self._partial or self._held)

    def feed(self, piece: bytes) -> list[LogLine]:
        """The lines that `piece` completes."""
        whole, newline, rest = (self._rest + piece).rpartition(b"\n")
        self._rest = rest
        if not newline:
            return []
        if self._timed:
            return self._parse(whole.split(b"\n"))
        return self._untimed(whole + newline)

    def _untimed(self, text: bytes) -> list[LogLine]:
        """Lines without times, neighbours joined; the unfinished end of a stream is held back.

        conmon stamps all that it reads at once alike: most segments hold one and the same prefix,
        which goes in one replacement.
        """
        runs = _Runs(self._wanted)
        start = 0
        while start < len(text):
            end = text.find(b"\n", start + _SEGMENT) + 1 or len(text)
            segment = text[start:end]
            start = end
            prefix = segment[:_PREFIX]
            stream = _WHOLE.get(prefix[_KIND])
            texts = segment.split(b"\n" + prefix) if stream else []
            if stream and len(texts) == segment.count(b"\n"):
                runs.add(stream, b"\n".join(texts)[_PREFIX:])
            else:
                _add_lines(runs, segment.split(b"\n"))
        lines = (self._hold_end(stream, content) for stream, content in runs.joined())
        return [line for line in lines if line.data]

    def _hold_end(self, stream: int, text: bytes) -> LogLine:
        """What of a stream is given out now: whole lines, unless one is very long."""
        if stream in self._held:
            text = self._held.pop(stream) + text
        if not text.endswith(b"\n"):
            end = text.rfind(b"\n") + 1
            if len(text) - end < _UNFINISHED:
                self._held[stream] = text[end:]
                text = text[:end]
        return LogLine(stream, 0, text)

    def _parse(self, lines: list[bytes]) -> list[LogLine]:
        found: list[LogLine] = []
        wanted, partial = self._wanted, self._partial
        stamp, time_ns = self._last
        for line in lines:
            if len(line) < _PREFIX - 1:
                continue  # cut off by a full disk
            stream = STDERR if line[_STREAM] == _ERR else STDOUT
            if stream not in wanted:
                continue
            if line[:35] != stamp:
                try:
                    time_ns = parse_time(line)
                except ValueError:
                    continue
                stamp = line[:35]
            text = line[_PREFIX:]
            if line[_MARK] == _PARTIAL:
                self._hold(found, stream, time_ns, text)
            elif stream in partial:
                began, parts = partial.pop(stream)
                found.append(LogLine(stream, began, b"".join(parts) + text + b"\n"))
            else:
                found.append(LogLine(stream, time_ns, text + b"\n"))
        self._last = (stamp, time_ns)
        return found

    def _hold(self, found: list[LogLine], stream: int, time_ns: int, text: bytes) -> None:
        began, parts = self._partial.setdefault(stream, (time_ns, []))
        parts.append(text)
        if len(parts) * len(text) > _LONGEST:
            del self._partial[stream]
            found.append(LogLine(stream, began, b"".join(parts)))

    def flush(self) -> list[LogLine]:
        """What is held of unfinished lines, as lines without newline."""
        found = [
            LogLine(stream, began, b"".join(parts))
            for stream, (began, parts) in self._partial.items()
        ]
        found += [LogLine(stream, 0, text) for stream, text in self._held.items()]
        self._partial.clear()
        self._held.clear()
        return found


class _Runs:
    """Pieces of output, neighbours of one stream joined."""

    def __init__(self, wanted: set[int]) -> None:
        self._wanted = wanted
        self._runs: list[tuple[int, list[bytes]]] = []

    def add(self, stream: int, text: bytes) -> None:
        """Append output, unless nobody wants that stream."""
        if stream not in self._wanted:
            return
        if not self._runs or self._runs[-1][0] != stream:
            self._runs.append((stream, []))
        self._runs[-1][1].append(text)

    def joined(self) -> list[tuple[int, bytes]]:
        """All of it, a stream's number and its bytes each."""
        return [(stream, b"".join(parts)) for stream, parts in self._runs]


def _add_lines(runs: _Runs, lines: list[bytes]) -> None:
    """Give `runs` what `lines` hold; quicker when they are all of one stream."""
    lines.pop()  # what follows the last newline: nothing
    kinds = {line[_KIND] for line in lines}
    for stream, its_kinds in _KINDS.items():
        if kinds <= its_kinds:
            pieces = [
                line[_PREFIX:] if line[_MARK] == _PARTIAL else line[_PREFIX:] + b"\n"
                for line in lines
            ]
            runs.add(stream, b"".join(pieces))
            return
    for line in lines:
        if len(line) >= _PREFIX:
            stream = STDERR if line[_STREAM] == _ERR else STDOUT
            ending = b"" if line[_MARK] == _PARTIAL else b"\n"
            runs.add(stream, line[_PREFIX:] + ending)


def tail_offset(read_at: Callable[[int, int], bytes], size: int, count: int) -> tuple[int, int]:
    """(offset, lines from there to the end) of the last `count` lines; offset 0 if there are fewer.

    `read_at(offset, length)` reads the file. Lines are those that the container wrote: conmon's
    pieces of one count once.
    """
    if count <= 0:
        return size, 0
    block = 1 << 16
    position = size
    carried = b""
    found = 0
    while position > 0:
        start = max(0, position - block)
        piece = read_at(start, position - start) + carried
        # whole lines only: the first may have begun in the block before
        first = piece.find(b"\n") + 1 if start > 0 else 0
        if start > 0 and first == 0:
            carried, position = piece, start
            continue
        offset = start + len(piece)
        for line in reversed(piece[first:].split(b"\n")):
            begin = offset - len(line)
            if line:
                whole = line[_MARK : _MARK + 1] == b"F"
                if whole or found == 0:
                    if found == count:
                        return min(offset + 1, size), found
                    found += 1
            offset = begin - 1
        carried, position = piece[:first], start
    return 0, found
