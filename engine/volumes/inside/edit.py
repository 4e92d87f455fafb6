"""Writing and deleting single files of a volume."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from engine.errors import BadRequest, Conflict
from engine.linux.filetypes import Type, type_of
from engine.linux.removal import remove_tree
from engine.values import dataclass
from engine.volumes.inside.attributes import copy_attributes, path_in
from engine.volumes.inside.browse import (
    Entry,
    entry_of,
    open_folder,
    open_parent,
    open_root,
    parts_of,
    trouble,
)

_DEFAULT_MODE = 0o644
_FOLDER_MODE = 0o755
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


@dataclass(frozen=True)
class Owner:
    """Who a written file belongs to and its permission bits; None keeps what was there.

    A new file has mode 0644 and the owner of its folder.
    """

    uid: int | None = None
    gid: int | None = None
    mode: int | None = None


KEPT = Owner()


def write(root: Path, path: str, pieces: Iterator[bytes], wanted: Owner = KEPT) -> Entry:
    """Put a file at `path` in one step: readers see the old one or the new one, whole.

    Attributes of the old one are kept, hard links to it keep the old content. `pieces` may raise:
    then everything is as before. Raises NotFound, BadRequest, EngineError.
    """
    shown = f"/{'/'.join(parts_of(path))}"
    root_fd = open_root(root)
    try:
        folder, name = open_parent(root_fd, path)
    finally:
        os.close(root_fd)
    try:
        old = _replaceable(folder, name, shown)
        _replace(folder, name, pieces, wanted, old)
        return entry_of(folder, name, shown)
    except OSError as error:
        raise trouble(error, shown) from error
    finally:
        os.close(folder)


def _replaceable(folder: int, name: str, shown: str) -> os.stat_result | None:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    kind = type_of(status.st_mode)
    if kind is Type.LINK:
        target = os.readlink(name, dir_fd=folder)
        raise BadRequest(f"{shown} is a symlink to {target}; write to that")
    if kind is not Type.FILE:
        raise BadRequest(f"{shown} is a {kind}; only a file has content")
    return status


def _replace(
    folder: int, name: str, pieces: Iterator[bytes], wanted: Owner, old: os.stat_result | None
) -> None:
    fd, temporary = _open_new(folder)
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view) :]
        _dress(fd, folder, name, wanted, old)
        os.fsync(fd)
        if not temporary:
            temporary = _fresh_name()
            os.link(f"/proc/self/fd/{fd}", temporary, dst_dir_fd=folder, follow_symlinks=True)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        temporary = ""
        _sync(folder)
    finally:
        os.close(fd)
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)


def _open_new(folder: int) -> tuple[int, str]:
    """A new file: without a name, so that a crash leaves nothing, where the disk can do so."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder), ""
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            raise
    name = _fresh_name()
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, 0o600, dir_fd=folder), name


def _sync(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a shared folder can't
            raise


def _fresh_name() -> str:
    return f".cove-{os.urandom(8).hex()}"


def _dress(fd: int, folder: int, name: str, wanted: Owner, old: os.stat_result | None) -> None:
    like = old or os.fstat(folder)
    uid = like.st_uid if wanted.uid is None else wanted.uid
    gid = like.st_gid if wanted.gid is None else wanted.gid
    mine = os.fstat(fd)
    if (uid, gid) != (mine.st_uid, mine.st_gid):  # a shared folder may refuse even the same
        os.fchown(fd, uid, gid)
    if old is not None:
        copy_attributes(path_in(folder, name), fd)
    mode = wanted.mode
    if mode is None:
        mode = _DEFAULT_MODE if old is None else stat.S_IMODE(old.st_mode)
    os.fchmod(fd, mode)


def make_folder(root: Path, path: str, wanted: Owner = KEPT) -> Entry:
    """Make a folder (0755, owned like the one that holds it). Raises Conflict, NotFound."""
    shown = f"/{'/'.join(parts_of(path))}"
    root_fd = open_root(root)
    try:
        folder, name = open_parent(root_fd, path)
    finally:
        os.close(root_fd)
    try:
        above = os.fstat(folder)
        os.mkdir(name, 0o700, dir_fd=folder)
        made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            uid = above.st_uid if wanted.uid is None else wanted.uid
            gid = above.st_gid if wanted.gid is None else wanted.gid
            if (uid, gid) != (0, 0):
                os.fchown(made, uid, gid)
            os.fchmod(made, _FOLDER_MODE if wanted.mode is None else wanted.mode)
        finally:
            os.close(made)
        return entry_of(folder, name, shown)
    except FileExistsError as error:
        raise Conflict(f"{shown} is there already") from error
    except OSError as error:
        raise trouble(error, shown) from error
    finally:
        os.close(folder)


def delete(root: Path, path: str, *, recursive: bool) -> None:
    """Delete a file, a link (never what it points to) or a folder; one with files if `recursive`.

    Raises NotFound, Conflict for a folder that isn't empty, BadRequest, EngineError.
    """
    shown = f"/{'/'.join(parts_of(path))}"
    root_fd = open_root(root)
    try:
        folder, name = open_parent(root_fd, path)
    finally:
        os.close(root_fd)
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=folder)
        elif not recursive:
            os.rmdir(name, dir_fd=folder)
        elif not remove_tree(name, dir_fd=folder):
            raise Conflict(f"some files below {shown} can't be deleted: they're mounted or locked")
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise Conflict(f"{shown} is not empty; delete it with recursive=1") from error
        raise trouble(error, shown) from error
    finally:
        os.close(folder)


def clear(root: Path) -> None:
    """Delete everything in a volume, the folder itself stays. Raises Conflict, EngineError."""
    root_fd = open_root(root)
    try:
        folder = open_folder(root_fd, "/")
    finally:
        os.close(root_fd)
    try:
        for name in os.listdir(folder):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=folder)
            elif not remove_tree(name, dir_fd=folder):
                raise Conflict(f"some files below /{name} can't be deleted")
    except OSError as error:
        raise trouble(error, "/") from error
    finally:
        os.close(folder)
