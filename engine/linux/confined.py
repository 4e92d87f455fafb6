"""Work done by one thread whose root is a container's: no path it uses can lead outside.

The thread leaves the process' shared file-system state (unshare CLONE_FS), so that only its own
root changes. Inside, nothing may be imported and no user or host name looked up: the files that
Python and libc would read are the container's.
"""

import ctypes
import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from engine.linux import mounts, threads, trees
from engine.linux.libc import check, libc
from engine.linux.mounts import Mount

_CLONE_FS = 0x200
_CLONE_NEWNS = 0x20000
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

T = TypeVar("T")


def enter_process(pid: int, alive: Callable[[], bool]) -> None:
    """Take the root of a process: its mount namespace, as it sees it. Raises OSError.

    `alive` tells, once the namespace is open, that the pid has not gone to another process.
    """
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not alive():
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        check(libc().unshare(ctypes.c_int(_CLONE_FS)), "unshare")
        check(libc().setns(ctypes.c_int(namespace), ctypes.c_int(_CLONE_NEWNS)), "setns", str(pid))
    finally:
        os.close(namespace)
    os.chdir("/")


def strip_root() -> None:
    """Take the root again, alone: what is mounted into it is out of sight. Raises OSError."""
    tree = trees.clone("/")
    try:
        os.fchdir(tree)
    finally:
        os.close(tree)
    os.chroot(".")


def enter_mounts(root: Path, what: Mount, more: Callable[[], None]) -> None:
    """Mount in a namespace that ends with the thread, and take `root` of it. Raises OSError.

    `more` mounts what belongs inside, once `what` is mounted.
    """
    leave_mounts()
    mounts.mount(what)
    more()
    os.chroot(root)
    os.chdir("/")


def enter_folders(place: Path, folders: Mapping[str, Path]) -> None:
    """Take a root that holds nothing but `folders`, by their names. Raises OSError.

    `place` is any folder: the root is mounted over it, seen by this thread alone.
    """
    leave_mounts()
    opened = {name: os.open(path, _FOLDER) for name, path in folders.items()}
    try:
        mounts.mount(Mount("tmpfs", "tmpfs", str(place), ("size=64k", "mode=700")))
        for name, source in opened.items():
            (place / name).mkdir()
            target = os.open(place / name, _FOLDER)
            try:
                trees.bind(source, target)
            finally:
                os.close(target)
    finally:
        for source in opened.values():
            os.close(source)
    os.chroot(place)
    os.chdir("/")


def leave_mounts() -> None:
    """Give the calling thread a mount namespace and file-system state of its own."""
    check(libc().unshare(ctypes.c_int(_CLONE_FS | _CLONE_NEWNS)), "unshare")
    mounts.propagate("/", "rprivate")


async def run(enter: Callable[[], None], work: Callable[[], T]) -> T:
    """`enter()` then `work()` in a thread of their own; raises what they raise."""

    def inside() -> T:
        enter()
        return work()

    return await threads.apart(inside, "confined")
