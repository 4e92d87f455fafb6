"""Rotates a container's log: log -> log.1 -> log.2, as Docker's max-size and max-file ask.

conmon can only begin a log anew; keeping more than one file is done from here, with its order to
open the log again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from engine.linux import inotify

_PAUSE = 0.1  # seconds between looks at a log that is written all the time


def shift(path: Path, most: int) -> None:
    """Move each file of the log one number up; the oldest of `most` files goes."""
    for number in range(most - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
        with contextlib.suppress(FileNotFoundError):
            newer.replace(older)


def _rotate_once(path: Path, size: int, most: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size >= size:
            shift(path, most)
            return True
    return False


async def rotate(path: Path, size: int, most: int, reopen: Callable[[], None]) -> None:
    """Keep `path` near `size` bytes and `most` files, until cancelled."""
    watch = inotify.Watch()
    try:
        watch.add(path.parent, inotify.MODIFY | inotify.CREATE)
        while True:
            await watch.wait()
            if await asyncio.to_thread(_rotate_once, path, size, most):
                reopen()
            await asyncio.sleep(_PAUSE)
    finally:
        watch.close()
