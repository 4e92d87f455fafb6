"""The data disk: a sparse raw file that only grows."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from desktop.failure import ExitCode, Failure

GIB = 1 << 30
# Below this the guest's first writes could already fail, which damages more than it serves.
ROOM_LEAST = 512 << 20


def prepare(path: Path, gib: int) -> bool:
    """Make the disk or grow it to `gib`; returns whether it was made. Raises Failure.

    A file larger than asked keeps its size: cutting it would cut the file system in it.
    """
    check_room(path)
    try:
        made = not path.exists()
        # No O_TRUNC: an existing disk is the user's containers and volumes.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise _failed(path, error) from error
    try:
        if os.fstat(handle).st_size < gib * GIB:
            os.ftruncate(handle, gib * GIB)
    except OSError as error:
        if made:
            path.unlink(missing_ok=True)
        raise _failed(path, error) from error
    finally:
        os.close(handle)
    return made


def size_gib(path: Path) -> int | None:
    """The size of the disk in GiB, None before it was made."""
    try:
        return path.stat().st_size // GIB
    except OSError:
        return None


def used_bytes(path: Path) -> int:
    """What the sparse file takes from the host's disk."""
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def check_room(path: Path) -> None:
    """Raise Failure when the disk's file has no room to grow in."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise _failed(path, error) from error
    if free < ROOM_LEAST:
        raise Failure(
            "The VM's disk has no room.",
            f"{path.parent} has {free >> 20} MB free; {ROOM_LEAST >> 20} MB are needed.",
            "Make room on that file system, or set COVE_HOME to a folder on another.",
            ExitCode.FAILED,
        )


def _failed(path: Path, error: OSError) -> Failure:
    hints = {
        errno.ENOSPC: "Make room on that file system.",
        errno.EFBIG: "That file system can't hold so large a file: set a smaller disk with "
        "`cove config set disk SIZE`, or move COVE_HOME to another file system.",
    }
    return Failure(
        f"The VM's disk {path} can't be prepared.",
        f"{error.strerror}.",
        hints.get(error.errno or 0, "Make the folder and the file writable for you."),
    )
