"""Unpack a layer's tar into its own folder, and never outside it, whatever the tar says.

Nothing is ever opened by a path of the archive: each component is opened from its parent's
descriptor with O_NOFOLLOW, symbolic links among the parents are resolved here, inside the layer's
root. Whiteouts become overlayfs' own (OCI image spec, layer.md): `.wh.NAME` a character device 0:0,
`.wh..wh..opq` the attribute trusted.overlay.opaque.
"""

import errno
import hashlib
import os
import stat
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from engine.content import compression
from engine.linux.removal import remove_tree
from engine.snapshots.body import set_xattrs, write_body
from engine.snapshots.tar import Entry, Reader, Source, TarError
from engine.values import dataclass

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORIES = 64
_LINK_DEPTH = 40
_DEPTH = 1000  # folders in each other; what a path of 4096 bytes names is rarely a tenth of it
_NAME_LIMIT = 4096  # PATH_MAX
_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"

Parts = tuple[bytes, ...]


class UnpackError(Exception):
    """The layer can't be unpacked: damaged, or it tries what no layer may."""


@dataclass(frozen=True)
class Limits:
    """What one layer may hold: entries, and bytes that come out of its compression."""

    entries: int
    size: int


UNLIMITED = Limits(sys.maxsize, sys.maxsize)


@dataclass(frozen=True)
class Unpacked:
    """What came out: the digest of the tar, bytes of its files, number of entries."""

    diff_id: str
    size: int
    entries: int


def parts_of(name: bytes) -> Parts:
    """A member's path as components below the root, `.` and `..` resolved by word.

    Raises UnpackError for a path that climbs out.
    """
    if len(name) > _NAME_LIMIT:
        raise UnpackError(f"layer entry {_show(name)}... has a path of {len(name)} bytes")
    found: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not found:
                raise UnpackError(f"layer entry {_show(name)} points outside of the layer")
            found.pop()
        elif part not in (b"", b"."):
            found.append(part)
    if b"\0" in name:
        raise UnpackError(f"layer entry {_show(name)} has a NUL in its name")
    return tuple(found)


def _show(name: bytes) -> str:
    return repr(name[:200].decode("utf-8", "replace"))


class _Folders:
    """Descriptors of folders below one root, opened without ever following a link."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, _DIRECTORY)
        self._open: OrderedDict[Parts, int] = OrderedDict()

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()
        os.close(self._root)

    def forget(self, parts: Parts) -> None:
        """Something at `parts` was replaced: cached descriptors at and below it are stale."""
        depth = len(parts)
        for known in [known for known in self._open if known[:depth] == parts]:
            os.close(self._open.pop(known))

    def get(self, parts: Parts) -> int:
        """The folder's descriptor, valid until the next call; missing ones are made (0755)."""
        if not parts:
            return self._root
        fd = self._open.get(parts)
        if fd is not None:
            self._open.move_to_end(parts)
            return fd
        return self._keep(parts, self._walk(parts))

    def find(self, parts: Parts) -> int:
        """As `get`, but nothing is made: FileNotFoundError when it isn't there."""
        known = self._open.get(parts) if parts else self._root
        if known is not None:
            return known
        return self._keep(parts, self._walk(parts, make=False))

    def _keep(self, parts: Parts, fd: int) -> int:
        self._open[parts] = fd
        if len(self._open) > _OPEN_DIRECTORIES:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def _walk(self, wanted: Parts, *, make: bool = True) -> int:
        """Open component by component; links are resolved as if the root were `/`."""
        todo = list(reversed(wanted))
        path: list[bytes] = []
        fd = os.dup(self._root)
        links = 0
        try:
            while todo:
                part = todo.pop()
                if part in (b"", b"."):
                    continue
                if part == b"..":
                    del path[-1:]
                    fd = self._step(fd, self._walk(tuple(path), make=False))
                    continue
                try:
                    fd = self._step(fd, self._enter(fd, part, make))
                except OSError as error:
                    if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                        raise
                    target = self._link(fd, part, wanted)
                    links += 1
                    if links > _LINK_DEPTH:
                        raise UnpackError(f"too many links in {_show(b'/'.join(wanted))}") from None
                    if target.startswith(b"/"):
                        path.clear()
                        fd = self._step(fd, os.dup(self._root))
                    todo += reversed(target.split(b"/"))
                    continue
                path.append(part)
                if len(path) > _DEPTH:
                    raise UnpackError(f"layer entry {_show(b'/'.join(wanted))} is too deep")
            found, fd = fd, -1
            return found
        finally:
            if fd >= 0:
                os.close(fd)

    @staticmethod
    def _step(left: int, entered: int) -> int:
        os.close(left)
        return entered

    @staticmethod
    def _enter(parent: int, part: bytes, make: bool) -> int:
        try:
            return os.open(part, _DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(part, 0o755, dir_fd=parent)
            return os.open(part, _DIRECTORY, dir_fd=parent)

    @staticmethod
    def _link(parent: int, part: bytes, wanted: Parts) -> bytes:
        try:
            return os.readlink(part, dir_fd=parent)
        except OSError:
            raise UnpackError(
                f"layer entry below {_show(b'/'.join(wanted))}: {_show(part)} is not a directory"
            ) from None


class Unpacker:
    """Applies entries to `root`, an empty folder that nobody else touches meanwhile."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self._folders = _Folders(root)
        self._limits = limits
        self._times: dict[Parts, int] = {}
        self.size = 0
        self.entries = 0

    def close(self) -> None:
        """Release the descriptors."""
        self._folders.close()

    def apply(self, reader: Reader) -> None:
        """Everything of the tar. Raises UnpackError, TarError, OSError."""
        for entry in reader:
            self.entries += 1
            if self.entries > self._limits.entries:
                raise UnpackError(
                    f"the layer has more than {self._limits.entries} entries; "
                    "the engine's option --max-layer-entries sets this limit"
                )
            parts = parts_of(entry.name)
            if not parts:
                if entry.type == b"5":
                    self._dress_root(entry)
                continue
            name = parts[-1]
            if name.startswith(_WHITEOUT):
                self._whiteout(parts[:-1], name)
            else:
                self._make(entry, parts, reader)
        self._finish_times()

    def _finish_times(self) -> None:
        for parts, mtime in self._times.items():
            try:
                os.utime(self._folders.find(parts), ns=(mtime, mtime))
            except (OSError, UnpackError):
                continue  # replaced since by something that is no folder

    def _dress_root(self, entry: Entry) -> None:
        fd = self._folders.get(())
        os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        self._times[()] = entry.mtime

    def _whiteout(self, folder: Parts, name: bytes) -> None:
        fd = self._folders.get(folder)
        if name == _OPAQUE:
            os.setxattr(fd, "trusted.overlay.opaque", b"y")
            return
        if name.startswith(b".wh..wh."):
            return  # bookkeeping of aufs
        hidden = name[len(_WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise UnpackError(f"invalid whiteout {_show(name)} in a layer")
        try:
            os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=fd)
        except FileExistsError:
            # the layer has its own file of that name: only what lies below is to vanish
            if stat.S_ISDIR(os.stat(hidden, dir_fd=fd, follow_symlinks=False).st_mode):
                os.setxattr(self._folders.get((*folder, hidden)), "trusted.overlay.opaque", b"y")

    def _make(self, entry: Entry, parts: Parts, reader: Reader) -> None:
        folder, name = self._folders.get(parts[:-1]), parts[-1]
        kind = entry.type
        if kind == b"0":
            self._file(entry, folder, name, parts, reader)
        elif kind == b"5":
            self._directory(entry, folder, name, parts)
        elif kind == b"1":
            self._hard_link(entry, parts)
        elif kind == b"2":
            self._replacing(folder, parts, lambda: os.symlink(entry.link, name, dir_fd=folder))
            self._dress(entry, folder, name)
        elif kind in (b"3", b"4", b"6"):
            mode = {b"3": stat.S_IFCHR, b"4": stat.S_IFBLK, b"6": stat.S_IFIFO}[kind]
            device = os.makedev(entry.major & 0xFFF, entry.minor & 0xFFFFF)
            self._replacing(
                folder, parts, lambda: os.mknod(name, mode | 0o600, device, dir_fd=folder)
            )
            self._dress(entry, folder, name)
            os.chmod(name, entry.mode, dir_fd=folder)  # a fresh node: no link to follow
        else:
            raise UnpackError(f"layer entry {_show(entry.name)} has the unknown type {kind!r}")

    def _replacing(self, folder: int, parts: Parts, make: Callable[[], None]) -> None:
        """Make something; what has the name already gives way. Whiteouts count as nothing."""
        try:
            make()
        except FileExistsError:
            self._discard(folder, parts)
            make()

    def _discard(self, folder: int, parts: Parts) -> None:
        name = parts[-1]
        self._folders.forget(parts)
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            remove_tree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)

    def _dress(self, entry: Entry, folder: int, name: bytes) -> None:
        os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=folder, follow_symlinks=False)

    def _file(self, entry: Entry, folder: int, name: bytes, parts: Parts, reader: Reader) -> None:
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=folder)
        except FileExistsError:
            self._discard(folder, parts)
            fd = os.open(name, _CREATE, 0o600, dir_fd=folder)
        try:
            write_body(fd, entry, reader)
            self.size += entry.real_size
            if entry.uid or entry.gid:
                os.fchown(fd, entry.uid, entry.gid)
            os.fchmod(fd, entry.mode)
            set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _directory(self, entry: Entry, folder: int, name: bytes, parts: Parts) -> None:
        opaque = False
        try:
            os.mkdir(name, 0o755, dir_fd=folder)
        except FileExistsError:
            there = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(there.st_mode):
                # after a whiteout of the name, the new folder hides the one below
                opaque = stat.S_ISCHR(there.st_mode) and there.st_rdev == 0
                os.unlink(name, dir_fd=folder)
                os.mkdir(name, 0o755, dir_fd=folder)
        fd = os.open(name, _DIRECTORY, dir_fd=folder)
        try:
            os.fchown(fd, entry.uid, entry.gid)
            os.fchmod(fd, entry.mode)
            set_xattrs(fd, entry)
            if opaque:
                os.setxattr(fd, "trusted.overlay.opaque", b"y")
        finally:
            os.close(fd)
        self._times[parts] = entry.mtime

    def _hard_link(self, entry: Entry, parts: Parts) -> None:
        target = parts_of(entry.link)
        if not target or target == parts:
            raise UnpackError(f"layer entry {_show(entry.name)} links to {_show(entry.link)}")
        # both stay valid: two lookups evict nothing younger than 64
        source = os.dup(self._folders.get(target[:-1]))
        try:
            folder = self._folders.get(parts[:-1])
            self._replacing(
                folder,
                parts,
                lambda: os.link(
                    target[-1],
                    parts[-1],
                    src_dir_fd=source,
                    dst_dir_fd=folder,
                    follow_symlinks=False,
                ),
            )
        except (FileNotFoundError, PermissionError) as error:
            raise UnpackError(
                f"layer entry {_show(entry.name)}: can't link to "
                f"{_show(entry.link)}: {error.strerror}"
            ) from error
        finally:
            os.close(source)


def unpack(
    read: compression.Read,
    root: Path,
    seen: Callable[[int], None] | None = None,
    limits: Limits | None = None,
) -> Unpacked:
    """Unpack the (compressed) tar that `read(size)` gives into the empty folder `root`.

    `seen` hears the uncompressed bytes as they pass. Raises UnpackError for everything that is the
    layer's fault, OSError for what is the disk's.
    """
    digest = hashlib.sha256()
    limits = limits or UNLIMITED

    def pieces() -> Iterator[bytes]:
        left = limits.size
        for piece in compression.chunks(read):
            left -= len(piece)
            if left < 0:
                raise UnpackError(
                    f"the layer is larger than {limits.size} bytes; "
                    "the engine's option --max-layer-size sets this limit"
                )
            digest.update(piece)
            if seen is not None:
                seen(len(piece))
            yield piece

    size, entries = fill(root, Reader(Source(pieces())), limits)
    return Unpacked("sha256:" + digest.hexdigest(), size, entries)


class Entries(Protocol):
    """A Reader, or what stands before one and changes its entries on their way."""

    def __iter__(self) -> Iterator[Entry]: ...
    def body(self) -> Iterator[memoryview]: ...


def fill(root: Path, entries: Entries, limits: Limits = UNLIMITED) -> tuple[int, int]:
    """Apply entries to `root`; (bytes of files, number of entries).

    Raises UnpackError for everything that is the archive's fault, OSError for what is the disk's.
    """
    unpacker = Unpacker(root, limits)
    try:
        unpacker.apply(entries)  # type: ignore[arg-type]
    except (TarError, compression.CompressionError) as error:
        raise UnpackError(f"invalid layer: {error}") from error
    except (OverflowError, ValueError) as error:
        raise UnpackError(f"invalid layer: {error}") from error
    except OSError as error:
        if error.errno in _DISK:
            raise
        raise UnpackError(f"invalid layer: {error}") from error
    finally:
        unpacker.close()
    return unpacker.size, unpacker.entries


# what the disk or the machine is to blame for; every other errno comes of what the entry asks
_DISK = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)
