"""Tar streams of a container's files, made by a thread confined to its root.

Imports are all done here, before any thread enters a root: see linux.confined. Owners are numbers
alone, because names would be looked up in the container's files.
"""

import errno
import os
import posixpath
import stat
import tarfile
from collections.abc import Callable

from engine.errors import EngineError, NotFound
from engine.linux import identity
from engine.values import dataclass

_PIECE = 1 << 18

_REPLACED = (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.ENOTDIR)
_KERNEL = frozenset({"/dev", "/proc", "/sys"})
_GO_MODES = (
    (stat.S_IFDIR, 1 << 31),
    (stat.S_IFLNK, 1 << 27),
    (stat.S_IFBLK, 1 << 26),
    (stat.S_IFIFO, 1 << 25),
    (stat.S_IFSOCK, 1 << 24),
    (stat.S_IFCHR, 1 << 26 | 1 << 21),
)
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))

Write = Callable[[bytes], None]


@dataclass(frozen=True)
class PathStat:
    """What X-Docker-Container-Path-Stat says; `mode` is Go's os.FileMode, mtime ns since 1970."""

    name: str
    size: int
    mode: int
    mtime: int
    link_target: str


def go_mode(mode: int) -> int:
    """st_mode as Go's os.FileMode."""
    found = mode & 0o777
    for kind, bit in _GO_MODES:
        if stat.S_IFMT(mode) == kind:
            found |= bit
    for own, bit in _GO_BITS:
        if mode & own:
            found |= bit
    return found


def missing(path: str, container: str) -> NotFound:
    """The error for a path that a container doesn't have."""
    return NotFound(f"Could not find the file {path} in container {container}")


def locate(path: str) -> str:
    """The absolute path; a trailing `/` or `/.` is kept, for it asks to follow a last link."""
    clean = "/" + posixpath.normpath("/" + path).lstrip("/")
    if clean != "/" and (path.endswith("/") or path.endswith("/.")):
        clean += "/."
    return clean


def stat_path(path: str, container: str) -> PathStat:
    """Inside the root: what is at `path`. Raises NotFound."""
    where = locate(path)
    status = _status(where, path, container)
    target = ""
    if stat.S_ISLNK(status.st_mode):
        target = os.path.realpath(where)
        if os.path.islink(target):
            raise EngineError(f"evalSymlinksInScope: too many links in {path}")
    name = posixpath.basename(path.rstrip("/")) or "/"
    return PathStat(name, status.st_size, go_mode(status.st_mode), status.st_mtime_ns, target)


def _status(where: str, path: str, container: str) -> os.stat_result:
    """What is at `where`. Raises NotFound, EngineError when the way there is no way."""
    try:
        return os.lstat(where)
    except FileNotFoundError as error:
        raise missing(path, container) from error
    except OSError as error:
        raise EngineError(f"lstat {path}: {(error.strerror or '').lower()}") from error
    except ValueError as error:  # a zero in it
        raise EngineError(f"lstat {path}: invalid argument") from error


def _info(path: str, name: str, status: os.stat_result) -> tarfile.TarInfo | None:
    """The header of one entry; None for what tar can't hold (sockets)."""
    info = tarfile.TarInfo(name)
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = identity.inside(status.st_uid, status.st_gid)
    info.mtime = status.st_mtime_ns // 1_000_000_000
    mode = status.st_mode
    if stat.S_ISREG(mode):
        info.size = status.st_size
    elif stat.S_ISDIR(mode):
        info.type = tarfile.DIRTYPE
        info.name = name if name.endswith("/") else f"{name}/"
    elif stat.S_ISLNK(mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif stat.S_ISFIFO(mode):
        info.type = tarfile.FIFOTYPE
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        info.type = tarfile.CHRTYPE if stat.S_ISCHR(mode) else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    else:
        return None
    for key in _attributes(path):
        if key == "security.capability":
            value = identity.plain_capability(os.getxattr(path, key, follow_symlinks=False))
            text = value.decode("utf-8", "surrogateescape")
            info.pax_headers = {f"SCHILY.xattr.{key}": text}
    return info


def _attributes(path: str) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOENT):  # no such thing there; or it's gone
            return []
        raise


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _open(path: str) -> int:
    """A descriptor to read, -1 when the file is gone or something else has its name by now."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _REPLACED:
            return -1
        raise


def _content(path: str, size: int, write: Write) -> None:
    """Exactly `size` bytes of a file and the padding, whatever happens to it meanwhile."""
    left = size
    if (fd := _open(path)) >= 0:
        try:
            # a device may have taken the file's place: containers make nodes that they can't open
            plain = stat.S_ISREG(os.fstat(fd).st_mode)
            while plain and left and (piece := os.read(fd, min(left, _PIECE))):
                write(piece)
                left -= len(piece)
        finally:
            os.close(fd)
    padding = left + -size % tarfile.BLOCKSIZE
    while padding:
        part = min(padding, _PIECE)
        write(bytes(part))
        padding -= part


class _Packer:
    """Writes entries; a file with several names is stored once."""

    def __init__(self, write: Write, device: int | None) -> None:
        self._write = write
        self._device = device
        self._first = ""
        self._links: dict[tuple[int, int], str] = {}

    def _enters(self, path: str, status: os.stat_result) -> bool:
        """Whether what is in a folder belongs to the tar: not the kernel's unless asked for."""
        if self._device is not None:
            return status.st_dev == self._device
        return path == self._first or path not in _KERNEL

    def add(self, path: str, name: str) -> None:
        """`path` with everything below, as `name`."""
        self._first = self._first or path
        try:
            status = os.lstat(path)
            info = _info(path, name, status)
        except FileNotFoundError:
            return
        if info is None:
            return
        identity = (status.st_dev, status.st_ino)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            if identity in self._links:
                info.type, info.size = tarfile.LNKTYPE, 0
                info.linkname = self._links[identity]
            else:
                self._links[identity] = name
        self._write(_header(info))
        if info.isreg():
            _content(path, info.size, self._write)
        if stat.S_ISDIR(status.st_mode) and self._enters(path, status):
            for child in sorted(_names(path)):
                self.add(posixpath.join(path, child), posixpath.join(name, child))


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def pack(path: str, container: str, write: Write) -> None:
    """Inside the root: the tar of `path`, as Docker names its entries. Raises NotFound."""
    where = locate(path)
    _status(where, path, container)
    whole = where == "/" or path.endswith("/.")
    name = "." if whole else posixpath.basename(where.removesuffix("/."))
    _Packer(write, None).add(where, name)
    write(bytes(2 * tarfile.BLOCKSIZE))


def export(write: Write) -> None:
    """Inside the root: the tar of the whole root without what is mounted into it."""
    packer = _Packer(write, os.lstat("/").st_dev)
    for name in sorted(_names("/")):
        packer.add(f"/{name}", name)
    write(bytes(2 * tarfile.BLOCKSIZE))
