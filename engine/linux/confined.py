"""Work done by one thread whose root is a container's: no path it uses can lead outside.

The thread leaves the process' shared file-system state (unshare CLONE_FS), so that only its own
root changes. Inside, nothing may be imported and no user or host name looked up: the files that
Python and libc would read are the container's.
"""

import asyncio
import ctypes
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from engine.linux import mounts
from engine.linux.libc import check, libc
from engine.linux.mounts import Mount

_CLONE_FS = 0x200
_CLONE_NEWNS = 0x20000

T = TypeVar("T")


def enter_process(pid: int) -> None:
    """Take the root of a process: its mount namespace, as it sees it. Raises OSError."""
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        check(libc().unshare(ctypes.c_int(_CLONE_FS)), "unshare")
        check(libc().setns(ctypes.c_int(namespace), ctypes.c_int(_CLONE_NEWNS)), "setns", str(pid))
    finally:
        os.close(namespace)
    os.chdir("/")


def enter_mounts(root: Path, wanted: Iterable[Mount]) -> None:
    """Mount in a namespace that ends with the thread, and take `root` of it. Raises OSError.

    `wanted` is walked step by step: a mount may look at what the ones before it brought.
    """
    check(libc().unshare(ctypes.c_int(_CLONE_FS | _CLONE_NEWNS)), "unshare")
    mounts.propagate("/", "rprivate")
    for mount in wanted:
        mounts.mount(mount)
    os.chroot(root)
    os.chdir("/")


async def run(enter: Callable[[], None], work: Callable[[], T]) -> T:
    """`enter()` then `work()` in a thread of their own; raises what they raise."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def body() -> None:
        result, error = None, None
        try:
            enter()
            result = work()
        except BaseException as caught:
            error = caught
        loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=body, name="confined", daemon=True).start()
    return await done
