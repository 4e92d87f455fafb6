"""File system ids of a thread: whose files it makes, all privileges kept.

A thread that has changed its ids is never reused: it ends with its work.
"""

import ctypes
import threading
from collections.abc import Callable
from typing import TypeVar

from engine.linux.libc import check, libc
from engine.linux.userns import IdMap

_PR_SET_SECUREBITS = 28
_NO_SETUID_FIXUP = 1 << 2  # capabilities(7): file capabilities stay when the fsuid isn't 0

T = TypeVar("T")
_seen = threading.local()


def become(uid: int, gid: int) -> None:
    """The calling thread makes files of this owner from now on (setfsuid(2)). Raises OSError."""
    check(libc().prctl(ctypes.c_int(_PR_SET_SECUREBITS), ctypes.c_ulong(_NO_SETUID_FIXUP), 0, 0, 0))
    # both return the id before, whether they worked or not
    libc().setfsgid(ctypes.c_uint(gid))
    libc().setfsuid(ctypes.c_uint(uid))


def see_through(ids: IdMap) -> None:
    """The calling thread works among files of a user namespace, as its root. Raises OSError.

    What it makes belongs to root inside; `inside` and `outside` translate owners from now on.
    """
    become(*ids.outside(0, 0))
    _seen.ids = ids


def inside(uid: int, gid: int) -> tuple[int, int]:
    """An owner that the thread finds, as the user namespace has it that it sees through."""
    ids: IdMap | None = getattr(_seen, "ids", None)
    return ids.inside(uid, gid) if ids else (uid, gid)


def outside(uid: int, gid: int) -> tuple[int, int]:
    """The opposite of `inside`: for chown(2)."""
    ids: IdMap | None = getattr(_seen, "ids", None)
    return ids.outside(uid, gid) if ids else (uid, gid)


def plain_capability(value: bytes) -> bytes:
    """A file's `security.capability` as the disk has it.

    Through a mount with mapped owners the kernel names the root that it's for (revision 3 of
    capabilities(7)); when that's the namespace's own, revision 2 says so wherever the file goes.
    """
    ids: IdMap | None = getattr(_seen, "ids", None)
    if ids is None or len(value) != 24 or value[3] != 3:
        return value
    if int.from_bytes(value[20:], "little") != ids.outside(0, 0)[0]:
        return value
    return value[:3] + b"\x02" + value[4:20]


def rooted_capability(value: bytes) -> bytes:
    """The opposite of `plain_capability`: as it has to be set through such a mount."""
    ids: IdMap | None = getattr(_seen, "ids", None)
    if ids is None or len(value) != 20 or value[3] != 2:
        return value
    return value[:3] + b"\x03" + value[4:] + ids.outside(0, 0)[0].to_bytes(4, "little")


def acting_as(uid: int, gid: int, work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own that makes files of this owner; blocks."""
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            become(uid, gid)
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="owner", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
