"""Work that is never left behind: a caller that is cancelled waits for it before it cleans up."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


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


async def to_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `finished`, of a function that blocks: it runs in a thread."""
    return await finished(asyncio.to_thread, work, *args, **kwargs)
