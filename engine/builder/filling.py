"""Filling a step's folder with what COPY, ADD and WORKDIR put there. Everything here blocks."""

import os
from pathlib import Path

from engine.builder.archives import unpack_into
from engine.builder.copying import Order, Placing
from engine.builder.folders import Folders
from engine.builder.gathering import Gathered, word
from engine.builder.operations import CopyOp, WorkdirOp
from engine.builder.ownership import find_owner, parse_mode
from engine.builder.tree import Tree
from engine.linux.links import resolve
from engine.linux.removal import remove_tree
from engine.snapshots.store import Store as Snapshots


class Filling:
    """Fills begun layers, whose files go to `diff`, over the layers of `chain`."""

    def __init__(self, folders: Folders, snapshots: Snapshots, *, classic: bool) -> None:
        self._classic = classic
        self._folders = folders
        self._snapshots = snapshots

    def _view(self, chain: tuple[str, ...]) -> Tree:
        what = self._snapshots.view_of(chain, self._folders.views)
        return Tree(self._folders.open_view(what))

    def copy(self, op: CopyOp, chain: tuple[str, ...], gathered: Gathered, folder: Path) -> None:
        """Place all that a COPY or ADD copies. Raises BadRequest, CopyFailed, OSError."""
        view = self._view(chain)
        try:
            owner = find_owner(Path(view.root), op.chown) if op.chown else None
            order = Order(
                destination=op.destination,
                owner=owner,
                mode=parse_mode(op.chmod) if op.chmod else None,
                stamp=_newest(gathered),
                alone=op.link,
                dressed=not self._classic,
                word=word(op),
            )
            plain = [
                items
                for number, items in enumerate(gathered.sources)
                if number not in gathered.archives
            ]
            if plain:
                Placing(view, folder / "diff", order).run(plain)
        finally:
            view.close()
        if gathered.archives:
            self._unpack(chain, gathered, folder, order)

    def _unpack(
        self, chain: tuple[str, ...], gathered: Gathered, folder: Path, order: Order
    ) -> None:
        """Archives are unpacked over the image itself: its links count."""
        work = folder / "work"
        work.mkdir()
        overlay = self._snapshots.overlay_of(chain, folder / "diff", work, self._folders.views)
        try:
            with self._folders.mounted(overlay) as merged:
                target = resolve(str(merged), order.destination)
                _make_way(merged / target, order)
                for number in sorted(gathered.archives):
                    item = gathered.sources[number][0]
                    unpack_into(item.tree.place(item.path), merged, target, order.owner)
        finally:
            remove_tree(work)

    def make_folder(self, op: WorkdirOp, chain: tuple[str, ...], stamp: int, folder: Path) -> None:
        """Make a working directory where the image has none. Raises BadRequest, OSError."""
        view = self._view(chain)
        try:
            if view.status(view.resolve(op.path)) is None:
                owner = find_owner(Path(view.root), op.user) if op.user else None
                order = Order(f"{op.path}/", stamp=stamp)
                Placing(view, folder / "diff", order).make(op.path, owner)
        finally:
            view.close()


def _newest(gathered: Gathered) -> int:
    return max((items[0].status.st_mtime_ns for items in gathered.sources), default=0)


def _make_way(folder: Path, order: Order) -> None:
    """Make a folder and those above it where they are missing; they belong to the new owner."""
    if folder.is_dir():
        return
    _make_way(folder.parent, order)
    folder.mkdir()
    if order.owner is not None:
        os.chown(folder, order.owner.uid, order.owner.gid)
    folder.chmod(order.mode_on_the_way)
