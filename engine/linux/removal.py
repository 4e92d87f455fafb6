"""Delete a tree of any depth, however its makers meant it.

Containers make folders deeper than any path can name, and `shutil.rmtree` gives up on them. Here
what lies too deep is moved up first, so that neither the stack nor descriptors run out.
"""

import contextlib
import itertools
import os
from pathlib import Path

from engine.linux.libc import open_unmounted

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEP = 100
_MOVED = b".removed-"


def remove_tree(path: str | bytes | Path, *, dir_fd: int | None = None) -> bool:
    """Delete a folder and all below it; links are deleted, never followed. Blocks.

    What is mounted below is never entered: it's a volume, or a folder of the user's. A folder that
    isn't there is fine. What can't be deleted (a mount point, an immutable file) is left, with the
    folders above it; then the answer is False.
    """
    try:
        top = os.open(path, _FOLDER, dir_fd=dir_fd)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        whole = _Removal(top).run()
    finally:
        os.close(top)
    try:
        os.rmdir(path, dir_fd=dir_fd)
    except OSError:
        return False
    return whole


class _Removal:
    """The deletion of what is in one open folder."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._names = (b"%s%d" % (_MOVED, number) for number in itertools.count())
        self._moved: list[bytes] = []
        self._whole = True

    def run(self) -> bool:
        """Empty the folder; whether all went."""
        self._empty(self._top, 0)
        while self._moved:
            try:
                self._folder(self._top, self._moved.pop(), 1)
            except OSError:
                self._whole = False
        return self._whole

    def _empty(self, fd: int, depth: int) -> None:
        with os.scandir(fd) as found:
            entries = [
                (os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in found
            ]
        for name, folder in entries:
            try:
                if not folder:
                    os.unlink(name, dir_fd=fd)
                elif depth < _DEEP:
                    self._folder(fd, name, depth + 1)
                else:
                    self._move_up(fd, name)
            except FileNotFoundError:
                continue  # somebody else deletes here, too
            except OSError:
                self._whole = False

    def _folder(self, fd: int, name: bytes, depth: int) -> None:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=fd)
            return
        below = open_unmounted(fd, name, _FOLDER)
        try:
            self._empty(below, depth)
        finally:
            os.close(below)
        os.rmdir(name, dir_fd=fd)

    def _move_up(self, fd: int, name: bytes) -> None:
        while True:
            free = next(self._names)
            try:
                os.rename(name, free, src_dir_fd=fd, dst_dir_fd=self._top)
            except FileExistsError:
                continue
            except OSError as error:
                if os.path.lexists(f"/proc/self/fd/{self._top}/{os.fsdecode(free)}"):
                    continue
                raise error
            self._moved.append(free)
            return
