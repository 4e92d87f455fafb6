"""Applies a tar to a folder that is in use, by a thread confined to a root: see linux.confined.

Paths may be followed as they are: no link leads out of the thread's root. Nothing may be imported
there, and owners are numbers alone, because names would be looked up in the root's files.
"""

import contextlib
import os
import posixpath
import stat

from engine.errors import EngineError
from engine.linux import identity
from engine.linux.removal import remove_tree
from engine.snapshots.body import set_xattrs, write_body
from engine.snapshots.tar import Entry, Reader, TarError

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LATEST = (1 << 63) - 1  # ns since 1970
_CAPABILITY = b"security.capability"
_NODES = {b"3": stat.S_IFCHR, b"4": stat.S_IFBLK, b"6": stat.S_IFIFO}


class Extractor:
    """Applies entries below the folder `where`.

    `keep_kinds`: a folder is never replaced by something else, nor the other way round. `owner`
    replaces the owners of the tar. `dress`: the folder itself becomes as the tar has it, too.
    """

    def __init__(
        self, where: str, keep_kinds: bool, owner: tuple[int, int] | None, dress: bool = False
    ) -> None:
        self._shown = where
        self._where = os.fsencode(where)
        self._keep_kinds = keep_kinds
        self._owner = owner
        self._dress = dress
        self._times: dict[bytes, int] = {}

    def apply(self, reader: Reader) -> None:
        """Everything of the tar; the folders' times last, when nothing changes them any more."""
        for entry in reader:
            if self._owner is not None:
                entry.uid, entry.gid = self._owner
            entry.uid, entry.gid = identity.outside(entry.uid, entry.gid)
            if _CAPABILITY in entry.xattrs:
                able = identity.rooted_capability(entry.xattrs[_CAPABILITY])
                entry.xattrs[_CAPABILITY] = able
            target = self._below(entry.name)
            if target == self._where:
                if entry.type != b"5":
                    raise TarError(f"an entry that is no directory has the name {entry.name!r}")
                if self._dress:
                    self._folder(entry, target)
                continue
            try:
                self._make(entry, target, reader)
            except FileNotFoundError:
                os.makedirs(posixpath.dirname(target), exist_ok=True)
                self._make(entry, target, reader)
        for folder, mtime in self._times.items():
            with contextlib.suppress(FileNotFoundError):  # the container may be at work
                os.utime(folder, ns=(mtime, mtime), follow_symlinks=False)

    def _below(self, name: bytes) -> bytes:
        """The path of an entry; `..` doesn't climb out of the folder."""
        clean = posixpath.normpath(b"/" + name).lstrip(b"/")
        return posixpath.join(self._where, clean) if clean else self._where

    def _make(self, entry: Entry, target: bytes, reader: Reader) -> None:
        if entry.type == b"0":
            self._file(entry, target, reader)
        elif entry.type == b"5":
            self._folder(entry, target)
        else:
            self._clear(entry, target)
            self._other(entry, target)

    def _file(self, entry: Entry, target: bytes, reader: Reader) -> None:
        try:
            fd = os.open(target, _CREATE, 0o600)
        except FileExistsError:
            self._clear(entry, target)
            # never into what a container puts in the way meanwhile
            fd = os.open(target, _CREATE, 0o600)
        try:
            write_body(fd, entry, reader)
            os.fchown(fd, entry.uid, entry.gid)
            if entry.xattrs:
                set_xattrs(fd, entry)
            os.fchmod(fd, entry.mode)
            mtime = _mtime(entry)
            os.utime(fd, ns=(mtime, mtime))
        finally:
            os.close(fd)

    def _folder(self, entry: Entry, target: bytes) -> None:
        try:
            os.mkdir(target, 0o700)
        except FileExistsError:
            if not os.path.isdir(target):
                self._clear(entry, target)
                os.mkdir(target, 0o700)
        os.chown(target, entry.uid, entry.gid)
        set_xattrs(target, entry)
        os.chmod(target, entry.mode)
        self._times[target] = _mtime(entry)

    def _other(self, entry: Entry, target: bytes) -> None:
        """Links and nodes."""
        if entry.type == b"1":
            os.link(self._below(entry.link), target, follow_symlinks=False)
            return
        if entry.type == b"2":
            os.symlink(entry.link, target)
        elif entry.type in _NODES:
            device = os.makedev(entry.major & 0xFFF, entry.minor & 0xFFFFF)
            os.mknod(target, _NODES[entry.type] | 0o600, device)
            os.chmod(target, entry.mode)
        else:
            raise TarError(f"unhandled tar header type {entry.type!r} of {entry.name!r}")
        mtime = _mtime(entry)
        os.chown(target, entry.uid, entry.gid, follow_symlinks=False)
        set_xattrs(target, entry)
        os.utime(target, ns=(mtime, mtime), follow_symlinks=False)

    def _clear(self, entry: Entry, target: bytes) -> None:
        """Take away what has the name of an entry. Raises EngineError where kinds are kept."""
        try:
            found = os.lstat(target)
        except FileNotFoundError:
            return
        folder = stat.S_ISDIR(found.st_mode)
        if self._keep_kinds and folder != (entry.type == b"5"):
            old, new = ("directory", "non-directory") if folder else ("non-directory", "directory")
            shown = os.fsdecode(os.path.relpath(target, self._where))
            raise EngineError(f'cannot overwrite {old} "{shown}" with {new} "{self._shown}"')
        if folder:
            remove_tree(target)
            self._forget(target)
        else:
            os.unlink(target)

    def _forget(self, folder: bytes) -> None:
        """The times of folders that are gone."""
        below = folder + b"/"
        for known in [one for one in self._times if one == folder or one.startswith(below)]:
            del self._times[known]


def _mtime(entry: Entry) -> int:
    return entry.mtime if 0 <= entry.mtime <= _LATEST else 0
