"""Paths inside a container's root that can't lead out of it, whatever its links say."""

import os
from pathlib import Path

_MOST_LINKS = 255


def resolve_in(root: Path, path: str, *, follow_last: bool = True) -> Path:
    """Where `path` is, with `root` as `/`; parts that don't exist are kept as they are.

    Raises OSError (ELOOP) on too many links. Only safe while nobody else changes the tree.
    """
    done: list[str] = []
    parts = [part for part in path.split("/") if part not in ("", ".")][::-1]
    links = 0
    while parts:
        part = parts.pop()
        if part == "..":
            if done:
                done.pop()
            continue
        if not parts and not follow_last:
            done.append(part)
            break
        try:
            target = os.readlink(os.path.join(root, *done, part))
        except OSError:
            done.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(40, "too many levels of symbolic links", path)
        if target.startswith("/"):
            done = []
        parts += [word for word in target.split("/") if word not in ("", ".")][::-1]
    return Path(root, *done)


def make_folder(root: Path, path: str) -> None:
    """Create `path` inside `root` with its parents (mode 0755). Raises NotADirectoryError."""
    resolve_in(root, path).mkdir(parents=True, exist_ok=True)
