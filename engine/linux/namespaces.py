"""Network namespaces: making, binding to a file, finding and entering them.

A thread that has entered another namespace is never reused: each entry here is a thread of its
own that ends with its work.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.linux import threads
from engine.linux.libc import check, libc, unshare
from engine.linux.mounts import Mount, mount, unmount

CLONE_NEWNET = 0x40000000
_NETNS_OF_THREAD = "/proc/thread-self/ns/net"

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own; a caller that is cancelled doesn't stop it."""
    return await threads.apart(work, "netns")


def make_netns(path: Path) -> tuple[int, int]:
    """Move the calling thread into a new network namespace that stays bound at `path`.

    Returns (file descriptor of it, inode number). Only for a thread that ends soon.
    """
    unshare(CLONE_NEWNET)
    descriptor = os.open(_NETNS_OF_THREAD, os.O_RDONLY | os.O_CLOEXEC)
    try:
        bind(descriptor, path)
        return descriptor, os.fstat(descriptor).st_ino
    except BaseException:
        os.close(descriptor)
        raise


def take_netns(namespace: int, path: Path) -> tuple[int, int]:
    """As `make_netns`, with the namespace behind a descriptor, which stays the caller's."""
    enter_netns(namespace)
    bind(namespace, path)
    return os.dup(namespace), os.fstat(namespace).st_ino


def bind(descriptor: int, path: Path) -> None:
    """Keep the namespace behind `descriptor` at the file `path`, which is made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o444)
    mount(Mount("none", f"/proc/self/fd/{descriptor}", str(path), ("bind",)))


def enter_netns(descriptor: int) -> None:
    """Move the calling thread into the namespace behind `descriptor` (setns(2))."""
    check(libc().setns(descriptor, CLONE_NEWNET))


def enter(path: Path) -> None:
    """Move the calling thread into the network namespace bound at `path`. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_netns(descriptor)
    finally:
        os.close(descriptor)


def remove_netns(path: Path) -> None:
    """Let go of a bound namespace; the kernel frees it with its last process. Twice is safe."""
    with contextlib.suppress(FileNotFoundError):
        while unmount(path, lazy=True):
            pass
        path.unlink()


def inode_at(path: Path) -> int:
    """The inode of the namespace bound at `path`, 0 when none is (a plain file, or nothing)."""
    try:
        if os.stat(path).st_dev != os.stat(_NETNS_OF_THREAD).st_dev:
            return 0
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def netns_holders() -> dict[int, int]:
    """Inodes of network namespaces that processes live in -> the pid of one of them."""
    holders: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                holders.setdefault(os.stat(f"/proc/{entry}/ns/net").st_ino, int(entry))
    return holders


def bind_process(pid: int, path: Path) -> None:
    """Keep the network namespace of process `pid` at the file `path`. Raises OSError."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        bind(descriptor, path)
    finally:
        os.close(descriptor)
