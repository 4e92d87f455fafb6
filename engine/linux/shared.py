"""Folders of the user's machine inside its VM: links there mean places there, never in the VM.

A share is seen at `HOST_MOUNT` + its path. Containers write to shares, and so make links at will.
"""

import os

from engine.linux.libc import open_in_root

HOST_MOUNT = "/host_mnt"
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def is_shared(path: str) -> bool:
    """Whether a path of this machine is one of the user's."""
    return path.startswith(f"{HOST_MOUNT}/")


def open_path(path: str) -> int:
    """A descriptor (O_PATH) of what is at `path`. Raises OSError."""
    if not is_shared(path):
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    root = os.open(HOST_MOUNT, _FOLDER)
    try:
        return open_in_root(root, path.removeprefix(HOST_MOUNT), os.O_PATH)
    finally:
        os.close(root)
