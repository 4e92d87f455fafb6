"""All volumes: a folder each below ROOT/volumes, a record each in the database.

A volume exists from the moment its record is written; the folder is made before. Removing goes
the other way, so that a crash leaves either a whole volume or a folder without a record: an empty
one is swept at the next start, one with files is taken back as a volume.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from engine.database import Database
from engine.errors import BadRequest, Conflict, EngineError, NotFound
from engine.events import Events
from engine.filters import Filters
from engine.linux import confined, threads
from engine.linux.libc import exchange
from engine.linux.removal import remove_tree
from engine.values import dataclass
from engine.volumes import tree
from engine.volumes.holders import Holders
from engine.volumes.local import is_plain, mount_of, mount_volume, unmount_volume
from engine.volumes.volume import (
    ANONYMOUS_LABEL,
    DRIVER,
    Volume,
    check_driver,
    check_name,
    check_options,
)

log = logging.getLogger("engine.volumes")

KIND = "volume"
_TRASH = ".removed-"  # can't be the name of a volume
_STAGING = ".making-"
LOOKING = "cove-look-"  # how a holder is called that reads a moment's state
_LIST_FILTERS = frozenset({"dangling", "driver", "label", "name"})
_PRUNE_FILTERS = frozenset({"label", "label!", "all"})
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


@dataclass(frozen=True)
class Pruned:
    """What a prune removed, and the bytes given back."""

    names: Sequence[str]
    reclaimed: int


class Store:
    """Life: Store(...), start(), then the rest, close().

    users(name) tells the ids of the containers that refer to a volume; locate maps folders of
    the user's machine. The daemon sets both.
    """

    def __init__(self, root: Path, database: Database, events: Events) -> None:
        self.folder = self._folder = root / "volumes"
        self._database = database
        self._events = events
        self._volumes: dict[str, Volume] = {}
        self._holders = Holders(self._mount)
        self._lock = asyncio.Lock()
        self._remains: list[Path] = []
        self.cleaning: asyncio.Task[None] | None = None  # of what an earlier engine left
        self._pruning = False
        self.users: Callable[[str], Sequence[str]] = lambda name: ()
        self.locate: Callable[[str], str] = lambda path: path

    async def start(self) -> None:
        """Read the records and put the folders in order."""
        records = self._database.load(KIND)
        self._volumes = {
            name: Volume.from_record(name, self._mountpoint(name), record)
            for name, record in records.items()
        }
        for name in await asyncio.to_thread(self._sweep):
            log.warning("volume %s has files but no record: taking it back", name)
            await self._record(Volume(name, self._mountpoint(name), time.time_ns()))
        if self._remains:  # perhaps much, and nobody waits for it
            self.cleaning = asyncio.create_task(threads.apart(self._clean, "volume-remains"))

    def _clean(self) -> None:
        for folder in self._remains:
            if not remove_tree(folder):
                log.warning("remains of a volume in %s can't be deleted", folder)

    def get(self, name: str) -> Volume:
        """A volume by its name. Raises NotFound."""
        volume = self._volumes.get(name)
        if volume is None:
            raise NotFound(f"get {name}: no such volume")
        return volume

    def list(self, filters: Filters | None = None) -> Sequence[Volume]:
        """The volumes that the filters leave, by name. Raises BadRequest."""
        filters = filters or Filters()
        filters.check(_LIST_FILTERS)
        dangling = filters.boolean("dangling") if "dangling" in filters else None
        return [
            volume
            for _, volume in sorted(self._volumes.items())
            if filters.fuzzy("name", volume.name)
            and filters.matches("driver", volume.driver)
            and filters.labels(volume.labels or {})
            and (dangling is None or dangling != bool(self.users(volume.name)))
        ]

    async def create(
        self,
        name: str,
        *,
        driver: str = DRIVER,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, or return the one with this name as it is, like dockerd.

        "" makes an anonymous one. Raises BadRequest, NotFound for an unknown driver.
        """
        anonymous = not name
        if anonymous:
            name = os.urandom(32).hex()
            labels = {**(labels or {}), ANONYMOUS_LABEL: ""}
        check_driver(name, driver or DRIVER)
        async with self._lock:
            if (held := self._volumes.get(name)) is not None:
                return held
            check_name(name)
            check_options(name, options or {})
            volume = Volume(name, self._mountpoint(name), time.time_ns(), labels, options)
            await asyncio.to_thread(_make_folder, volume.mountpoint)
            # An anonymous volume is made for a container, whose own record refers to it.
            await self._record(volume, durable=not anonymous)
        self._tell(volume, "create")
        return volume

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Delete a volume with its files; force hides that it's missing, never that it's used.

        Raises NotFound, Conflict.
        """
        async with self._lock:
            volume = self._volumes.get(name)
            if volume is None:
                if force:
                    return
                raise NotFound(f"get {name}: no such volume")
            if users := sorted({*self.users(name), *self._holders.of(name)}):
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            trash = await self._delete(volume)
        if trash is not None and not await asyncio.to_thread(remove_tree, trash):
            # The volume is gone for everybody; the next start tries again.
            log.error("some files of volume %s can't be deleted", name)
        self._tell(volume, "destroy")

    async def prune(self, filters: Filters, *, named: bool = False) -> Pruned:
        """Remove what no container refers to: anonymous ones, named ones too if `named` or the
        filter `all` says so, and none with driver options. Raises BadRequest, Conflict.
        """
        filters.check(_PRUNE_FILTERS)
        named = _asks_all(filters, named)
        if self._pruning:
            raise Conflict("a prune operation is already running")
        self._pruning = True
        try:
            return await self._prune(filters, named)
        finally:
            self._pruning = False

    async def _prune(self, filters: Filters, named: bool) -> Pruned:
        names: list[str] = []
        reclaimed = 0
        for volume in self.list():
            if not (named or volume.anonymous) or volume.options:
                continue
            if not filters.labels(volume.labels or {}):
                continue
            size = await asyncio.to_thread(self._size, volume)
            try:
                await self.remove(volume.name)
            except (Conflict, NotFound):
                continue  # somebody took or removed it meanwhile
            names.append(volume.name)
            reclaimed += size
        self._events.publish("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return Pruned(names, reclaimed)

    async def mount(
        self, name: str, container_id: str, attributes: Mapping[str, str] | None = None
    ) -> Path:
        """Make a volume ready for a container and return its folder; asking twice is fine.

        Raises NotFound, or EngineError when the driver options can't be mounted.
        """
        volume = await self._take(name, container_id)
        self._tell(volume, "mount", {"container": container_id, **(attributes or {})})
        return volume.mountpoint

    def resume(self, name: str, container_id: str) -> None:
        """A container of an earlier engine still has it mounted; a missing one is no error."""
        if (volume := self._volumes.get(name)) is not None:
            self._holders.add(volume, container_id)

    async def unmount_unheld(self) -> None:
        """Unmount what an earlier engine mounted for containers that don't run any more."""
        idle = [
            volume
            for volume in self._volumes.values()
            if not is_plain(volume) and not self._holders.of(volume.name)
        ]
        if idle:
            await asyncio.to_thread(_unmount_all, idle)

    async def unmount(self, name: str, container_id: str) -> None:
        """A container is done with a volume; a missing one or a second call is no error."""
        volume = self._volumes.get(name)
        if volume is not None and await self._holders.discard(volume, container_id):
            self._tell(volume, "unmount", {"container": container_id})

    @asynccontextmanager
    async def hold(self, name: str, holder: str) -> AsyncIterator[Path]:
        """Its folder for work of the engine's own: mounted if need be, and not removed meanwhile.

        Raises NotFound, EngineError when the driver options can't be mounted.
        """
        volume = await self._take(name, holder)
        try:
            yield volume.mountpoint
        finally:
            await self._holders.discard(volume, holder)

    async def _take(self, name: str, holder: str) -> Volume:
        """From now on it isn't removed, and it's mounted."""
        async with self._lock:
            volume = self.get(name)
            new = self._holders.add(volume, holder)
        try:
            await self._holders.mount(volume)
        except BaseException:
            if new:
                await self._holders.discard(volume, holder)
            raise
        return volume

    def _mount(self, volume: Volume) -> None:
        if (what := mount_of(volume, self.locate)) is not None:
            mount_volume(volume, what)

    async def stage(self) -> Path:
        """An empty folder, where one day a volume's files may be; see `adopt` and `exchange`."""
        staging = self._folder / f"{_STAGING}{os.urandom(8).hex()}" / "_data"
        await asyncio.to_thread(_make_folder, staging)
        return staging

    async def discard(self, staging: Path) -> None:
        """A staged folder isn't wanted any more; one that is gone is fine."""
        await asyncio.to_thread(remove_tree, staging.parent)

    async def adopt(
        self, staging: Path, name: str, labels: Mapping[str, str] | None = None
    ) -> Volume:
        """Make a staged folder a volume of this name, in one step. Raises Conflict, BadRequest."""
        async with self._lock:
            self.check_free(name)
            volume = Volume(name, self._mountpoint(name), time.time_ns(), labels)
            await asyncio.to_thread(staging.parent.rename, volume.mountpoint.parent)
            await self._record(volume)
        self._tell(volume, "create")
        return volume

    def check_free(self, name: str) -> None:
        """Raise BadRequest for what is no name, Conflict when a volume has it."""
        if not name:
            raise BadRequest("the new volume needs a name")
        if name in self._volumes:
            raise Conflict(f"create {name}: a volume with this name exists already")
        check_name(name)

    async def exchange(self, staging: Path, name: str, holder: str) -> None:
        """Give a volume the files of a staged folder and the folder the volume's, in one step.

        Raises Conflict when a container has it mounted, since that would keep the old files.
        """
        async with self._lock:
            volume = self.get(name)
            self.check_replaceable(name, holder)
            await asyncio.to_thread(exchange, staging, volume.mountpoint)

    def check_replaceable(self, name: str, holder: str) -> None:
        """Raise Conflict when somebody but `holder` has the volume mounted or works on it.

        Who only looks into it isn't harmed.
        """
        others = [one for one in self._holders.of(name) if one != holder]
        if others := [one for one in others if not one.startswith(LOOKING)]:
            raise Conflict(
                f"can't replace the files of volume {name}: it is in use - "
                f"[{', '.join(others)}]; stop what uses it first"
            )

    async def populate(self, name: str, source: Path) -> bool:
        """Copy a folder of an image into a volume that is still empty; False when it isn't.

        Keeps owners, modes, times, attributes and hard links. Raises NotFound, EngineError.
        """
        volume = self.get(name)
        try:
            # the volume may be in the hands of a running container, which could put links into
            # the way of the copy: it's made where links lead nowhere else
            folders = {"from": source, "to": volume.mountpoint}
            return await confined.run(
                lambda: confined.enter_folders(self._folder, folders),
                lambda: _populate(Path("/from"), Path("/to")),
            )
        except OSError as error:
            raise EngineError(
                f"can't copy {source} into the volume {name}: {error.strerror or error}"
            ) from error

    async def size(self, name: str) -> int:
        """Bytes of its files; what is mounted from elsewhere is not counted."""
        return await asyncio.to_thread(self._size, self.get(name))

    def reference_count(self, name: str) -> int:
        """How many containers refer to it."""
        return len(self.users(name))

    async def close(self) -> None:
        """Wait for a change under way."""
        async with self._lock:
            return

    # --- folders and records ---

    def _mountpoint(self, name: str) -> Path:
        return self._folder / name / "_data"

    async def _record(self, volume: Volume, durable: bool = True) -> None:
        await self._database.put(KIND, volume.name, volume.to_record(), durable)
        self._volumes[volume.name] = volume

    async def _delete(self, volume: Volume) -> Path | None:
        """From now on there is no such volume; where its files are, to be deleted."""
        await self._database.delete(KIND, volume.name)
        del self._volumes[volume.name]
        self._holders.forget(volume.name)
        return await asyncio.to_thread(self._move_away, volume)

    def _move_away(self, volume: Volume) -> Path | None:
        unmount_volume(volume)
        trash = self._folder / f"{_TRASH}{os.urandom(8).hex()}"
        try:
            volume.mountpoint.parent.rename(trash)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("can't move the files of volume %s away: %s", volume.name, error)
            return None
        return trash

    def _sweep(self) -> Sequence[str]:
        """Remove remains, restore missing folders; the names of folders with files, no record."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o701)
        found = []
        for entry in sorted(self._folder.iterdir()):
            if entry.name.startswith((_TRASH, _STAGING)):
                self._remains.append(entry)
            elif entry.name not in self._volumes and entry.is_dir():
                if _holds_files(entry) and _is_name(entry.name):
                    found.append(entry.name)
                elif not _holds_files(entry):
                    remove_tree(entry)
        for volume in self._volumes.values():
            _make_folder(volume.mountpoint)
        return found

    def _size(self, volume: Volume) -> int:
        if not is_plain(volume):
            return 0
        return tree.size_of(volume.mountpoint)

    def _tell(
        self, volume: Volume, action: str, attributes: Mapping[str, str] | None = None
    ) -> None:
        told = {"driver": volume.driver, **(attributes or {})}
        self._events.publish("volume", action, volume.name, told)


def _asks_all(filters: Filters, default: bool) -> bool:
    """The filter `all`, in the words of Go's ParseBool. Raises BadRequest as dockerd does."""
    words = filters.values("all")
    if not words:
        return default
    if len(words) > 1:
        raise BadRequest(f"invalid filter 'all=[{' '.join(words)}]': only one value is expected")
    if words[0] not in _TRUE | _FALSE:
        raise BadRequest(
            f"invalid filter 'all': strconv.ParseBool: parsing \"{words[0]}\": invalid syntax"
        )
    return words[0] in _TRUE


def _unmount_all(volumes: Sequence[Volume]) -> None:
    for volume in volumes:
        unmount_volume(volume)


def _make_folder(mountpoint: Path) -> None:
    mountpoint.parent.mkdir(mode=0o701, exist_ok=True)
    mountpoint.mkdir(mode=0o755, exist_ok=True)


def _holds_files(folder: Path) -> bool:
    content = folder / "_data"
    try:
        return not tree.is_empty(content)
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        return True


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except BadRequest:
        return False
    return True


def _populate(source: Path, target: Path) -> bool:
    if not tree.is_empty(target):
        return False
    tree.copy(source, target)
    return True
