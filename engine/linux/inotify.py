"""inotify(7) by the C library: wakes the event loop, so that nobody looks again and again.

The kernel gives a user 128 instances, so all watches of an event loop share one.
"""

import asyncio
import ctypes
import os
import struct
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

_OVERFLOW = 0x4000
_IGNORED = 0x8000
_MASK_ADD = 0x20000000
_EVENT = struct.Struct("iIII")


class Watch:
    """Wakes a task when something happens to the watched paths. Close it in the end."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._shared = _Shared.of(asyncio.get_running_loop())
        self._shared.users.add(self)

    def add(self, path: Path | str, mask: int) -> None:
        """Watch `path` for the kinds in `mask`. Raises OSError."""
        self._shared.add(path, mask, self)

    def wake(self) -> None:
        """Wake the waiting task: something happened, or a reason of our own."""
        self._event.set()

    async def wait(self) -> None:
        """Return once something happened since the last call."""
        await self._event.wait()
        self._event.clear()

    def close(self) -> None:
        """Stop watching; twice is safe."""
        self._shared.leave(self)
        self._event.set()


class _Shared:
    """The instance of one event loop; it goes with its last user."""

    _all: dict[asyncio.AbstractEventLoop, "_Shared"] = {}

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> "_Shared":
        """The loop's own, which may be new. Raises OSError."""
        if loop not in cls._all:
            cls._all[loop] = cls(loop)
        return cls._all[loop]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._fd = check(libc().inotify_init1(ctypes.c_int(flags)))
        self._loop = loop
        self._watched: dict[int, dict[Watch, int]] = {}
        self.users: set[Watch] = set()
        loop.add_reader(self._fd, self._ready)

    def add(self, path: Path | str, mask: int, watch: Watch) -> None:
        """Tell `watch` of `path`; the kernel knows a file once, whoever watches it."""
        name = ctypes.c_char_p(os.fsencode(path))
        asked = ctypes.c_uint32(mask | _MASK_ADD)
        number = check(libc().inotify_add_watch(ctypes.c_int(self._fd), name, asked), str(path))
        masks = self._watched.setdefault(number, {})
        masks[watch] = masks.get(watch, 0) | mask

    def leave(self, watch: Watch) -> None:
        """Forget a user; without any the instance ends."""
        if watch not in self.users:
            return
        self.users.discard(watch)
        for number, masks in list(self._watched.items()):
            if masks.pop(watch, None) is not None and not masks:
                del self._watched[number]
                libc().inotify_rm_watch(ctypes.c_int(self._fd), ctypes.c_int(number))
        if not self.users:
            del self._all[self._loop]
            if not self._loop.is_closed():
                self._loop.remove_reader(self._fd)
            os.close(self._fd)

    def _ready(self) -> None:
        try:
            events = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(events):
            number, mask, _, length = _EVENT.unpack_from(events, offset)
            offset += _EVENT.size + length
            if mask & _OVERFLOW:
                for watch in self.users:
                    watch.wake()
            for watch, wanted in self._watched.get(number, {}).items():
                if mask & wanted:
                    watch.wake()
            if mask & _IGNORED:
                self._watched.pop(number, None)
