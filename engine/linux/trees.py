"""Mounts made from descriptors instead of paths: nobody can swap a path on the way.

open_tree(2), move_mount(2) and mount_setattr(2), in Linux since 5.12.
"""

import ctypes
import os

from engine.linux.libc import check, libc

# the same numbers on every architecture
_OPEN_TREE = 428
_MOVE_MOUNT = 429
_MOUNT_SETATTR = 442
_OPEN_TREE_CLONE = 0x1
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_EMPTY_TREE = _AT_EMPTY_PATH | _AT_RECURSIVE
_FROM_AND_TO_EMPTY_PATH = 0x4 | 0x40
_READ_ONLY = 0x1
_IDMAP = 0x100000
_HERE = -100  # AT_FDCWD


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def bind(source: int, target: int, *, writable: bool = True) -> None:
    """Mount what is at `source`, with all below it, over `target`: two descriptors (O_PATH).

    Both of the same kind, a folder or not. Raises OSError.
    """
    tree = _call(_OPEN_TREE, source, b"", _OPEN_TREE_CLONE | os.O_CLOEXEC | _EMPTY_TREE)
    try:
        if not writable:
            _change(tree, _Attributes(set=_READ_ONLY), _EMPTY_TREE)
        _move(tree, target)
    finally:
        os.close(tree)


def bind_mapped(source: int, target: int, user: int, *, recursive: bool = True) -> None:
    """As `bind`, owners seen through the user namespace `user` (a descriptor).

    What is mounted below on file systems that can't do so keeps its owners. Raises OSError, EINVAL
    when `source` itself is on one.
    """
    below = _AT_RECURSIVE if recursive else 0
    words = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH | below
    tree = _call(_OPEN_TREE, source, b"", words)
    try:
        asked = _Attributes(set=_IDMAP, userns=user)
        try:
            _change(tree, asked, _AT_EMPTY_PATH | below)
        except OSError:
            if not recursive:
                raise
            _change(tree, asked, _AT_EMPTY_PATH)
        _move(tree, target)
    finally:
        os.close(tree)


def can_map(source: int, user: int) -> bool:
    """Whether owners at `source` can be seen through the user namespace `user`."""
    tree = _call(_OPEN_TREE, source, b"", _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH)
    try:
        _change(tree, _Attributes(set=_IDMAP, userns=user), _AT_EMPTY_PATH)
    except OSError:
        return False
    finally:
        os.close(tree)
    return True


def clone(path: str) -> int:
    """A descriptor of a copy of the mount at `path`, to be `place`d. Raises OSError."""
    return _call(_OPEN_TREE, _HERE, os.fsencode(path), _OPEN_TREE_CLONE | os.O_CLOEXEC)


def place(tree: int, target: str) -> None:
    """Mount a `clone` at a path, in whichever mount namespace the thread is. Raises OSError."""
    path = os.open(target, os.O_PATH | os.O_CLOEXEC)
    try:
        _move(tree, path)
    finally:
        os.close(path)


def _change(tree: int, asked: _Attributes, where: int) -> None:
    size = ctypes.c_size_t(ctypes.sizeof(asked))
    _call(_MOUNT_SETATTR, tree, b"", where, ctypes.byref(asked), size)


def _move(tree: int, target: int) -> None:
    _call(_MOVE_MOUNT, tree, b"", ctypes.c_int(target), b"", _FROM_AND_TO_EMPTY_PATH)


def _call(number: int, fd: int, path: bytes, *more: object) -> int:
    words = [ctypes.c_uint(one) if isinstance(one, int) else one for one in more]
    return check(int(libc().syscall(ctypes.c_long(number), ctypes.c_int(fd), path, *words)))
