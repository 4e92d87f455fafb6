"""Reads container logs as conmon writes them, across rotated files, following or not."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from engine.linux import inotify
from engine.runtime.logfile import LogLine, Parser, tail_offset

__all__ = ["LogLine", "files", "read"]

_PIECE = 1 << 20
_PATIENCE = 0.1  # seconds that an unfinished line may wait for its end when following


def files(path: Path) -> list[Path]:
    """The log's files, oldest first: log.2, log.1, log."""
    rotated = []
    number = 1
    while (one := path.with_name(f"{path.name}.{number}")).exists():
        rotated.append(one)
        number += 1
    return [*reversed(rotated), path]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class _Source:
    """The log's bytes in order, whatever rotation does meanwhile. Blocks: used in threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._left: int | None = None

    def open(self, tail: int | None, follow: bool) -> None:
        """Go to the beginning, or to the last `tail` lines. A missing log is an empty one.

        Without `follow` no more is read than what is there now: a writer may be faster than any
        reader.
        """
        candidates = files(self._path)
        if tail is None:
            size = sum(map(_size, candidates))
            self._open_first(candidates)
        else:
            size = self._open_tail(candidates, tail)
        if not follow:
            self._left = size

    def _open_tail(self, candidates: list[Path], tail: int) -> int:
        """Go to the last `tail` lines; how many bytes they are."""
        skip = length = 0
        for path in reversed(candidates):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            self._switch(fd)
            size = os.fstat(fd).st_size
            offset, found = tail_offset(
                lambda at, length, fd=fd: os.pread(fd, length, at),  # type: ignore[misc]
                size,
                tail - skip,
            )
            skip += found
            length += size - offset
            os.lseek(fd, offset, os.SEEK_SET)
            if skip >= tail:
                break
        return length

    def _open_first(self, candidates: list[Path]) -> None:
        for path in candidates:
            try:
                self._switch(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
                return
            except FileNotFoundError:
                continue

    def _switch(self, fd: int) -> None:
        self.close()
        self._fd = fd

    def read(self) -> bytes:
        """The next piece; empty at the end of what there is now."""
        while True:
            if self._fd < 0:
                self._open_first([self._path])
                if self._fd < 0:
                    return b""
            piece = os.read(self._fd, _PIECE if self._left is None else min(_PIECE, self._left))
            if self._left is not None:
                self._left -= len(piece)
                if not self._left:
                    return piece
            if piece or not self._follow_rotation():
                return piece

    def _follow_rotation(self) -> bool:
        """At the end of a file: go on with the one that came after it. False when it's the last."""
        ours = os.fstat(self._fd)
        successors: list[Path] = []
        for path in reversed(files(self._path)):
            try:
                status = os.stat(path)
            except FileNotFoundError:
                continue
            if (status.st_dev, status.st_ino) == (ours.st_dev, ours.st_ino):
                if not successors and status.st_size < os.lseek(self._fd, 0, os.SEEK_CUR):
                    os.lseek(self._fd, 0, os.SEEK_SET)  # truncated in place
                    return True
                break
            successors.insert(0, path)
        if not successors:
            return False
        # the writer may have added to it before it was moved away
        if os.fstat(self._fd).st_size > os.lseek(self._fd, 0, os.SEEK_CUR):
            return True
        self._open_first(successors)
        return True

    def close(self) -> None:
        """Close the file; twice is safe."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


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
    source = _Source(path)
    parser = Parser(stdout=stdout, stderr=stderr, timed=timed)
    watch = _Follower(path, ended, until_ns) if follow else None
    try:
        await asyncio.to_thread(source.open, tail, follow)
        while True:
            over = watch is None or watch.over
            lines, more = await asyncio.to_thread(partial(_batch, source, parser))
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
