"""The engine's start: takes running containers back and ends what was left half done."""

import asyncio
import contextlib
import logging
import shutil
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
from engine.networks import Sandbox, SandboxRequest

_log = logging.getLogger(__name__)
LOST = 137


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

    async def restore(self) -> None:
        """Adopt, repair, sweep; restart policies are then obeyed in the background."""
        await self._sweep()
        suspects = [one for one in self._store if _may_run(one)]
        await asyncio.gather(*(self._take_back(one) for one in suspects))
        live = [one for one in suspects if one.running is not None]
        await self._neighbours.networks.restore(list(_sandboxes(live)))
        for container in suspects:
            if container.running is None:
                await self._tidy(container)
        for container in live:
            self._lifecycle.watch(container)
        for container in self._lifecycle.restarts_at_boot():
            self._tasks.spawn(self._lifecycle.boot(container), f"start {container.id[:12]}")
        for container in self._store:
            if container.record.auto_remove and not container.live:
                if container.record.state.started_at:
                    self._tasks.spawn(self._drop(container), f"remove {container.id[:12]}")

    async def _take_back(self, container: Container) -> None:
        record, state = container.record, container.record.state
        bundle = bundle_of(record, self._settings.folder, {})
        if state.starting:
            await self._undo_start(container)
            if state.boot != self._settings.boot:
                # the machine went down: how far the start had come was not on the disk yet
                state.started_at = state.started_at or record.created
                self._lost(container)
            return
        if state.status is Status.RESTARTING:
            state.status = Status.EXITED
            return
        running = None
        try:
            running = await self._neighbours.runtime.adopt(bundle)
        except Exception as error:
            _log.error("taking back %s: %s", record.name, error, exc_info=error)
        if running is None:
            self._lost(container)
            return
        container.running = running
        container.sandbox = Sandbox.from_record(record.sandbox) if record.sandbox else None
        container.ended.clear()

    async def _undo_start(self, container: Container) -> None:
        """A start was never told as done: end whatever of it there is."""
        with contextlib.suppress(Exception):
            await self._neighbours.runtime.delete(container.id)
        state = container.record.state
        state.starting, state.pid = False, 0
        if state.status in LIVE:
            self._lost(container)
        container.record.sandbox = None

    def _lost(self, container: Container) -> None:
        state = container.record.state
        state.status, state.pid, state.exit_code = Status.EXITED, 0, LOST
        state.finished_at = time.time_ns()
        container.record.sandbox = None
        container.ended.set()

    async def _tidy(self, container: Container) -> None:
        for step in (
            self._neighbours.runtime.delete(container.id),
            self._neighbours.networks.close(container.id),
            self._store.save(container),
        ):
            try:
                await step
            except Exception as error:
                _log.warning("tidying %s: %s", container.name, error)
        self._roots.unmount(container.id)

    async def _drop(self, container: Container) -> None:
        with contextlib.suppress(Exception):
            await self._lifecycle.remove(container.id, force=True, volumes=True)

    async def _sweep(self) -> None:
        """Files without a record are of a create or remove that was cut short, and the reverse."""
        known = {container.id for container in self._store}
        folders = await asyncio.to_thread(_folders, self._settings.folder)
        snapshots = self._neighbours.snapshots
        keys = await asyncio.to_thread(lambda: set(snapshots.keys()))
        for container in self._store:
            if container.id not in folders or container.id not in keys:
                _log.warning("container %s has lost its files: removed", container.name)
                await self._store.forget(container)
        # an end was written down, but the engine was killed before it had cleaned up
        ended = {container.id for container in self._store if not _may_run(container)}
        for id in self._neighbours.runtime.known() - (known - ended):
            await self._neighbours.runtime.delete(id)  # its network goes with networks.restore()
        # killed between the end's record and the unmounting, which may take long
        for id in ended & await asyncio.to_thread(self._roots.mounted):
            container = self._store.get(id)
            container.unmounting = self._tasks.spawn(
                asyncio.to_thread(self._roots.clear, id), f"unmount {id[:12]}"
            )
        for id in folders - known:
            self._roots.clear(id)
            await asyncio.to_thread(shutil.rmtree, self._settings.folder / id, ignore_errors=True)
        for key in keys - known:
            if _is_id(key):
                await snapshots.remove(key)


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
