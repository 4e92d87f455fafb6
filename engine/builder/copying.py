"""COPY and ADD: chosen files are placed in a step's layer, as they will lie over the image.

The layer's folder is written directly, not through an overlay: what the image already has is only
looked at. Folders that exist keep their attributes, times included, so that equal input gives
equal layers.
"""

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from engine.builder.ownership import Change, Owner
from engine.builder.tree import Item, Tree, attributes
from engine.errors import BadRequest
from engine.linux.links import resolve
from engine.values import dataclass, replace

_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 30
_MORE_THAN_ONE = (
    "When using {} with more than one source file, the destination must be a directory and "
    "end with a /"
)


@dataclass(frozen=True)
class Order:
    """How to place. destination is absolute; a folder where it ends with `/`.

    owner: None keeps the source's. stamp: the time (ns) of folders that are made on the way.
    alone: the image below isn't looked at (`--link`). dressed: a destination that is made for a
    folder's content gets its mode and owner (the classic builder makes a plain one).
    """

    destination: str
    owner: Owner | None = None
    mode: Change | None = None
    stamp: int = 0
    alone: bool = False
    dressed: bool = False
    word: str = "COPY"

    @property
    def mode_on_the_way(self) -> int:
        """The mode of folders that are made on the way: BuildKit gives them that of the files."""
        return 0o755 if self.mode is None else self.mode(0o755, True) & 0o777


class Placing:
    """One step's files on their way into `upper`, an empty folder, over the image at `below`."""

    def __init__(self, below: Tree, upper: Path, order: Order) -> None:
        self._below = below
        self._upper = str(upper)
        self._order = order
        self._made: set[str] = set()
        self._times: dict[str, int] = {}
        self._links: dict[tuple[int, int], str] = {}
        self._taken: set[tuple[int, int]] = set()

    def run(self, sources: Iterable[list[Item]]) -> None:
        """Place the items of each source. Raises BadRequest, OSError."""
        chosen = [items for items in sources if items]
        destination = self._destination(chosen)
        for items in chosen:
            self._place(items, destination)
        self._set_times()

    def make(self, path: str, owner: Owner | None) -> None:
        """Make a folder, and its parents, where they are missing. Raises BadRequest, OSError."""
        self._order = replace(self._order, owner=owner)
        self._folder(resolve(self._below.root, path))
        self._set_times()

    def _set_times(self) -> None:
        # a child's time never changes its folder's
        for path, mtime in self._times.items():
            os.utime(self._at(path), ns=(mtime, mtime))

    def _destination(self, chosen: list[list[Item]]) -> str:
        """The destination without links; files go below it or become it."""
        wanted = self._order.destination
        if len(chosen) > 1 and not wanted.endswith("/"):
            raise BadRequest(_MORE_THAN_ONE.format(self._order.word))
        if self._order.alone:
            return "/".join(part for part in wanted.split("/") if part not in ("", "."))
        return resolve(self._below.root, wanted)

    def _at(self, path: str) -> str:
        return f"{self._upper}/{path}" if path else self._upper

    def _place(self, items: list[Item], destination: str) -> None:
        first = items[0]
        renamed = first.named and not self._is_folder_target(destination)
        for item in items:
            if renamed:
                path = destination
            else:
                path = "/".join(part for part in (destination, item.target) if part)
            if item.is_folder:
                self._copy_folder(item, path, top=item is first and not item.target)
            else:
                self._copy(item, path)

    def _is_folder_target(self, destination: str) -> bool:
        if self._order.destination.endswith(("/", "/.")) or not destination:
            return True
        there = self._existing(destination)
        return there is not None and stat.S_ISDIR(there.st_mode)

    def _existing(self, path: str) -> os.stat_result | None:
        """What is at a path, of this layer or of the image."""
        try:
            return os.lstat(self._at(path))
        except (FileNotFoundError, NotADirectoryError):
            return None if self._order.alone else self._below.status(path)

    def _folder(self, path: str) -> None:
        """Have a folder of this layer at `path`, as the image has it, or a new one."""
        if not path or path in self._made:
            return
        there = self._existing(path)
        if there is not None and not stat.S_ISDIR(there.st_mode):
            raise BadRequest(f"cannot copy to non-directory: /{path}")
        self._folder(path.rpartition("/")[0])
        place = self._at(path)
        os.mkdir(place, 0o755)
        self._made.add(path)
        if there is None:
            owner = self._order.owner or Owner(0, 0)
            os.chown(place, owner.uid, owner.gid)
            os.chmod(place, self._order.mode_on_the_way)
            self._times[path] = self._order.stamp
        else:
            os.chown(place, there.st_uid, there.st_gid)
            os.chmod(place, stat.S_IMODE(there.st_mode))
            _copy_attributes(self._below.place(path), place)
            self._times[path] = there.st_mtime_ns

    def _copy_folder(self, item: Item, path: str, *, top: bool) -> None:
        if not path:
            return  # the image's own root stays as it is
        existed = self._existing(path) is not None
        self._folder(path)
        if top and (existed or not self._order.dressed):
            return
        place = self._at(path)
        self._dress(item, place)
        self._times[path] = item.status.st_mtime_ns

    def _copy(self, item: Item, path: str) -> None:
        there = self._existing(path)
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise BadRequest(f"cannot copy to directory: /{path}")
        self._folder(path.rpartition("/")[0])
        place, status = self._at(path), item.status
        if there is not None:
            _discard(place)
        kind = stat.S_IFMT(status.st_mode)
        source = item.tree.place(item.path)
        if kind == stat.S_IFREG:
            self._copy_file(item, source, place)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(source), place)
            owner = self._owner(status)
            os.chown(place, owner.uid, owner.gid, follow_symlinks=False)
            _set_time(place, status)
        elif kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK):
            os.mknod(place, kind | 0o600, status.st_rdev)
            self._dress(item, place)

    def _copy_file(self, item: Item, source: str, place: str) -> None:
        status = item.status
        identity = (status.st_dev, status.st_ino)
        if self._may_take(item, identity):
            self._taken.add(identity)
            os.link(source, place)
            return
        if status.st_nlink > 1 and identity in self._links:
            os.link(self._links[identity], place)
            return
        with open(source, "rb", buffering=0) as reading:
            writing = os.open(place, _FILE, 0o600)
            try:
                _copy_data(reading.fileno(), writing)
            finally:
                os.close(writing)
        self._dress(item, place)
        if status.st_nlink > 1:
            self._links[identity] = place

    def _may_take(self, item: Item, identity: tuple[int, int]) -> bool:
        """Whether the file itself may go to the layer: nobody else's, dressed as it is to be."""
        status = item.status
        if not item.tree.given or status.st_nlink > 1 or identity in self._taken:
            return False
        owner = self._owner(status)
        mode = stat.S_IMODE(status.st_mode)
        return (
            owner.uid == status.st_uid and owner.gid == status.st_gid and mode == self._mode(item)
        )

    def _owner(self, status: os.stat_result) -> Owner:
        return self._order.owner or Owner(status.st_uid, status.st_gid)

    def _mode(self, item: Item) -> int:
        mode = stat.S_IMODE(item.status.st_mode)
        return mode if self._order.mode is None else self._order.mode(mode, item.is_folder)

    def _dress(self, item: Item, place: str) -> None:
        owner = self._owner(item.status)
        os.chown(place, owner.uid, owner.gid, follow_symlinks=False)
        os.chmod(place, self._mode(item))
        _copy_attributes(item.tree.place(item.path), place)
        _set_time(place, item.status)


def copy_tree(tree: Tree, source: str, target: Path) -> None:
    """Copy what is in a folder of a tree into the empty folder `target`. Raises OSError."""
    below = Tree(os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        items = list(tree.items(source, None, None))
        Placing(below, target, Order("/", alone=True)).run([items])
    finally:
        below.close()


def _discard(place: str) -> None:
    """Remove an earlier file of this layer; one of the image is simply covered."""
    try:
        os.unlink(place)
    except FileNotFoundError:
        return


def _set_time(place: str, status: os.stat_result) -> None:
    os.utime(place, ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)


def _copy_attributes(source: str, place: str) -> None:
    for name, value in attributes(source):
        os.setxattr(place, name, value, follow_symlinks=False)


def _copy_data(reading: int, writing: int) -> None:
    """All bytes from one descriptor to another, inside the kernel."""
    try:
        while os.copy_file_range(reading, writing, _CHUNK):
            continue
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        os.lseek(writing, os.lseek(reading, 0, os.SEEK_CUR), os.SEEK_SET)
        while os.sendfile(writing, reading, None, _CHUNK):
            continue
