"""What a writable layer changed: as a list (`docker diff`), and as a layer's tar (commit, export).

Overlayfs' own marks become those of the image specification: a character device 0:0 is written as
`.wh.NAME`, an opaque folder gets `.wh..wh..opq`. Names are sorted: equal trees give equal tars.
"""

import contextlib
import errno
import io
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path

from engine.linux.libc import open_in_root
from engine.snapshots.headers import encode
from engine.values import dataclass

_CHUNK = 1 << 20
_BLOCK = 512
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_RECORD = 10240
# what a running container moved away, or put a link or something else in the place of
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
_OPAQUE = "trusted.overlay.opaque"


class Kind(IntEnum):
    """What happened to a path, in the numbers of Docker's API."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True)
class Change:
    """One changed path, absolute inside the container."""

    path: str
    kind: Kind


def is_whiteout(status: os.stat_result) -> bool:
    """Whether it is overlayfs' mark for a name that is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(folder: str | Path) -> bool:
    """Whether a folder hides what lies below it."""
    try:
        return os.getxattr(folder, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def changes(upper: Path, lowers: Sequence[Path]) -> Iterator[Change]:
    """What `upper` changed on `lowers` (top first), parents before children. Blocks."""
    yield from _changes(upper, "", list(lowers))


def _changes(upper: Path, below: str, lowers: list[Path]) -> Iterator[Change]:
    folder = upper / below
    seen = set()
    for name in sorted(os.listdir(folder)):
        seen.add(name)
        path = f"{below}/{name}" if below else name
        status = os.lstat(upper / path)
        if is_whiteout(status):
            yield Change(f"/{path}", Kind.DELETED)
            continue
        known = _visible(path, lowers)
        yield Change(f"/{path}", Kind.ADDED if known is None else Kind.MODIFIED)
        if stat.S_ISDIR(status.st_mode):
            deeper = known is not None and stat.S_ISDIR(known.st_mode)
            yield from _changes(upper, path, lowers if deeper else [])
    if below and lowers and is_opaque(folder):
        for name in sorted(_names(below, lowers) - seen):
            yield Change(f"/{below}/{name}", Kind.DELETED)


def _visible(path: str, lowers: Sequence[Path]) -> os.stat_result | None:
    """What the lower layers show at a path, None when it isn't there."""
    parts = path.split("/")
    for lower in lowers:
        for depth in range(1, len(parts) + 1):
            part = lower.joinpath(*parts[:depth])
            try:
                status = os.lstat(part)
            except OSError:
                break
            if is_whiteout(status):
                return None
            if depth == len(parts):
                return status
            if not stat.S_ISDIR(status.st_mode):
                return None
            if is_opaque(part) and not os.path.lexists(lower / path):
                return None
    return None


def _names(folder: str, lowers: Sequence[Path]) -> set[str]:
    names: set[str] = set()
    for lower in lowers:
        try:
            names.update(os.listdir(lower / folder))
        except OSError:
            continue
    return {name for name in names if _visible(f"{folder}/{name}", lowers) is not None}


def tar_of(root: Path, *, layer: bool) -> Iterator[bytes]:
    """The tree below `root` as a tar; with `layer`, whiteouts in the image's words. Blocks.

    Files that change while they are read are cut or padded to the size they began with.
    """
    written = 0
    links: dict[tuple[int, int], str] = {}
    with contextlib.closing(_Places(root)) as places:
        for path in _walk(root):
            for piece in _member(places, path, links, layer):
                written += len(piece)
                yield piece
    yield b"\0" * (2 * _BLOCK + -(written + 2 * _BLOCK) % _RECORD)


class _Places:
    """Where the members of a tree are, by their folders' descriptors.

    The container may run: a folder that it swaps for a link leads nowhere outside of the tree.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, _FOLDER)
        self._parent, self._fd = "", os.dup(self._root)

    def at(self, path: str) -> Path:
        """A path to use at once: it holds until the next call. Raises OSError."""
        parent, _, name = path.rpartition("/")
        if parent != self._parent:
            found = open_in_root(self._root, parent or "/", _FOLDER)
            os.close(self._fd)
            self._parent, self._fd = parent, found
        return Path(f"/proc/self/fd/{self._fd}", name)

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self._fd)
        os.close(self._root)


def _walk(root: Path, below: str = "") -> Iterator[str]:
    try:
        names = sorted(os.listdir(root / below))
    except OSError as error:
        _check_gone(error)
        return
    for name in names:
        path = f"{below}/{name}" if below else name
        yield path
        if stat.S_ISDIR(_mode(root / path)):
            yield from _walk(root, path)


def _mode(path: Path) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError as error:
        _check_gone(error)
        return 0


def _check_gone(error: OSError) -> None:
    if error.errno not in _GONE:
        raise error


def _member(
    places: _Places, path: str, links: dict[tuple[int, int], str], layer: bool
) -> Iterator[bytes]:
    try:
        full = places.at(path)
        status = os.lstat(full)
    except OSError as error:
        _check_gone(error)
        return
    if layer and is_whiteout(status):
        folder, _, name = path.rpartition("/")
        yield encode(tarfile.TarInfo(f"{folder}/.wh.{name}" if folder else f".wh.{name}"))
        return
    with contextlib.ExitStack() as stack:
        try:
            info = _info(full, path, status, links)
            if info is None:
                return  # a socket: no tar holds one
            file = stack.enter_context(_open(full)) if info.isreg() else None
        except OSError as error:
            _check_gone(error)
            return
        yield encode(info)
        if file is not None:
            yield from _content(file, info.size)
    if layer and info.isdir() and is_opaque(full):
        yield encode(tarfile.TarInfo(f"{path}/.wh..wh..opq"))


def _info(
    full: Path, path: str, status: os.stat_result, links: dict[tuple[int, int], str]
) -> tarfile.TarInfo | None:
    info = tarfile.TarInfo(path)
    info.mode, info.uid, info.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    headers: dict[str, str] = {}
    info.pax_headers = headers
    seconds, rest = divmod(status.st_mtime_ns, 1_000_000_000)
    info.mtime = seconds
    if rest:
        headers["mtime"] = f"{seconds}.{rest:09d}".rstrip("0")
    identity = (status.st_dev, status.st_ino)
    if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1 and identity in links:
        info.type, info.linkname = tarfile.LNKTYPE, links[identity]
        return info
    links[identity] = path
    if stat.S_ISREG(status.st_mode):
        info.size = status.st_size
    elif stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(full)
    elif stat.S_ISFIFO(status.st_mode):
        info.type = tarfile.FIFOTYPE
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        info.type = tarfile.CHRTYPE if stat.S_ISCHR(status.st_mode) else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    else:
        return None
    if not info.issym():
        headers |= _xattrs(full)
    return info


def _xattrs(full: Path) -> dict[str, str]:
    headers = {}
    for name in os.listxattr(full, follow_symlinks=False):
        if not name.startswith(("trusted.overlay.", "security.selinux")):
            value = os.getxattr(full, name, follow_symlinks=False)
            headers[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    return headers


def _open(full: Path) -> io.FileIO:
    return open(full, "rb", buffering=0, opener=_open_no_follow)


def _content(file: io.FileIO, size: int) -> Iterator[bytes]:
    left = size
    # the container may run: a device node in the file's place is not read
    plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    while plain and left and (piece := file.read(min(left, _CHUNK))):
        left -= len(piece)
        yield piece
    while left:
        piece = b"\0" * min(left, _CHUNK)
        left -= len(piece)
        yield piece
    if size % _BLOCK:
        yield b"\0" * (-size % _BLOCK)


def _open_no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME)
