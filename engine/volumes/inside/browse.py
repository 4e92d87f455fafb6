"""A volume's tree: pages of a folder, one file to be read."""

import errno
import heapq
import os
import stat
from pathlib import Path
from typing import BinaryIO

from engine.errors import BadRequest, EngineError, NotFound
from engine.linux.filetypes import Type, type_of
from engine.linux.libc import open_in_root
from engine.values import dataclass

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """A file of a volume.

    path: absolute inside the volume. mode: permission bits. size in bytes (0 but for files);
    modified in ns since the epoch. target: where a link points, else "". links: its names.
    """

    path: str
    type: Type
    mode: int
    size: int
    uid: int
    gid: int
    modified: int
    target: str
    links: int


def parts_of(path: str) -> list[str]:
    """The names in a path. Raises BadRequest for `..`, which has no meaning here."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise BadRequest(f"invalid path {path!r}: give it from the volume's root, without ..")
    return parts


def open_root(root: Path) -> int:
    """A descriptor of the volume's folder. Raises NotFound when the volume was just removed."""
    try:
        return os.open(root, FOLDER)
    except FileNotFoundError as error:
        raise NotFound("the volume was removed meanwhile") from error


def open_folder(root_fd: int, path: str) -> int:
    """A descriptor of a folder; links are followed inside the volume. Raises NotFound, BadRequest.

    The caller closes it.
    """
    shown = f"/{'/'.join(parts_of(path))}"
    try:
        return open_in_root(root_fd, shown, FOLDER)
    except OSError as error:
        raise trouble(error, shown) from error


def open_parent(root_fd: int, path: str) -> tuple[int, str]:
    """The folder that holds `path`, and the name in it. Raises BadRequest for the volume itself."""
    parts = parts_of(path)
    if not parts:
        raise BadRequest("the path of a file or folder in the volume is needed, not / itself")
    return open_folder(root_fd, "/".join(parts[:-1])), parts[-1]


def trouble(error: OSError, path: str) -> EngineError:
    """An OSError about a path of a volume, in the words of the API."""
    if error.errno == errno.ENOENT:
        return NotFound(f"the volume has no file {path}")
    if error.errno == errno.ENOTDIR:
        return BadRequest(f"{path}: not a directory")
    if error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL):
        return BadRequest(f"{path}: {(error.strerror or str(error)).lower()}")
    if error.errno == errno.EROFS:
        return BadRequest(f"{path}: the volume is mounted read-only")
    return EngineError(f"{path}: {(error.strerror or str(error)).lower()}")


def entry_of(folder: int, name: str, path: str) -> Entry:
    """The entry of `name` in an open folder, itself and not what it points to. Raises OSError."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    target = ""
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(name, dir_fd=folder)
    return _entry(status, path, target)


def _entry(status: os.stat_result, path: str, target: str = "") -> Entry:
    kind = type_of(status.st_mode)
    return Entry(
        path=path,
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        size=status.st_size if kind is Type.FILE else 0,
        uid=status.st_uid,
        gid=status.st_gid,
        modified=status.st_mtime_ns,
        target=target,
        links=status.st_nlink,
    )


def page(root: Path, path: str, after: str, limit: int) -> tuple[list[Entry], int]:
    """Up to `limit` entries of a folder behind the name `after`, and how many it has in all.

    Raises NotFound, BadRequest. What vanishes meanwhile is left out.
    """
    base = "".join(f"/{part}" for part in parts_of(path))
    root_fd = open_root(root)
    try:
        folder = open_folder(root_fd, path)
    finally:
        os.close(root_fd)
    try:
        names = os.listdir(folder)
        found = []
        for name in heapq.nsmallest(limit, (name for name in names if name > after)):
            try:
                found.append(entry_of(folder, name, f"{base}/{name}"))
            except FileNotFoundError:
                continue
        return found, len(names)
    finally:
        os.close(folder)


def look(root: Path, path: str) -> Entry:
    """What is at `path`; a link itself, not its target. Raises NotFound, BadRequest."""
    root_fd = open_root(root)
    try:
        if not parts_of(path):
            return _entry(os.fstat(root_fd), "/")
        folder, name = open_parent(root_fd, path)
        shown = f"/{'/'.join(parts_of(path))}"
        try:
            return entry_of(folder, name, shown)
        except OSError as error:
            raise trouble(error, shown) from error
        finally:
            os.close(folder)
    finally:
        os.close(root_fd)


def open_file(root: Path, path: str) -> tuple[Entry, BinaryIO]:
    """A plain file and its content; the caller closes it. Raises NotFound, BadRequest.

    Links are followed inside the volume. Nothing else is ever opened: a device that a container
    made would be one of this machine.
    """
    shown = f"/{'/'.join(parts_of(path))}"
    root_fd = open_root(root)
    try:
        seen = open_in_root(root_fd, shown, _LOOK)
    except OSError as error:
        raise trouble(error, shown) from error
    finally:
        os.close(root_fd)
    try:
        entry = _entry(os.fstat(seen), shown)
        if entry.type is not Type.FILE:
            raise BadRequest(f"{shown} is a {entry.type}; only a file has content")
        return entry, open(f"/proc/self/fd/{seen}", "rb", buffering=0)
    finally:
        os.close(seen)
