"""A container's root: mounted, unmounted, looked into."""

import asyncio
import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine.containers.container import Container
from engine.containers.mapped import Isolated, bind_inside, mount_root
from engine.containers.neighbours import Neighbours, Settings
from engine.containers.paths import is_folder, make_folder, make_in, open_below, resolve_in
from engine.containers.record import MountPoint, Record
from engine.containers.views import IMAGE
from engine.errors import EngineError
from engine.linux import identity, mounts, shared, trees
from engine.linux.libc import open_beneath
from engine.linux.mounts import Mount
from engine.linux.removal import remove_tree

_log = logging.getLogger(__name__)


class Roots:
    """Mounts the overlay of a container at CONTAINERS/ID/rootfs; volumes and binds beside it."""

    def __init__(
        self,
        neighbours: Neighbours,
        settings: Settings,
        *,
        mount: Callable[[Mount], None] = mounts.mount,
        unmount: Callable[..., bool] = mounts.unmount,
    ) -> None:
        self._mount, self._unmount = mount, unmount
        self._held: dict[str, int] = {}  # descriptors of detached roots
        self._snapshots = neighbours.snapshots
        self._volumes = neighbours.volumes
        self._folder = settings.folder

    def folder(self, id: str) -> Path:
        """The container's durable folder."""
        return self._folder / id

    def path(self, id: str) -> Path:
        """Where its root is mounted."""
        return self._folder / id / "rootfs"

    def mount(self, id: str, *, lasting: bool = True, isolated: Isolated | None = None) -> Path:
        """Mount the root; blocks for well under a millisecond. Raises OSError, NotFound.

        Not `lasting`: the files needn't survive a crash of the machine, nothing is synced.
        With `isolated` the owners are those of its user namespace. Raises EngineError where the
        file system can't do so.
        """
        target = self.path(id)
        if not lasting:
            # overlayfs marks such a work folder and refuses it the next time; only a crash of the
            # machine makes that matter, and then the container is removed
            mark = self._snapshots.upper(id).parent / "work/work/incompat"
            shutil.rmtree(mark, ignore_errors=True)

        def what(through: int = -1) -> Mount:
            found = self._snapshots.mount_of(id, target, through)
            return found if lasting else replace(found, options=(*found.options, "volatile"))

        if isolated is None:
            self._mount(what())
        else:
            mount_root(self._snapshots.root, target, isolated, what)
        return target

    def detach(self, id: str) -> None:
        """Take a running container's root out of our mount namespace, but hold it; blocks.

        Each start copies the namespace, and each mount there costs every later start. Held, since
        who lets go of a root last waits for its sync, and that shouldn't be the container.
        """
        held = os.open(self.path(id), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if self._unmount(self.path(id), lazy=True):
            self._held[id] = held
        else:
            os.close(held)

    def unmount(self, id: str) -> None:
        """Unmount the root (at once or when its last user is gone); nothing mounted is fine.

        May block for long: a lasting overlay syncs the whole file system that it writes to.
        """
        self.unpin(id)
        with contextlib.suppress(OSError):
            while self._unmount(self.path(id), lazy=True):
                continue
        if (held := self._held.pop(id, -1)) >= 0:
            os.close(held)

    def mounted(self) -> set[str]:
        """The containers that have something mounted in their folders; blocks."""
        below = f"{os.path.realpath(self._folder)}/"
        targets = (one.target for one in mounts.mounted())
        return {
            target.removeprefix(below).partition("/")[0]
            for target in targets
            if target.startswith(below)
        }

    def clear(self, id: str) -> None:
        """Unmount everything in the container's folder; blocks."""
        self.unmount(id)
        with contextlib.suppress(OSError):
            self._unmount(self.folder(id) / "shm", lazy=True)

    def wipe(self, id: str) -> None:
        """Delete the container's folder, whatever a killed engine left mounted in it; blocks."""
        self.clear(id)
        remove_tree(self.folder(id))

    def pin(self, record: Record, isolated: Isolated | None = None) -> None:
        """Mount what `pinned` says at `pin_of` each; blocks. Raises OSError, EngineError.

        The runtime is given those: a path through a volume could be turned elsewhere by a
        container that writes to it; and with `isolated` the owners are those inside.
        """
        for number, point in enumerate(record.mounts):
            if not pinned(record, point):
                continue
            if point.type == IMAGE:
                self.mount_view(f"{record.id}-{number}", point, isolated)
            source = open_source(point)
            try:
                place = pin_of(Path("/"), number)
                target = make_in(self.folder(record.id), str(place), folder=is_folder(source))
                try:
                    if isolated is None or point.type == IMAGE:
                        trees.bind(source, target)
                    else:
                        below = not point.options.get("NonRecursive")
                        bind_inside(source, target, isolated, recursive=below)
                finally:
                    os.close(target)
            finally:
                os.close(source)

    def mount_view(self, key: str, point: MountPoint, isolated: Isolated | None = None) -> None:
        """Mount an image at the source of its mount point; blocks. Raises OSError, EngineError."""
        target = Path(point.source)
        target.mkdir(parents=True, exist_ok=True)

        def what(through: int = -1) -> Mount:
            found = self._snapshots.mount_of(key, target, through, grounded=False)
            return replace(found, options=(*found.options, "ro"))

        if isolated is None:
            self._mount(what())
        else:
            mount_root(self._snapshots.root, target, isolated, what)

    def unpin(self, id: str) -> None:
        """Unmount what `pin` mounted; the container has it by then. Twice is fine."""
        folder = pin_of(self.folder(id), 0).parent
        if not folder.exists():
            return
        for place in folder.iterdir():
            with contextlib.suppress(OSError):
                while self._unmount(place, lazy=True):
                    continue
                # never a whole tree: it would be the volume's if it were still mounted
                place.rmdir() if place.is_dir() else place.unlink()

    def inside(self, container: Container) -> Path:
        """The mounted root: of the running process when there is one (it survives the engine)."""
        if container.live and container.running is not None and container.running.pid:
            return Path(f"/proc/{container.running.pid}/root")
        return self.path(container.id)

    async def settle_volumes(self, record: Record) -> list[str]:
        """Make the volumes that don't exist, fill in names and sources; returns the new names."""
        made: list[str] = []
        try:
            for point in record.mounts:
                if point.type == "volume" and not point.source:
                    volume = await self._volumes.create(
                        point.name,
                        driver=point.driver,
                        options=point.options.get("driver"),
                        labels=point.options.get("labels"),
                    )
                    if point.anonymous:
                        made.append(volume.name)
                    point.name, point.driver = volume.name, volume.driver
                    point.source = str(volume.mountpoint)
        except BaseException:
            for name in made:
                with contextlib.suppress(EngineError):
                    await self._volumes.remove(name, force=True)
            raise
        return made

    async def fill_volumes(self, record: Record) -> None:
        """Copy the image's content into the volumes that are empty."""
        wanted = [point for point in record.mounts if point.type == "volume" and point.copy_up]
        if not wanted:
            return
        root = await asyncio.to_thread(self.mount, record.id)
        try:
            for point in wanted:
                source = await asyncio.to_thread(resolve_in, root, point.destination)
                if await asyncio.to_thread(source.is_dir):
                    await self._volumes.populate(point.name, source)
        finally:
            await asyncio.to_thread(self.unmount, record.id)

    async def mount_volumes(self, record: Record) -> None:
        """Mount the volumes that need it and make missing bind sources."""
        for point in record.mounts:
            if point.type == "volume":
                attributes = {
                    "destination": point.destination,
                    "propagation": point.propagation,
                    "read/write": "true" if point.writable else "false",
                }
                where = await self._volumes.mount(point.name, record.id, attributes)
                point.source = str(where)
            elif point.type == "bind" and point.create_source:
                await asyncio.to_thread(make_source, point)

    def resume_volumes(self, record: Record) -> None:
        """The container runs already: an earlier engine has mounted them."""
        for point in record.mounts:
            if point.type == "volume":
                self._volumes.resume(point.name, record.id)

    async def unmount_volumes(self, record: Record) -> None:
        """The opposite of `mount_volumes`."""
        for point in record.mounts:
            if point.type != "volume":
                continue
            try:
                await self._volumes.unmount(point.name, record.id)
            except (EngineError, OSError) as error:
                _log.warning("unmount of volume %s: %s", point.name, error)

    def make_working_folder(
        self, root: Path, record: Record, isolated: Isolated | None = None
    ) -> None:
        """Make the working directory inside the mounted root, as dockerd does."""
        folder = record.config.get("WorkingDir")
        if not folder or folder == "/":
            return
        try:
            if isolated is None:
                make_folder(root, folder)
            else:
                identity.acting_as(*isolated.root, lambda: make_folder(root, folder))
        except (FileExistsError, NotADirectoryError) as error:
            raise EngineError(f"Cannot mkdir: {folder} is not a directory") from error
        except OSError as error:
            raise EngineError(
                f"failed to create the working directory {folder}: {error.strerror}"
            ) from error


def make_source(point: MountPoint) -> None:
    """Make a bind source as a folder unless something is there. Raises EngineError."""
    try:
        if shared.is_shared(point.source):
            below = point.source.removeprefix(shared.HOST_MOUNT)
            with contextlib.suppress(FileNotFoundError):
                os.close(shared.open_path(point.source))
                return
            os.close(make_in(Path(shared.HOST_MOUNT), below, folder=True))
        elif not os.path.lexists(point.source):
            os.makedirs(point.source, exist_ok=True)
    except OSError as error:
        raise EngineError(
            f"error while creating mount source path '{point.shown_source or point.source}': "
            f"mkdir {error.filename or point.source}: {(error.strerror or str(error)).lower()}"
        ) from error


def pinned(record: Record, point: MountPoint) -> bool:
    """Whether the runtime gets a mount of the engine's instead of the source itself."""
    if point.subpath or point.type == IMAGE or shared.is_shared(point.source):
        return True
    return bool(record.id_base and point.type != "tmpfs")


def pin_of(folder: Path, number: int) -> Path:
    """Where a container's mount with this number is mounted during a start."""
    return folder / "pins" / str(number)


def open_source(point: MountPoint) -> int:
    """A descriptor (O_PATH) of what is mounted; links in a volume lead nowhere outside of it.

    Nor do those in a folder that the user's machine shares with its VM.

    Raises OSError, EngineError when the subpath of a volume isn't there.
    """
    if not point.subpath:
        return _open_whole(point)
    try:
        return open_below(Path(point.source), point.subpath)
    except OSError as error:
        if _leads_out(point):
            raise EngineError(
                "path concatenation escapes the base directory, "
                f"base: {point.source}, subpath: {point.subpath}"
            ) from error
        path = f"{point.source}/{point.subpath}"
        raise EngineError(
            f"cannot access path {path}: lstat {path}: {(error.strerror or '').lower()}"
        ) from error


def _leads_out(point: MountPoint) -> bool:
    """Whether links of a subpath name something outside of the volume."""
    try:
        folder = os.open(point.source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.close(open_beneath(folder, point.subpath, os.O_PATH))
        finally:
            os.close(folder)
    except OSError as error:
        return error.errno == errno.EXDEV
    return False


def _open_whole(point: MountPoint) -> int:
    try:
        return shared.open_path(point.source)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        if shared.is_shared(point.source):
            why += "; a link has to lead into a folder that is shared with the VM"
        raise EngineError(
            f"can't open mount source {point.shown_source or point.source}: {why}"
        ) from error
