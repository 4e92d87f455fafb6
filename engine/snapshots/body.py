"""What an entry of a tar puts into a file that is open: its content, its attributes."""

import errno
import os

from engine.snapshots.tar import Entry, Reader

_FORBIDDEN_XATTRS = (b"trusted.overlay.", b"user.overlay.")
_IGNORED = (errno.ENOTSUP, errno.EPERM, errno.EINVAL, errno.ERANGE)


def write_body(fd: int, entry: Entry, reader: Reader) -> None:
    """The content of a plain file, holes where it has them. Raises TarError, OSError."""
    if entry.holes is not None:
        _write_sparse(fd, entry, reader)
        return
    for piece in reader.body():
        while piece:
            piece = piece[os.write(fd, piece) :]


def _write_sparse(fd: int, entry: Entry, reader: Reader) -> None:
    os.ftruncate(fd, entry.real_size)
    body = reader.body()
    view = memoryview(b"")
    for offset, length in entry.holes or ():
        while length:
            if not view:
                view = next(body)
            written = os.pwrite(fd, view[:length], offset)
            view = view[written:]
            offset += written
            length -= written
    for _ in body:
        pass


def set_xattrs(file: int | bytes, entry: Entry) -> None:
    """Extended attributes on a descriptor or path (no link is followed). Raises OSError.

    What the file system doesn't take is left out.
    """
    for key, value in entry.xattrs.items():
        if key.startswith(_FORBIDDEN_XATTRS) or b"\0" in key or not key:
            continue  # overlayfs' own words would let a layer rewrite the union
        try:
            if isinstance(file, int):
                os.setxattr(file, key, value)
            else:
                os.setxattr(file, key, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _IGNORED:
                raise
