"""Reads container logs as conmon writes them (k8s-file: "TIME STREAM F|P DATA")."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class LogLine(NamedTuple):
    """One line: STDOUT 1 or STDERR 2, nanoseconds since 1970, the bytes with their newline.

    A last line that has no newline (yet) comes without one.
    """

    stream: int
    time_ns: int
    data: bytes


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
) -> AsyncIterator[list[LogLine]]:
    """Batches of lines, oldest first; `follow` goes on until `ended` is set and all is read.

    since/until are inclusive bounds in ns (0: none); `tail` counts lines from the end (None: all).
    """
    raise RuntimeError
    yield []


@dataclass(frozen=True)
class _Unused:
    pass
