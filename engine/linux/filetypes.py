"""Kinds of files, in the words that browsers of images and volumes show."""

import stat
from enum import StrEnum


class Type(StrEnum):
    """What kind of file it is."""

    FILE = "file"
    FOLDER = "directory"
    LINK = "symlink"
    CHARACTER = "character device"
    BLOCK = "block device"
    FIFO = "fifo"
    SOCKET = "socket"


_TYPES = {
    stat.S_IFREG: Type.FILE,
    stat.S_IFDIR: Type.FOLDER,
    stat.S_IFLNK: Type.LINK,
    stat.S_IFCHR: Type.CHARACTER,
    stat.S_IFBLK: Type.BLOCK,
    stat.S_IFIFO: Type.FIFO,
    stat.S_IFSOCK: Type.SOCKET,
}


def type_of(mode: int) -> Type:
    """The kind of file of an st_mode."""
    return _TYPES[stat.S_IFMT(mode)]
