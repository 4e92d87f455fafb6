"""The files of one log: log, log.1, log.2 and so on, the older ones perhaps compressed (log.1.gz).

A reader has its file open while the writer moves it to another name, or puts a compressed one in
its place. It finds the file again by its inode, or by the time of its first line.
"""

import contextlib
import errno
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

_HEAD = 35  # bytes of the time that each line begins with
_PIECE = 1 << 20
_ATTEMPTS = 100
_GZIP = 31  # zlib's window bits for a gzip header


def rotated(path: Path, number: int) -> Path | None:
    """The file with this number; the plain one where both are there."""
    for name in (f"{path.name}.{number}", f"{path.name}.{number}.gz"):
        if (found := path.with_name(name)).exists():
            return found
    return None


def paths(path: Path) -> list[Path]:
    """The log's files, oldest first: log.2, log.1, log."""
    found = [path] if path.exists() else []
    number = 1
    while (one := rotated(path, number)) is not None:
        found.append(one)
        number += 1
    return found[::-1]


class Part:
    """One file, held open. `size` is what a compressed one takes once it's unpacked."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError."""
        self.packed = path.suffix == ".gz"
        self._folder = path.parent
        self.raw = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._unpacked = -1
        status = os.fstat(self.raw)
        self.inode = (status.st_dev, status.st_ino)

    @property
    def fd(self) -> int:
        """A descriptor of the content; a compressed file is unpacked to one without a name."""
        if not self.packed:
            return self.raw
        if self._unpacked < 0:
            self._unpacked = _nameless(self._folder)
            for piece in _unpack(self.raw):
                os.write(self._unpacked, piece)
            os.lseek(self._unpacked, 0, os.SEEK_SET)
        return self._unpacked

    @property
    def size(self) -> int:
        """Bytes of the content by now."""
        return os.fstat(self.fd).st_size

    @property
    def head(self) -> bytes:
        """What tells the file from the others of the log; empty until it has a line."""
        if self._unpacked >= 0 or not self.packed:
            return os.pread(self.fd, _HEAD, 0)
        return next(_unpack(self.raw), b"")[:_HEAD]

    def is_same(self, other: "Part") -> bool:
        """Whether both are the same part of the log, one of them perhaps compressed since."""
        if self.inode == other.inode:
            return True
        return self.packed != other.packed and bool(self.head) and self.head == other.head

    def close(self) -> None:
        """Close the file; twice is safe."""
        for fd in {self.raw, self._unpacked}:
            if fd >= 0:
                os.close(fd)
        self.raw = self._unpacked = -1


def _nameless(folder: Path) -> int:
    """A new file on the disk that's gone once it's closed; in memory where that can't be had."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return os.memfd_create("log")


def _unpack(fd: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    position = 0
    while piece := os.pread(fd, _PIECE, position):
        position += len(piece)
        while piece:
            content = unpacker.decompress(piece, _PIECE)
            piece = unpacker.unconsumed_tail
            if content:
                yield content


def open_all(path: Path) -> list[Part]:
    """Every file that there is at one moment, oldest first: none is missed when they move on."""
    for _ in range(_ATTEMPTS):
        names = paths(path)
        parts: list[Part] = []
        with contextlib.suppress(FileNotFoundError):
            for name in names:
                parts.append(Part(name))
            if names == paths(path) and _inodes(names) == [part.inode for part in parts]:
                return parts
        close_all(parts)
    raise OSError(errno.EAGAIN, f"the files of {path} change faster than they can be opened")


def _inodes(names: list[Path]) -> list[tuple[int, int]]:
    found = [os.stat(name) for name in names]
    return [(status.st_dev, status.st_ino) for status in found]


def close_all(parts: list[Part]) -> None:
    """Close them."""
    for part in parts:
        part.close()


def shift(path: Path, most: int) -> None:
    """Move each file of the log one number up; the oldest of `most` files goes."""
    for number in range(most - 1, 0, -1):
        newer = rotated(path, number - 1) if number > 1 else path
        for packed in ("", ".gz"):
            path.with_name(f"{path.name}.{number}{packed}").unlink(missing_ok=True)
        if newer is not None:
            end = ".gz" if newer.suffix == ".gz" else ""
            with contextlib.suppress(FileNotFoundError):
                newer.replace(path.with_name(f"{path.name}.{number}{end}"))


def compress(path: Path, most: int) -> None:
    """Compress each file but the first, which is written to."""
    for number in range(1, most):
        plain = path.with_name(f"{path.name}.{number}")
        if plain.exists():
            _pack(plain)


def _pack(plain: Path) -> None:
    packer = zlib.compressobj(1, wbits=_GZIP)
    building = plain.with_name(f"{plain.name}.part")
    try:
        with plain.open("rb") as source, building.open("wb") as target:
            while piece := source.read(_PIECE):
                target.write(packer.compress(piece))
            target.write(packer.flush())
        building.replace(plain.with_name(f"{plain.name}.gz"))
    except OSError:
        building.unlink(missing_ok=True)
        raise
    plain.unlink()
