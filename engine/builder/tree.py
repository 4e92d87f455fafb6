"""Trees that COPY reads: what a pattern chooses, and a digest of what was chosen.

A tree is a folder that nobody changes: a context, or layers mounted read-only. Links in it are
resolved here as if it were `/`, so that none leads out.
"""

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from engine.builder.threads import checkpoint
from engine.linux.links import resolve
from engine.values import dataclass

_CHUNK = 1 << 20
_WILD = frozenset("*?[\\")


class Matcher(Protocol):
    """What an exclude list says; `ignore.Matcher`."""

    def ignored(self, path: str) -> bool: ...
    def could_hold(self, folder: str) -> bool: ...


class NoSource(Exception):
    """Nothing is there by that name."""


@dataclass(frozen=True)
class Item:
    """One thing to copy. path: in the tree; target: below the destination, "" is itself.

    named: a file that the user named: it may be renamed by the destination.
    """

    tree: "Tree"
    path: str
    target: str
    status: os.stat_result
    named: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it's a folder."""
        return stat.S_ISDIR(self.status.st_mode)


class Tree:
    """A root by descriptor, which belongs to the tree. `digests` are of files known before."""

    def __init__(self, root: int, digests: Mapping[str, str] | None = None) -> None:
        self._fd = root
        self.root = f"/proc/self/fd/{root}"
        self._digests = digests or {}
        # a context's files belong to the build: they may become the layer's own
        self.given = False

    def close(self) -> None:
        """Release the root; twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def place(self, path: str) -> str:
        """A path to use for system calls; `path` must be resolved."""
        return f"{self.root}/{path}"

    def resolve(self, path: str, *, follow_last: bool = True) -> str:
        """`path` without links and dots, relative to the root; missing parts stay as they are."""
        return resolve(self.root, path, follow_last=follow_last)

    def status(self, path: str) -> os.stat_result | None:
        """The status of a resolved path, None when nothing is there."""
        try:
            return os.lstat(self.place(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, path: str) -> list[str]:
        """The names in a folder, sorted."""
        return sorted(os.listdir(self.place(path)))

    def find(self, pattern: str, *, deep: bool = False) -> list[str]:
        """Paths that a source means: itself, or all that match, maybe none. Raises NoSource.

        deep: `**` stands for any number of folders.
        """
        path = clean(pattern)
        if deep and "**" in path:
            return list(self._matches_deep("", path))
        if _WILD.intersection(path):
            return list(self._matches("", path.split("/")))
        if self.status(self.resolve(path)) is None:
            raise NoSource(pattern)
        return [path]

    def _matches(self, folder: str, parts: list[str]) -> Iterator[str]:
        from engine.builder.ignore import match

        part, rest = parts[0], parts[1:]
        for name in self.names(self.resolve(folder)):
            if not match(part, name):
                continue
            path = f"{folder}/{name}" if folder else name
            if not rest:
                yield path
                continue
            status = self.status(self.resolve(path))
            if status is not None and stat.S_ISDIR(status.st_mode):
                yield from self._matches(path, rest)

    def _matches_deep(self, folder: str, pattern: str) -> Iterator[str]:
        from engine.builder.globs import compiled

        glob = compiled(pattern, True)
        for name in self.names(folder):
            path = f"{folder}/{name}" if folder else name
            if glob.matches(path):
                yield path
                continue
            status = self.status(path)
            if status is not None and stat.S_ISDIR(status.st_mode):
                yield from self._matches_deep(path, pattern)

    def items(self, source: str, target: str | None, exclude: Matcher | None) -> Iterator[Item]:
        """A source with all that is below it; parents come before their children.

        target: where it belongs below the destination; None: a folder's content belongs right
        there, a file under its own name.
        """
        path = self.resolve(source)
        status = self.status(path)
        if status is None:
            raise NoSource(source)
        if stat.S_ISDIR(status.st_mode):
            yield Item(self, path, target or "", status)
            yield from self._below(path, "", target or "", exclude)
            return
        name = posixpath.basename(source.rstrip("/")) or posixpath.basename(path)
        if exclude is None or not (exclude.ignored(name) or exclude.ignored(source)):
            yield Item(self, path, target if target is not None else name, status, target is None)

    def _below(
        self, folder: str, inside: str, target: str, exclude: Matcher | None
    ) -> Iterator[Item]:
        for name in self.names(folder):
            path = f"{folder}/{name}" if folder else name
            own = f"{inside}/{name}" if inside else name
            status = os.lstat(self.place(path))
            is_folder = stat.S_ISDIR(status.st_mode)
            place = f"{target}/{name}" if target else name
            if exclude is None or not exclude.ignored(own):
                yield Item(self, path, place, status)
            elif not is_folder or not exclude.could_hold(own):
                continue
            if is_folder:
                yield from self._below(path, own, place, exclude)

    def digest(self, path: str) -> str:
        """The sha256 of a plain file, in hex."""
        known = self._digests.get(path)
        if known is not None:
            return known
        found = hashlib.sha256()
        with open(self.place(path), "rb", buffering=0) as file:
            while piece := file.read(_CHUNK):
                found.update(piece)
                checkpoint()  # a file may claim to be endless
        return found.hexdigest()


def clean(path: str) -> str:
    """A source as it is below the root: `.` and `..` by word, no slash in front."""
    return posixpath.normpath(f"/{path}").lstrip("/")


def digest(items: list[Item]) -> str:
    """The digest (hex) of things to copy: names, kinds, modes, owners, contents; no times."""
    found = hashlib.sha256()
    for item in items:
        status = item.status
        words = [item.target, f"{status.st_mode:o}", f"{status.st_uid}:{status.st_gid}"]
        place = item.tree.place(item.path)
        if stat.S_ISREG(status.st_mode):
            words.append(item.tree.digest(item.path))
        elif stat.S_ISLNK(status.st_mode):
            words.append(os.readlink(place))
        elif stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
            words.append(str(status.st_rdev))
        if not stat.S_ISLNK(status.st_mode):
            words += (f"{name}={value.hex()}" for name, value in attributes(place))
        found.update("\0".join(words).encode("utf-8", "surrogateescape") + b"\0\n")
    return found.hexdigest()


def attributes(place: str | Path) -> Iterator[tuple[str, bytes]]:
    """The extended attributes that belong to a file's content."""
    for name in sorted(os.listxattr(place, follow_symlinks=False)):
        if not name.startswith(("trusted.overlay.", "user.overlay.", "security.selinux")):
            yield name, os.getxattr(place, name, follow_symlinks=False)
