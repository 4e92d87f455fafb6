"""Reads container logs as conmon writes them, across rotated files, following or not."""

import asyncio
import functools
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.linux import inotify
from engine.runtime.logfile import LogLine, Parser, tail_offset
from engine.runtime.logparts import Part, close_all, open_all

__all__ = ["LogLine", "read"]

_PIECE = 1 << 19
_TIMED_PIECE = 1 << 17  # its lines are apart from each other and take five times the memory
_PATIENCE = 0.1  # seconds that an unfinished line may wait for its end when following


@functools.cache
def _parsers() -> ThreadPoolExecutor:
    """The threads of everybody's logs: few, so that a hundred readers don't starve the rest."""
    return ThreadPoolExecutor(2, "logs")


class _Source:
    """The log's bytes in order, whatever rotation does meanwhile. Blocks: used in threads."""

    def __init__(self, path: Path, piece: int) -> None:
        self._path = path
        self._piece = piece
        self._part: Part | None = None
        self._last: Part | None = None  # without following: the end, as it was at the beginning
        self._end = 0

    def open(self, tail: int | None, follow: bool) -> None:
        """Go to the beginning, or to the last `tail` lines. A missing log is an empty one.

        Without `follow` no more is read than what is there now: a writer may be faster than any
        reader.
        """
        parts = open_all(self._path)
        if not parts:
            return
        first = 0 if tail is None else _seek_tail(parts, tail)
        self._part = parts[first]
        if not follow:
            self._last, self._end = parts[-1], parts[-1].size
        close_all([one for one in parts if one not in (self._part, self._last)])

    def read(self) -> bytes:
        """The next piece; empty at the end of what there is now."""
        while True:
            if self._part is None:
                if self._last is not None or not self._open_first():
                    return b""
            assert self._part is not None
            piece = os.read(self._part.fd, self._most())
            if piece or not self._follow_rotation():
                return piece

    def _most(self) -> int:
        """How many bytes may be read at once."""
        assert self._part is not None
        if self._last is None or not self._part.is_same(self._last):
            return self._piece
        left = self._end - os.lseek(self._part.fd, 0, os.SEEK_CUR)
        return max(0, min(self._piece, left))

    def _open_first(self) -> bool:
        parts = open_all(self._path)
        close_all(parts[1:])
        self._part = parts[0] if parts else None
        return bool(parts)

    def _follow_rotation(self) -> bool:
        """At the end of a file: go on with the one that came after it. False when it's the last."""
        ours = self._part
        assert ours is not None
        if self._last is not None and ours.is_same(self._last):
            return False
        parts = open_all(self._path)
        mine = next((number for number, one in enumerate(parts) if one.is_same(ours)), -1)
        following = parts[mine + 1 :]
        position = os.lseek(ours.fd, 0, os.SEEK_CUR)
        if not following and parts and ours.size < position:
            os.lseek(ours.fd, 0, os.SEEK_SET)  # truncated in place
            close_all(parts)
            return True
        # the writer may have added to ours before it was moved away
        if not following or ours.size > position:
            close_all(parts)
            return bool(following)
        close_all([one for one in parts if one is not following[0]])
        self._part = following[0]
        if ours is not self._last:
            ours.close()
        return True

    def close(self) -> None:
        """Close the files; twice is safe."""
        close_all([one for one in (self._part, self._last) if one is not None])


def _seek_tail(parts: list[Part], tail: int) -> int:
    """Go to the last `tail` lines; the number of the part that they begin in."""
    found = 0
    for number in range(len(parts) - 1, -1, -1):
        part = parts[number]
        fd = part.fd
        offset, more = tail_offset(
            lambda at, length, fd=fd: os.pread(fd, length, at),  # type: ignore[misc]
            part.size,
            tail - found,
        )
        found += more
        os.lseek(fd, offset, os.SEEK_SET)
        if found >= tail:
            return number
    return 0


def _within(lines: list[LogLine], since_ns: int, until_ns: int) -> list[LogLine]:
    if since_ns:
        lines = [line for line in lines if line.time_ns >= since_ns]
    if until_ns:
        lines = [line for line in lines if line.time_ns <= until_ns]
    return lines


def _batch(source: _Source, parser: Parser) -> tuple[list[LogLine], bool]:
    """The lines of the next piece, and whether there was one."""
    piece = source.read()
    return (parser.feed(piece), True) if piece else ([], False)


async def read(
    path: Path,
    *,
    stdout: bool = True,
    stderr: bool = True,
    since_ns: int = 0,
    until_ns: int = 0,
    tail: int | None = None,
    follow: bool = False,
    ended: asyncio.Event | None = None,
    timed: bool = True,
) -> AsyncIterator[list[LogLine]]:
    """Batches of lines, oldest first; `follow` goes on until `ended` is set and all is read.

    since/until are inclusive bounds in ns (0: none); `tail` counts lines from the end (None: all).
    `timed` False is much faster: times are 0 and neighbouring lines of a stream come as one
    LogLine (unless since or until need them apart).
    """
    timed = timed or bool(since_ns or until_ns)
    source = _Source(path, _TIMED_PIECE if timed else _PIECE)
    parser = Parser(stdout=stdout, stderr=stderr, timed=timed)
    watch = _Follower(path, ended, until_ns) if follow else None
    try:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(_parsers(), source.open, tail, follow)
        while True:
            over = watch is None or watch.over
            lines, more = await loop.run_in_executor(_parsers(), _batch, source, parser)
            if lines and (kept := _within(lines, since_ns, until_ns)):
                yield kept
            if more and not (until_ns and lines and lines[-1].time_ns > until_ns):
                continue
            if over or more:
                break
            assert watch is not None
            if not await watch.wait(_PATIENCE if parser.pending else None):
                late = _within(parser.flush(), since_ns, until_ns)
                if late:
                    yield late
        rest = _within(parser.flush(), since_ns, until_ns)
        if rest:
            yield rest
    finally:
        source.close()
        if watch is not None:
            watch.close()


class _Follower:
    """Waits for the log to grow or the container to end."""

    def __init__(self, path: Path, ended: asyncio.Event | None, until_ns: int) -> None:
        self._ended = ended
        self._until_ns = until_ns
        self._watch = inotify.Watch()
        # the folder: a rotated file gets a new one in its place
        self._watch.add(path.parent, inotify.MODIFY | inotify.MOVED_TO | inotify.CREATE)
        self._task = asyncio.get_running_loop().create_task(self._await_end()) if ended else None

    async def _await_end(self) -> None:
        assert self._ended is not None
        await self._ended.wait()
        self._watch.wake()

    @property
    def over(self) -> bool:
        """Whether no line can come that isn't in the file by now."""
        late = self._until_ns and time.time_ns() > self._until_ns
        return bool(late) or (self._ended is not None and self._ended.is_set())

    async def wait(self, seconds: float | None) -> bool:
        """Wait for news; False after `seconds` without any."""
        if self._until_ns:
            left = max(0.0, (self._until_ns - time.time_ns()) / 1e9) + 0.01
            seconds = left if seconds is None else min(seconds, left)
        try:
            async with asyncio.timeout(seconds):
                await self._watch.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
        self._watch.close()
