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
        self._last = (b"", 0)

    @property
    def pending(self) -> bool:
        """Whether a line waits for its end."""
        return bool(self._partial)

    def feed(self, piece: bytes) -> list[LogLine]:
        """The lines that `piece` completes."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if not self._timed and not self._partial and lines:
            kinds = {line[_KIND] for line in lines}
            if len(kinds) == 1 and (stream := _WHOLE.get(kinds.pop())):
                if stream not in self._wanted:
                    return []
                lines.append(b"")
                text = b"\n".join([line[_PREFIX:] for line in lines])
                return [LogLine(stream, 0, text)]
        found = self._parse(lines)
        return found if self._timed else _joined(found)

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
            if self._timed and line[:35] != stamp:
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
        self._partial.clear()
        return found


def _joined(lines: list[LogLine]) -> list[LogLine]:
    """Neighbours of one stream made one."""
    found: list[LogLine] = []
    run: list[bytes] = []
    current = 0
    for line in lines:
        if line.stream != current:
            if run:
                found.append(LogLine(current, 0, b"".join(run)))
            run, current = [], line.stream
        run.append(line.data)
    if run:
        found.append(LogLine(current, 0, b"".join(run)))
    return found


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
