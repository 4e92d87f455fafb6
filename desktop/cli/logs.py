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
    source = lines(path, follow=False)
    kept = _engine_only(source) if which == "engine" else source
    yield from kept if count is None else deque(kept, maxlen=count)
    if follow:
        fresh = lines(path, follow=True, offset=path.stat().st_size if path.exists() else 0)
        yield from _engine_only(fresh) if which == "engine" else fresh


def _engine_only(source: Iterator[str]) -> Iterator[str]:
    for line in source:
        if line.startswith(ENGINE_PREFIX):
            yield line.removeprefix(ENGINE_PREFIX)


def lines(path: Path, *, follow: bool, offset: int = 0) -> Iterator[str]:
    """The lines from an offset; following survives a restart, which begins a new file."""
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
                    yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Failure(f"The log {path} can't be read.", f"{error.strerror}.") from error
        if not follow:
            if rest:
                yield rest.decode(errors="replace")
            return
        time.sleep(POLL)
