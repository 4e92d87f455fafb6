"""A hint to ext4 on where to place folders; other file systems ignore it.

ext4 keeps new folders near their parent. Below a crowded one, each mkdir and create then searches
full block groups: measured 8.8 s of kernel time for an image that takes 2.1 s elsewhere on the same
disk. A folder with the attribute T (chattr(1)) has its subfolders spread over roomy groups instead.
"""

import contextlib
import fcntl
import os
import struct
from pathlib import Path

_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_TOPDIR = 0x00020000


def spread_below(folder: Path) -> None:
    """Let subfolders of `folder` be placed independently of it. Never fails: it's only a hint."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            (flags,) = struct.unpack("l", fcntl.ioctl(fd, _FS_IOC_GETFLAGS, struct.pack("l", 0)))
            if not flags & _TOPDIR:
                fcntl.ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("l", flags | _TOPDIR))
        finally:
            os.close(fd)
