"""The engine's start: takes running containers back and ends what was left half done."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.containers.container import Container
from engine.containers.endpoints import sandbox_request
from engine.containers.lifecycle import Lifecycle
from engine.containers.neighbours import Neighbours, Settings
from engine.containers.record import LIVE, Status
from engine.containers.rootfs import Roots
from engine.containers.start import bundle_of
from engine.containers.store import Store
from engine.containers.tasks import Tasks
from engine.containers.views import owner_of
from engine.linux.removal import remove_tree
from engine.networks import Sandbox, SandboxRequest
from engine.values import dataclass

_log = logging.getLogger(__name__)
LOST = 137
# repairs and starts at a time: clients wait behind them for threads and for the kernel
_TURNS = 4


class Restorer:
    """Brings the records in line with what really runs."""

    def __init__(
        self,
        store: Store,
        roots: Roots,
        lifecycle: Lifecycle,
        neighbours: Neighbours,
        settings: Settings,
        tasks: Tasks,
    ) -> None:
        self._store = store
        self._roots = roots
        self._lifecycle = lifecycle
        self._neighbours = neighbours
        self._settings = settings
        self._tasks = tasks
        self._turns = asyncio.Semaphore(_TURNS)

    async def restore(self) -> None:
        """Learn what runs; on return everything shows as it is.

        What an earlier engine left to repair is repaired behind; a container in repair is locked,
        so that acts on it wait. Restart policies are obeyed in the background, too.
        """
        strays = await self._survey()
        suspects = [one for one in self._store if _may_run(one)]
        await asyncio.gather(*(self._take_back(one) for one in suspects))
        live = [one for one in suspects if one.running is not None]
        await self._neighbours.networks.restore(list(_sandboxes(live)))
        for container in live:
            self._lifecycle.watch(container)
            self._roots.resume_volumes(container.record)
        await self._neighbours.volumes.unmount_unheld()
        await self._repair_all([one for one in suspects if one.running is None], strays)
        for container in self._lifecycle.restarts_at_boot():
            self._tasks.spawn(self._boot(container), f"start {container.id[:12]}")
        for container in self._store:
            if container.record.auto_remove and not container.live:
                if container.record.state.started_at:
                    self._tasks.spawn(self._drop(container), f"remove {container.id[:12]}")

    async def _take_back(self, container: Container) -> None:
        record, state = container.record, container.record.state
        if state.starting:
            self._start_undone(container)
            return
        if state.status is Status.RESTARTING:
            state.status = Status.EXITED
            return
        running = None
        try:
            bundle = bundle_of(record, self._settings.folder, {})
            running = await self._neighbours.runtime.adopt(bundle)
        except Exception as error:
            _log.error("taking back %s: %s", record.name, error, exc_info=error)
        if running is None:
            self._lost(container)
            return
        container.running = running
        container.sandbox = Sandbox.from_record(record.sandbox) if record.sandbox else None
        container.ended.clear()

    def _start_undone(self, container: Container) -> None:
        """A start was never told as done: whatever of it there is will be ended."""
        state = container.record.state
        state.starting, state.pid = False, 0
        if state.boot != self._settings.boot:
            # the machine went down: how far the start had come was not on the disk yet
            state.started_at = state.started_at or container.record.created
            self._lost(container)
        elif state.status in LIVE:
            self._lost(container)
        container.record.sandbox = None

    def _lost(self, container: Container) -> None:
        state = container.record.state
        state.status, state.pid, state.exit_code = Status.EXITED, 0, LOST
        state.finished_at = time.time_ns()
        container.record.sandbox = None
        container.ended.set()

    async def _boot(self, container: Container) -> None:
        async with self._turns:
            await self._lifecycle.boot(container)

    async def _drop(self, container: Container) -> None:
        with contextlib.suppress(Exception):
            await self._lifecycle.remove(container.id, force=True, volumes=True)

    # -- what is left to repair ----------------------------------------------------------------

    async def _survey(self) -> "_Strays":
        """What has no record, and the reverse: of a create or remove that was cut short.

        Records without their files are forgotten at once.
        """
        known = {container.id for container in self._store}
        folders = await asyncio.to_thread(_folders, self._settings.folder)
        snapshots = self._neighbours.snapshots
        keys = await asyncio.to_thread(lambda: set(filter(_is_ours, snapshots.keys())))
        for container in self._store:
            if container.id not in folders or container.id not in keys:
                _log.warning("container %s has lost its files: removed", container.name)
                await self._store.forget(container)
        left = self._neighbours.runtime.known()
        mounted = await asyncio.to_thread(self._roots.mounted)
        # an end may be written down, but the engine was killed before it had cleaned up
        ended = {container.id for container in self._store if not _may_run(container)}
        unused = {key for key in keys if owner_of(key) not in known}
        return _Strays(left - known, folders - known, unused, ended & (left | mounted))

    async def _repair_all(self, over: list[Container], strays: "_Strays") -> None:
        for container in [*over, *map(self._store.get, strays.ended)]:
            await container.lock.acquire()  # nobody has it yet
            self._tasks.spawn(self._repair(container), f"repair {container.id[:12]}")
        self._tasks.spawn(self._sweep(strays), "sweep")

    async def _repair(self, container: Container) -> None:
        """End what is left of a run that is over, and write down that it is; unlocks it."""
        try:
            async with self._turns:
                for step in (
                    self._neighbours.runtime.delete(container.id),
                    self._neighbours.networks.close(container.id),
                    self._store.save(container),
                    asyncio.to_thread(self._roots.clear, container.id),
                ):
                    try:
                        await step
                    except Exception as error:
                        _log.warning("repairing %s: %s", container.name, error)
        finally:
            container.lock.release()

    async def _sweep(self, strays: "_Strays") -> None:
        """Take away what belongs to no record."""
        for id in strays.processes:
            await self._neighbours.runtime.delete(id)  # its network went with networks.restore()
        for id in strays.folders:
            await asyncio.to_thread(self._roots.clear, id)
            await asyncio.to_thread(remove_tree, self._settings.folder / id)
        for id in strays.snapshots:
            await self._neighbours.snapshots.remove(id)


@dataclass(frozen=True)
class _Strays:
    """Ids: left by nobody known, but for `ended`, which are known and should have left nothing."""

    processes: set[str]
    folders: set[str]
    snapshots: set[str]
    ended: set[str]


def _is_ours(key: str) -> bool:
    return _is_id(owner_of(key))


def _is_id(text: str) -> bool:
    return len(text) == 64 and all(character in "0123456789abcdef" for character in text)


def _folders(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir() if _is_id(entry.name)}
    except FileNotFoundError:
        return set()


def _may_run(container: Container) -> bool:
    state = container.record.state
    return state.starting or state.status in LIVE or state.status is Status.RESTARTING


def _sandboxes(containers: Iterable[Container]) -> Iterator[tuple[SandboxRequest, Sandbox]]:
    for container in containers:
        if container.sandbox is not None and container.record.endpoints:
            yield sandbox_request(container.record), container.sandbox
