"""What one layer did to those below it: files added, changed and deleted, one after the other."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.images.inside.entries import Entry, Type, entry_of
from engine.images.inside.tree import Folder, Place, Tree, child, names, parts_of, visible
from engine.snapshots.diff import Kind, is_opaque, is_whiteout
from engine.values import dataclass


@dataclass(frozen=True)
class Change:
    """A changed file. `hidden` is the size in bytes of what it hides in lower layers."""

    kind: Kind
    entry: Entry
    hidden: int


@dataclass(frozen=True)
class Summary:
    """A layer's changes counted; `written` and `hidden` in bytes."""

    added: int
    modified: int
    deleted: int
    written: int
    hidden: int


def changes(layers: Sequence[Path], after: str = "") -> Iterator[Change]:
    """What the last of `layers` (lowest first) changed, in the order of a walk by names.

    A folder that a layer only repeats, with the same owner and mode, is no change. `after`
    continues a listing behind the path that it ended with, without walking what came before.
    """
    tree = Tree(layers)
    upper = tree.root[0]
    yield from _below(upper, "", list(tree.root[1:]), parts_of(after))


def summarize(layers: Sequence[Path]) -> Summary:
    """All changes of the last of `layers` in numbers."""
    counts = dict.fromkeys(Kind, 0)
    written = hidden = 0
    for change in changes(layers):
        counts[change.kind] += 1
        hidden += change.hidden
        if change.kind is not Kind.DELETED:
            written += change.entry.size
    return Summary(counts[Kind.ADDED], counts[Kind.MODIFIED], counts[Kind.DELETED], written, hidden)


def _below(upper: Place, path: str, lowers: Folder, after: Sequence[str]) -> Iterator[Change]:
    present = set(os.listdir(upper.full))
    listed = present
    if path and lowers and is_opaque(upper.full):
        listed = present | set(names(lowers))
    first = after[0] if after else ""
    for name in sorted(listed):
        if name < first:
            continue
        behind = after[1:] if name == first else ()
        skip = bool(after) and name == first
        if name not in present:
            if not skip:
                yield _deleted(upper.layer, f"{path}/{name}", lowers, name)
            continue
        yield from _name(upper, path, name, lowers, behind, skip)


def _name(
    upper: Place, path: str, name: str, lowers: Folder, behind: Sequence[str], skip: bool
) -> Iterator[Change]:
    full = f"{upper.full}/{name}"
    status = os.lstat(full)
    inside = f"{path}/{name}"
    if is_whiteout(status):
        if not skip and visible(lowers, name) is not None:
            yield _deleted(upper.layer, inside, lowers, name)
        return
    known = visible(lowers, name)
    entry = entry_of(full, status, inside, upper.layer)
    if not skip and not _repeats(status, known):
        yield _changed(entry, known, lowers, name)
    if entry.type is Type.FOLDER:
        yield from _below(Place(upper.layer, full), inside, child(lowers, name), behind)


def _repeats(status: os.stat_result, known: Place | None) -> bool:
    if known is None or not stat.S_ISDIR(status.st_mode):
        return False
    before = os.lstat(known.full)
    return (status.st_mode, status.st_uid, status.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def _changed(entry: Entry, known: Place | None, lowers: Folder, name: str) -> Change:
    if known is None:
        return Change(Kind.ADDED, entry, 0)
    both_folders = entry.type is Type.FOLDER and bool(child(lowers, name))
    return Change(Kind.MODIFIED, entry, 0 if both_folders else _size(lowers, name, known))


def _deleted(layer: int, path: str, lowers: Folder, name: str) -> Change:
    place = visible(lowers, name)
    if place is None:
        raise AssertionError(f"{path} is deleted but was never there")
    status = os.lstat(place.full)
    entry = entry_of(place.full, status, path, layer)
    return Change(Kind.DELETED, entry, _size(lowers, name, place))


def _size(folder: Folder, name: str, place: Place) -> int:
    """Bytes of the files at and below a visible name."""
    status = os.lstat(place.full)
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    if not stat.S_ISDIR(status.st_mode):
        return 0
    below = child(folder, name)
    return sum(_size(below, each, part.below(each)) for each, part in names(below).items())
