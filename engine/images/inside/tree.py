"""Layers laid over each other: folders and files as a container would see them.

A path is walked part by part and never through a link: what a link names inside an image says
nothing about the machine that looks at it.
"""

import heapq
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from engine.errors import BadRequest, NotFound
from engine.images.inside.entries import Entry, entry_of
from engine.snapshots.diff import is_opaque, is_whiteout
from engine.values import dataclass

_LONGEST = 255  # bytes of a name, on every file system of ours


@dataclass(frozen=True)
class Place:
    """A file of one layer: the layer's index (0 is the lowest) and where it is on the disk."""

    layer: int
    full: str

    def below(self, name: str) -> "Place":
        """The file `name` of this folder."""
        return Place(self.layer, f"{self.full}/{name}")


# The folders that one folder of the image is made of, the highest layer first.
Folder = Sequence[Place]


def parts_of(path: str) -> list[str]:
    """The names in a path. Raises BadRequest for `..`, which has no meaning here."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise BadRequest(f"invalid path {path!r}: give it from the image's root, without ..")
    if any(len(os.fsencode(part)) > _LONGEST for part in parts):
        raise NotFound(f"the image has no file /{'/'.join(parts)}")
    return parts


class Tree:
    """The files of `layers` (their folders, lowest first), as they look from the last one."""

    def __init__(self, layers: Sequence[Path]) -> None:
        self.root: Folder = [
            Place(index, str(layer)) for index, layer in reversed(list(enumerate(layers)))
        ]

    def folder(self, path: str) -> Folder:
        """What the folder at `path` is made of. Raises NotFound; BadRequest if it is none."""
        found = self.root
        walked: list[str] = []
        for part in parts_of(path):
            walked.append(part)
            found = child(found, part)
            if not found:
                file, _ = self.find("/".join(walked))
                raise BadRequest(f"{file.path} is a {file.type}, not a directory")
        return found

    def page(self, path: str, after: str = "", limit: int = 1000) -> tuple[list[Entry], int]:
        """Up to `limit` entries of a folder behind the name `after`, and how many it has in all.

        Raises as `folder` does.
        """
        base = "".join(f"/{part}" for part in parts_of(path))
        known = names(self.folder(path))
        wanted = heapq.nsmallest(limit, (name for name in known if name > after))
        found = [(name, known[name].below(name)) for name in wanted]
        return [self._entry(place, f"{base}/{name}") for name, place in found], len(known)

    @staticmethod
    def _entry(place: Place, path: str) -> Entry:
        return entry_of(place.full, os.lstat(place.full), path, place.layer)

    def find(self, path: str) -> tuple[Entry, str]:
        """The file at `path` and where it is on the disk. Raises NotFound."""
        parts = parts_of(path)
        place = self._place(parts)
        return self._entry(place, "/" + "/".join(parts)), place.full

    def _place(self, parts: Sequence[str]) -> Place:
        holding, place = self.root, self.root[0]
        for part in parts:
            found = visible(holding, part)
            if found is None:
                raise NotFound(f"the image has no file /{'/'.join(parts)}")
            place, holding = found, child(holding, part)
        return place


def visible(folder: Folder, name: str) -> Place | None:
    """The file that `name` shows in a folder."""
    for place in folder:
        full = f"{place.full}/{name}"
        try:
            status = os.lstat(full)
        except FileNotFoundError:
            continue
        return None if is_whiteout(status) else Place(place.layer, full)
    return None


def child(folder: Folder, name: str) -> Folder:
    """What the folder `name` below a folder is made of; nothing when it isn't a folder."""
    found: list[Place] = []
    for place in folder:
        full = f"{place.full}/{name}"
        try:
            status = os.lstat(full)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(status.st_mode):
            break  # a whiteout, or another kind of file, hides what lies below
        found.append(Place(place.layer, full))
        if is_opaque(full):
            break
    return found


def names(folder: Folder) -> dict[str, Place]:
    """Every visible name of a folder, with the part of the folder that shows it."""
    found: dict[str, Place] = {}
    gone: set[str] = set()
    for place in folder:
        with os.scandir(place.full) as entries:
            for entry in entries:
                if entry.name in found or entry.name in gone:
                    continue
                if _is_gone(entry):
                    gone.add(entry.name)
                else:
                    found[entry.name] = place
    return found


def _is_gone(entry: os.DirEntry[str]) -> bool:
    # the kind comes with the name: only devices, which whiteouts are, cost a call
    if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False):
        return False
    return not entry.is_symlink() and is_whiteout(entry.stat(follow_symlinks=False))
