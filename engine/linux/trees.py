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


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def bind(source: int, target: int, *, writable: bool = True) -> None:
    """Mount what is at `source`, with all below it, over `target`: two descriptors (O_PATH).

    Both of the same kind, a folder or not. Raises OSError.
    """
    tree = _call(_OPEN_TREE, source, b"", _OPEN_TREE_CLONE | os.O_CLOEXEC | _EMPTY_TREE)
    try:
        if not writable:
            asked = _Attributes(set=_READ_ONLY)
            size = ctypes.c_size_t(ctypes.sizeof(asked))
            _call(_MOUNT_SETATTR, tree, b"", _EMPTY_TREE, ctypes.byref(asked), size)
        _call(_MOVE_MOUNT, tree, b"", ctypes.c_int(target), b"", _FROM_AND_TO_EMPTY_PATH)
    finally:
        os.close(tree)


def _call(number: int, fd: int, path: bytes, *more: object) -> int:
    words = [ctypes.c_uint(one) if isinstance(one, int) else one for one in more]
    return check(int(libc().syscall(ctypes.c_long(number), ctypes.c_int(fd), path, *words)))
