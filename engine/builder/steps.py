"""One step of a stage: found in the cache, or done and put there."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from engine import times
from engine.builder import tree
from engine.builder.filling import Filling
from engine.builder.gathering import Gathered, Gathering
from engine.builder.graph import Vertex
from engine.builder.keys import layer_key, step_key, unique
from engine.builder.layers import Sealed, seal
from engine.builder.models import step_of
from engine.builder.mounting import Files
from engine.builder.operations import ConfigOp, CopyOp, MountOp, RunOp, WorkdirOp
from engine.builder.progress import StageLog
from engine.builder.records import Entry, Kind
from engine.builder.request import Request
from engine.builder.run import RunStep
from engine.builder.stages import Source
from engine.builder.state import State
from engine.builder.threads import to_end
from engine.builder.tree import Tree
from engine.builder.workshop import Leases, Workshop
from engine.content.digest import of
from engine.errors import EngineError
from engine.images.model import Image
from engine.registry import media

Tell = Callable[[str, Any], None]
Fill = Callable[[Path, Tell], Coroutine[Any, Any, None]]
FilesOf = Callable[[Source], Coroutine[Any, Any, Files]]


class Steps:
    """Does the steps of one build. `files_of` gives the files of another stage or an image."""

    def __init__(
        self,
        workshop: Workshop,
        request: Request,
        leases: Leases,
        gathering: Gathering,
        files_of: FilesOf,
        epoch: int | None,
    ) -> None:
        self._workshop = workshop
        self._request = request
        self._leases = leases
        self._gathering = gathering
        self._filling = Filling(workshop.folders, workshop.snapshots, classic=request.classic)
        self._files_of = files_of
        self._epoch = epoch
        # images whose steps count as done before (`--cache-from`)
        self.models: Sequence[Image] = ()
        self.used: list[str] = []

    async def do(self, vertex: Vertex, state: State, log: StageLog, *, cold: bool) -> State:
        """The state after a step. `cold`: it's done again whatever the cache has.

        Raises RunFailed, CopyFailed, EngineError, OSError.
        """
        op = vertex.op
        if isinstance(op, RunOp):
            return await self._run(vertex, op, state, log, cold)
        if isinstance(op, CopyOp):
            return await self._copy(vertex, op, state, log, cold)
        if isinstance(op, WorkdirOp):
            return await self._workdir(vertex, op, state, log, cold)
        return await self._configure(vertex, op, state, log, cold)

    # ---- kinds of steps -------------------------------------------------------------------------

    async def _configure(
        self, vertex: Vertex, op: ConfigOp, state: State, log: StageLog, cold: bool
    ) -> State:
        told = vertex.history()
        key = step_key(
            state.key,
            self._dated(op.key()),
            told=told,
            config=vertex.config,
            author=vertex.author,
        )
        found = None if cold else await self._known(key, state, told)
        if found is not None:
            log.cached()
        else:
            found = Entry(key, Kind.STEP, self._now(), told, parent=state.key)
            await self._workshop.records.put(found)
        return state.step(key, found.created, told, vertex.config, vertex.author)

    async def _run(
        self, vertex: Vertex, op: RunOp, state: State, log: StageLog, cold: bool
    ) -> State:
        files = tuple([await self._mount_files(mount) for mount in op.mounts])
        digest = await self._mounted_digest(op, files)
        # the classic builder mounts a volume there, which goes with the step
        volumes = sorted(vertex.config.get("Volumes") or ()) if self._request.classic else []
        key = layer_key(state.top, self._dated({**op.key(), "volumes": volumes}), digest)
        step = RunStep(op, state.chain, files, self._request.run, tuple(volumes))

        async def fill(folder: Path, tell: Tell) -> None:
            await self._workshop.runner.run(step, folder, tell)

        return await self._layer(vertex, state, log, key, vertex.history(), fill, cold)

    async def _copy(
        self, vertex: Vertex, op: CopyOp, state: State, log: StageLog, cold: bool
    ) -> State:
        files = await self._files_of(op.source) if op.sources else Files()
        gathered: Gathered | None = None
        memory = self._workshop.digests
        mark = _mark(op, files)
        digest = memory.get(mark)
        try:
            if digest is None:
                gathered = await self._gathering.gather(op, files, self._stamp(state))
                digest = await to_end(_digest, gathered)
                memory.keep(mark, digest)
            classic = self._request.classic
            key = layer_key(state.top, self._dated({**op.key(), "classic": classic}), digest)

            async def fill(folder: Path, tell: Tell) -> None:
                nonlocal gathered
                if gathered is None:
                    gathered = await self._gathering.gather(op, files, self._stamp(state))
                await to_end(self._filling.copy, op, state.chain, gathered, folder)

            return await self._layer(vertex, state, log, key, vertex.history(digest), fill, cold)
        finally:
            if gathered is not None:
                gathered.close()

    async def _workdir(
        self, vertex: Vertex, op: WorkdirOp, state: State, log: StageLog, cold: bool
    ) -> State:
        key = layer_key(state.top, self._dated(op.key()))

        async def fill(folder: Path, tell: Tell) -> None:
            stamp = self._stamp(state)
            await to_end(self._filling.make_folder, op, state.chain, stamp, folder)

        return await self._layer(vertex, state, log, key, vertex.history(), fill, cold)

    # ---- the cache ------------------------------------------------------------------------------

    async def _known(self, key: str, state: State, told: str) -> Entry | None:
        """The result of a step that was done before.

        With `--cache-from` only the images named there count, as with dockerd.
        """
        if not self._request.cache_from:
            return self._find(key)
        for image in self.models:
            entry = step_of(image, state, told, key)
            if entry is not None:
                await self._workshop.records.put(entry)
                return self._find(key)
        return None

    def _find(self, key: str) -> Entry | None:
        entry = self._workshop.records.get(key)
        if entry is None:
            return None
        if entry.chain_id and self._workshop.snapshots.layers.get(entry.chain_id) is None:
            return None
        self._use(entry)
        return entry

    def _use(self, entry: Entry) -> None:
        if entry.chain_id:
            self._leases.hold([entry.chain_id], [entry.blob])
        if entry.key not in self.used:
            self.used.append(entry.key)
            if self._workshop.records.get(entry.key) is not None:
                self._workshop.records.touch(entry.key, self._now())

    async def _layer(
        self,
        vertex: Vertex,
        state: State,
        log: StageLog,
        key: str,
        told: str,
        fill: Fill,
        cold: bool,
    ) -> State:
        """A step that writes files: its layer from the cache, or made by `fill`."""
        entry = None if cold else await self._known(key, state, told)
        if entry is not None:
            log.cached()
        else:
            container = ""

            def hear(kind: str, value: Any) -> None:
                nonlocal container
                if kind == "container":
                    container = value
                    log.running(value)
                elif kind == "output":
                    log.output(*value)

            async def work(tell: Tell) -> Entry:
                async with self._workshop.slots:
                    return await self._make(key, state, told, fill, tell)

            entry = await self._workshop.entries.run(unique(key) if cold else key, work, hear)
            self._use(entry)
            if container and self._request.remove:
                log.removed(container)
        return state.step(
            key, entry.created, told, vertex.config, vertex.author, entry.layer, entry.chain_id
        )

    async def _make(self, key: str, state: State, told: str, fill: Fill, tell: Tell) -> Entry:
        images, layers = self._workshop.images, self._workshop.snapshots.layers
        folder = layers.begin()
        try:
            await fill(folder, tell)
            sealed = await to_end(seal, images.content, folder / "diff", self._epoch)
            if sealed is not None:
                return await self._commit(key, state, told, folder, sealed)
            entry = Entry(key, Kind.LAYER, self._now(), told, parent=state.key)
            await self._workshop.records.put(entry)
            return entry
        finally:
            # a committed folder has been renamed
            await to_end(layers.discard, folder)

    async def _commit(
        self, key: str, state: State, told: str, folder: Path, sealed: Sealed
    ) -> Entry:
        """Make a filled folder a layer and note it; who began the work may be gone by then."""
        top = state.top
        chain_id = of(f"{top} {sealed.diff_id}".encode()) if top else sealed.diff_id
        layers = self._workshop.snapshots.layers
        entry = Entry(
            key,
            Kind.LAYER,
            self._now(),
            told,
            parent=state.key,
            chain_id=chain_id,
            diff_id=sealed.diff_id,
            blob=sealed.diff_id,
            media_type=media.DOCKER_PLAIN_LAYER,
            blob_size=sealed.blob_size,
            size=sealed.size,
        )
        self._workshop.sync_soon(sealed.diff_id)
        with self._workshop.images.leases.hold([sealed.diff_id], [chain_id]):
            await to_end(
                layers.commit, folder, chain_id, sealed.diff_id, sealed.size, sealed.entries
            )
            await self._workshop.records.put(entry)
        return entry

    # ---- small things ---------------------------------------------------------------------------

    async def _mount_files(self, mount: MountOp) -> Files | None:
        return None if mount.source is None else await self._files_of(mount.source)

    async def _mounted_digest(self, op: RunOp, files: tuple[Files | None, ...]) -> str:
        """What a RUN reads through its mounts; "" without any."""
        parts = [
            await to_end(self._digest_of, source, mount)
            for mount, source in zip(op.mounts, files, strict=True)
            if source is not None
        ]
        return " ".join(parts)

    def _digest_of(self, source: Files, mount: MountOp) -> str:
        if source.folder is None:
            return f"{source.chain[-1] if source.chain else ''}:{mount.mount.source}"
        found = Tree(os.open(source.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        try:
            path = found.resolve(mount.mount.source)
            if found.status(path) is None:
                return ""
            return tree.digest(list(found.items(path, None, None)))
        finally:
            found.close()

    def _dated(self, operation: dict[str, Any]) -> dict[str, Any]:
        """The operation with the time that its results are to have, where one is asked for."""
        return operation if self._epoch is None else {**operation, "epoch": self._epoch}

    def _now(self) -> str:
        now = time.time_ns() if self._epoch is None else self._epoch * 1_000_000_000
        return times.format_time(now)

    def _stamp(self, state: State) -> int:
        """A time (ns) for files that come from nowhere: always the same for the same image."""
        if self._epoch is not None:
            return self._epoch * 1_000_000_000
        try:
            return times.parse_time(state.created) if state.created else 0
        except EngineError:
            return 0


def _mark(op: CopyOp, files: Files) -> str:
    """What tells equal choices of files apart from others; "" where the files may change."""
    if op.add and op.checksum and len(op.sources) == 1:
        return json.dumps([op.sources, op.checksum, op.destination, op.unpack, op.keep_git_dir])
    if files.folder is not None or op.heredocs or op.add or not files.chain:
        return ""
    return json.dumps([files.chain[-1], op.sources, op.exclude, op.parents])


def _digest(gathered: Gathered) -> str:
    """The digest of all that is copied, as history has it; what is unpacked counts, too."""
    parts = [tree.digest(items) for items in gathered.sources]
    if len(parts) == 1 and not gathered.archives:
        return f"{gathered.kind}:{parts[0]}"
    text = " ".join([*parts, *map(str, sorted(gathered.archives))])
    return f"{gathered.kind}:{hashlib.sha256(text.encode()).hexdigest()}"
