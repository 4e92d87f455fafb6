"""Paths inside a container's root that can't lead out of it, whatever its links say."""

import os
import stat
from pathlib import Path

from engine.linux.libc import open_in_root
from engine.linux.links import resolve

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def resolve_in(root: Path, path: str, *, follow_last: bool = True) -> Path:
    """Where `path` is, with `root` as `/`; parts that don't exist are kept as they are.

    Raises OSError (ELOOP) on too many links. Only safe while nobody else changes the tree.
    """
    return Path(root, resolve(str(root), path, follow_last=follow_last))


def make_folder(root: Path, path: str) -> None:
    """Create `path` inside `root` with its parents (mode 0755). Raises NotADirectoryError."""
    resolve_in(root, path).mkdir(parents=True, exist_ok=True)


def is_folder(descriptor: int) -> bool:
    """Whether an open descriptor is a folder's."""
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def open_below(root: Path, path: str) -> int:
    """A descriptor (O_PATH) of what is at `path`, with `root` as `/`, whoever changes it meanwhile.

    Raises OSError.
    """
    folder = os.open(root, _FOLDER)
    try:
        return open_in_root(folder, path, os.O_PATH)
    finally:
        os.close(folder)


def make_in(root: Path, path: str, *, folder: bool) -> int:
    """As `open_below`; what is missing is made: folders, at the end a folder or an empty file."""
    here = os.open(root, _FOLDER)
    names = [name for name in path.split("/") if name not in ("", ".")]
    found = ""
    try:
        for depth, name in enumerate(names):
            found = f"{found}/{name}"
            last = depth == len(names) - 1
            try:
                below = open_below(root, found)
            except FileNotFoundError:
                if folder or not last:
                    os.mkdir(name, 0o755, dir_fd=here)
                else:
                    os.close(os.open(name, _NEW_FILE, 0o644, dir_fd=here))
                below = open_below(root, found)
            os.close(here)
            here = below
        return os.dup(here)
    finally:
        os.close(here)
