"""inotify(7) by the C library: wakes the event loop, so that nobody looks again and again."""

import asyncio
import ctypes
import os
from pathlib import Path

from engine.linux.libc import check, libc

MODIFY = 0x2
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800


class Watch:
    """Wakes a task when something happens to the watched paths. Close it in the end."""

    def __init__(self) -> None:
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._fd = check(libc().inotify_init1(ctypes.c_int(flags)))
        self._event = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._ready)

    def add(self, path: Path | str, mask: int) -> None:
        """Watch `path` for the kinds in `mask`. Raises OSError."""
        name = ctypes.c_char_p(os.fsencode(path))
        watch = libc().inotify_add_watch(ctypes.c_int(self._fd), name, ctypes.c_uint32(mask))
        check(watch, str(path))

    def _ready(self) -> None:
        try:
            os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        self._event.set()

    def wake(self) -> None:
        """Wake the waiting task for a reason of our own."""
        self._event.set()

    async def wait(self) -> None:
        """Return once something happened since the last call."""
        await self._event.wait()
        self._event.clear()

    def close(self) -> None:
        """Stop watching; twice is safe."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._event.set()
