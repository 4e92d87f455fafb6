"""Walking a tree that others are changing: from descriptor to descriptor, never through a link."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Generator

from engine.errors import EngineError
from engine.values import dataclass
from engine.volumes.inside.browse import FOLDER

_DEPTH = 1000  # folders in each other, each an open descriptor
_GONE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)


class Stopped(Exception):
    """Nobody wants the result any more."""


@dataclass(slots=True)
class Found:
    """A file on the way. `path` is relative to where the walk began ("" for that folder itself).

    `folder` holds it as `name`; `fd` is a folder's own descriptor, else -1. Both are valid until
    the walk goes on.
    """

    path: str
    folder: int
    name: str
    status: os.stat_result
    fd: int = -1


def open_plain(found: Found) -> int:
    """A descriptor of a plain file, -1 when something else has taken its place. Raises OSError.

    Never a device's: opening one may do things by itself, and a container may put it there.
    """
    try:
        seen = os.open(found.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=found.folder)
    except FileNotFoundError:
        return -1
    try:
        if not stat.S_ISREG(os.fstat(seen).st_mode):
            return -1
        return os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(seen)


def walk(root_fd: int, stopped: Callable[[], bool] = lambda: False) -> Generator[Found, None, None]:
    """Every file at and below an open folder, folders before what is in them, by name.

    What vanishes meanwhile is left out. Raises Stopped, EngineError for a tree that is too deep.
    """
    top = os.dup(root_fd)
    stack = [(top, "", iter(_names(top)))]
    try:
        yield Found("", -1, "", os.fstat(top), top)
        while stack:
            if stopped():
                raise Stopped
            folder, path, names = stack[-1]
            name = next(names, None)
            if name is None:
                os.close(stack.pop()[0])
                continue
            found = _look(folder, name, f"{path}/{name}" if path else name)
            if found is None:
                continue
            if found.fd < 0:
                yield found
                continue
            stack.append((found.fd, found.path, iter(_names(found.fd))))
            if len(stack) > _DEPTH:
                raise EngineError(f"/{found.path[:100]}... is too deep: {_DEPTH} folders at most")
            yield found
    finally:
        for fd, _, _ in stack:
            os.close(fd)


def _names(fd: int) -> list[str]:
    return sorted(os.listdir(fd))


def _look(folder: int, name: str, path: str) -> Found | None:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            return Found(path, folder, name, status)
        fd = os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        return Found(path, folder, name, os.fstat(fd), fd)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


@dataclass(frozen=True)
class Sum:
    """What a tree holds: bytes of its files (a hard-linked one once), bytes on the disk, numbers
    of files and of folders (without the tree's own)."""

    size: int
    stored: int
    files: int
    folders: int


def measure(root_fd: int, stopped: Callable[[], bool] = lambda: False) -> Sum:
    """Add up a tree. Raises Stopped, EngineError."""
    size = stored = files = folders = 0
    seen: set[tuple[int, int]] = set()
    with contextlib.closing(walk(root_fd, stopped)) as steps:
        for found in steps:
            status = found.status
            if found.fd >= 0:
                folders += 1
                continue
            files += 1
            identity = (status.st_dev, status.st_ino)
            if status.st_nlink > 1:
                if identity in seen:
                    continue
                seen.add(identity)
            size += status.st_size
            stored += status.st_blocks * 512
    return Sum(size, stored, files, folders - 1)
