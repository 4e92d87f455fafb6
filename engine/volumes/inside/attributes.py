"""Extended attributes of files in folders that others are changing."""

import errno
import os

_ABSENT = frozenset({errno.ENOTSUP, errno.EPERM, errno.ENODATA, errno.EACCES, errno.ENOENT})
_OVERLAY = "trusted.overlay."


def path_in(folder: int, name: str) -> str:
    """A path for calls that know no descriptors: the folder's own, however its path changes."""
    return f"/proc/self/fd/{folder}/{name}"


def read_attributes(file: int | str) -> dict[str, bytes]:
    """All of a descriptor, or of a path itself (no link is followed); {} where there are none."""
    follow = isinstance(file, int)
    found: dict[str, bytes] = {}
    try:
        for name in os.listxattr(file, follow_symlinks=follow):
            if not name.startswith(_OVERLAY):
                found[name] = os.getxattr(file, name, follow_symlinks=follow)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
    return found


def write_attributes(attributes: dict[str, bytes], file: int | str) -> None:
    """Set them; what the file system doesn't take is left out."""
    follow = isinstance(file, int)
    for name, value in attributes.items():
        try:
            os.setxattr(file, name, value, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise


def copy_attributes(source: int | str, target: int | str) -> None:
    """From one descriptor or path to another."""
    write_attributes(read_attributes(source), target)
