"""Rotates a container's log: log -> log.1 -> log.2, as Docker's max-size and max-file ask.

conmon can only begin a log anew; keeping more than one file is done from here, with its order to
open the log again.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from engine.linux import inotify
from engine.runtime import logparts

_log = logging.getLogger(__name__)
_PATIENCE = 5.0
_PAUSE = 0.1  # seconds between looks at a log that is written all the time


def _rotate_once(path: Path, size: int, most: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size >= size:
            logparts.shift(path, most)
            return True
    return False


async def rotate(
    path: Path, size: int, most: int, reopen: Callable[[], None], *, compress: bool = False
) -> None:
    """Keep `path` near `size` bytes and `most` files, until cancelled."""
    watch = inotify.Watch()
    try:
        watch.add(path.parent, inotify.MODIFY | inotify.CREATE)
        while True:
            await watch.wait()
            if await asyncio.to_thread(_rotate_once, path, size, most):
                reopen()
                if compress and await _reopened(path):
                    await _compress(path, most)
            await asyncio.sleep(_PAUSE)
    finally:
        watch.close()


async def _compress(path: Path, most: int) -> None:
    try:
        await asyncio.to_thread(logparts.compress, path, most)
    except OSError as error:  # a full disk: they are rotated as they are
        _log.warning("compressing the log %s: %s", path, error.strerror or error)


async def _reopened(path: Path) -> bool:
    """Whether the writer has a new file by now, so that it's done with the old one."""
    deadline = time.monotonic() + _PATIENCE
    while not await asyncio.to_thread(path.exists):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True
