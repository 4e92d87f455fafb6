"""Work that is never left behind: a caller that is cancelled waits for it before it cleans up.

It has threads of its own: builds with large contexts must not hold those that all else needs.
"""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 8
_local = threading.local()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Shared by all builds; made with the first."""
    return ThreadPoolExecutor(_THREADS, "build")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks in one of the builder's threads; who is cancelled doesn't wait."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_pool(), functools.partial(work, *args, **kwargs))


async def finished(
    work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Do it to its end; who is cancelled meanwhile hears of that afterwards."""
    task = asyncio.get_running_loop().create_task(work(*args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


class Abandoned(Exception):
    """Nobody waits for the result any more."""


def checkpoint() -> None:
    """For long loops below `to_end`. Raises Abandoned once its caller was cancelled."""
    stopped = getattr(_local, "stopped", None)
    if stopped is not None and stopped.is_set():
        raise Abandoned


async def to_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `finished`, of a function that blocks: it runs in a thread.

    A caller that is cancelled waits until the work is done, or comes to a `checkpoint`.
    """
    stopped = threading.Event()

    def watched() -> T:
        _local.stopped = stopped
        try:
            return work(*args, **kwargs)
        finally:
            _local.stopped = None

    task = asyncio.get_running_loop().create_task(in_thread(watched))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.gather(task, return_exceptions=True)
        raise
