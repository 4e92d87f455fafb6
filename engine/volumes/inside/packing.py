"""A tree as a tar (pax): owners, modes, times to the nanosecond, attributes, hard links, holes.

Sparse files are GNU's format 1.0 (tar's manual, "Storing Sparse Files"), which every reader of pax
archives either knows or shows as a plain file. Sockets are left out.
"""

import contextlib
import os
import stat
import tarfile
from collections.abc import Callable, Sequence

from engine.snapshots.headers import encode
from engine.volumes.inside.attributes import path_in, read_attributes
from engine.volumes.inside.copying import extents
from engine.volumes.inside.progress import Progress
from engine.volumes.inside.walk import Found, Stopped, open_plain, walk

_PIECE = 1 << 18
_BLOCK = tarfile.BLOCKSIZE
_SECOND = 1_000_000_000

Write = Callable[[bytes], None]


class Packer:
    """Writes the tar of an open folder. Blocks. Raises Stopped, OSError, EngineError."""

    def __init__(self, write: Write, progress: Progress) -> None:
        self._write = write
        self._progress = progress
        self._links: dict[tuple[int, int], str] = {}

    def run(self, root_fd: int) -> None:
        """Everything, the folder itself as `./`."""
        with contextlib.closing(walk(root_fd, self._progress.stopped)) as steps:
            for found in steps:
                with contextlib.suppress(FileNotFoundError):  # gone since
                    self._add(found)
        self._write(bytes(2 * _BLOCK))

    def _add(self, found: Found) -> None:
        mode = found.status.st_mode
        if found.fd >= 0:
            self._write(encode(_header(found, found.status, read_attributes(found.fd))))
        elif stat.S_ISSOCK(mode):
            return
        elif (first := self._first_name(found)) is not None:
            info = _header(found, found.status, {})
            info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
            self._write(encode(info))
        elif stat.S_ISREG(mode):
            self._file(found)
        else:
            attributes = read_attributes(path_in(found.folder, found.name))
            self._write(encode(_header(found, found.status, attributes)))
            self._remember(found, found.status)
        self._progress.add(files=1)

    def _first_name(self, found: Found) -> str | None:
        if found.status.st_nlink < 2:
            return None
        return self._links.get((found.status.st_dev, found.status.st_ino))

    def _remember(self, found: Found, status: os.stat_result) -> None:
        if status.st_nlink > 1:
            self._links[(status.st_dev, status.st_ino)] = found.path

    def _file(self, found: Found) -> None:
        fd = open_plain(found)
        if fd < 0:
            return
        try:
            status = os.fstat(fd)
            self._remember(found, status)
            info = _header(found, status, read_attributes(fd))
            if status.st_blocks * 512 < status.st_size:
                self._sparse(fd, info)
            else:
                info.size = status.st_size
                self._write(encode(info))
                self._content(fd, 0, status.st_size)
                self._write(bytes(-status.st_size % _BLOCK))
        finally:
            os.close(fd)

    def _sparse(self, fd: int, info: tarfile.TarInfo) -> None:
        size = os.fstat(fd).st_size
        pieces = list(extents(fd, size))
        table = _sparse_map(pieces, size)
        length = sum(end - start for start, end in pieces)
        info.pax_headers = {
            **info.pax_headers,
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": info.name,
            "GNU.sparse.realsize": str(size),
        }
        folder, _, name = info.name.rpartition("/")
        info.name = f"{folder}/GNUSparseFile.0/{name}" if folder else f"GNUSparseFile.0/{name}"
        info.size = len(table) + length
        self._write(encode(info))
        self._write(table)
        for start, end in pieces:
            self._content(fd, start, end)
        self._write(bytes(-length % _BLOCK))

    def _content(self, fd: int, start: int, end: int) -> None:
        """Exactly these bytes, zeros in place of what a file lost meanwhile."""
        while start < end:
            if self._progress.stopped():
                raise Stopped
            piece = os.pread(fd, min(end - start, _PIECE), start)
            piece = piece or bytes(min(end - start, _PIECE))
            self._write(piece)
            self._progress.add(len(piece))
            start += len(piece)


def _sparse_map(pieces: Sequence[tuple[int, int]], size: int) -> bytes:
    """The decimal map in front of a sparse file's data, padded to whole blocks."""
    rows = [(start, end - start) for start, end in pieces]
    rows.append((size, 0))  # marks the end of a file that ends with a hole
    numbers = [len(rows), *(number for row in rows for number in row)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % _BLOCK)


def _header(found: Found, status: os.stat_result, attributes: dict[str, bytes]) -> tarfile.TarInfo:
    info = tarfile.TarInfo(found.path or ".")
    mode = status.st_mode
    info.mode = stat.S_IMODE(mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    seconds, rest = divmod(status.st_mtime_ns, _SECOND)
    info.mtime = seconds
    more = {
        f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape")
        for key, value in attributes.items()
    }
    if rest and seconds >= 0:
        more["mtime"] = f"{seconds}.{rest:09d}"
    info.pax_headers = more
    if stat.S_ISDIR(mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(mode):
        info.type = tarfile.SYMTYPE
        info.linkname = os.readlink(found.name, dir_fd=found.folder)
    elif stat.S_ISFIFO(mode):
        info.type = tarfile.FIFOTYPE
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        info.type = tarfile.CHRTYPE if stat.S_ISCHR(mode) else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return info
