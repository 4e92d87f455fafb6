"""Links of a tree that is somebody else's root."""

import errno
import os

_MOST_LINKS = 255


def resolve(root: str, path: str, *, follow_last: bool = True) -> str:
    """`path` with `root` as `/`: no links, no dots, relative; what doesn't exist is kept.

    Only safe while nobody else changes the tree. Raises OSError (ELOOP) on too many links.
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
            target = os.readlink("/".join((root, *done, part)))
        except OSError:
            done.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, "too many levels of symbolic links", path)
        if target.startswith("/"):
            done = []
        parts += [word for word in target.split("/") if word not in ("", ".")][::-1]
    return "/".join(done)
