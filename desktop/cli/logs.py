"""`cove logs`: the console's log, the agent's, or the engine's part of the console."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from desktop.failure import Failure
from desktop.paths import Home

ENGINE_PREFIX = "engine: "
POLL = 0.2


def read(home: Home, which: str, *, follow: bool, count: int | None) -> Iterator[str]:
    """The lines, oldest first; `count` keeps the last ones. Raises Failure without a log."""
    path = home.agent_log if which == "agent" else home.console_log
    if not path.exists() and not follow:
        raise Failure(f"There is no log {path} yet.", "", "Run `cove start` first.")
    end = _whole_lines_end(path) if follow else None
    source = lines(path, end=end)
    kept = _engine_only(source) if which == "engine" else source
    yield from kept if count is None else deque(kept, maxlen=count)
    if end is not None:
        fresh = follow_lines(path, end)
        yield from _engine_only(fresh) if which == "engine" else fresh


def _engine_only(source: Iterator[str]) -> Iterator[str]:
    for line in source:
        if line.startswith(ENGINE_PREFIX):
            yield line.removeprefix(ENGINE_PREFIX)


def _whole_lines_end(path: Path) -> int:
    """Where the last whole line ends now; following goes on from there."""
    try:
        return path.read_bytes().rfind(b"\n") + 1
    except OSError:
        return 0


def lines(path: Path, *, end: int | None = None) -> Iterator[str]:
    """The lines up to an offset, or all of them. Raises Failure."""
    try:
        with path.open("rb") as file:
            data = file.read() if end is None else file.read(end)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error) from error
    yield from (_text(line) for line in data.splitlines())


def follow_lines(path: Path, offset: int) -> Iterator[str]:
    """The lines from an offset on, for ever; a restart of the VM begins a new, shorter file."""
    rest = b""
    while True:
        try:
            with path.open("rb") as file:
                if offset > file.seek(0, 2):
                    offset, rest = 0, b""
                file.seek(offset)
                while block := file.read(1 << 16):
                    offset += len(block)
                    *whole, rest = (rest + block).split(b"\n")
                    yield from (_text(line) for line in whole)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _unreadable(path, error) from error
        time.sleep(POLL)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


def _unreadable(path: Path, error: OSError) -> Failure:
    return Failure(f"The log {path} can't be read.", f"{error.strerror}.")
