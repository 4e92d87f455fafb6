"""What all builds of an engine share: stores, folders, the cache, work that is under way."""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.builder.caches import Caches
from engine.builder.flights import Flights
from engine.builder.folders import Folders
from engine.builder.mounting import Mounting
from engine.builder.records import Entry, Records
from engine.builder.run import Runner
from engine.images.model import Image
from engine.images.store import Store as Images
from engine.networks import Controller
from engine.runtime.runtime import Runtime
from engine.snapshots.store import Store as Snapshots

_AT_ONCE = 4
_REMEMBERED = 1000


class Digests:
    """Digests of files in layers, which nobody changes, by what was chosen of them."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, str] = OrderedDict()

    def get(self, mark: str) -> str | None:
        """The digest, if it's known."""
        return self._known.get(mark)

    def keep(self, mark: str, digest: str) -> None:
        """Remember a digest; "" is no mark."""
        if mark:
            self._known[mark] = digest
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


class Workshop:
    """Made at the first build; lives as long as the engine."""

    def __init__(
        self,
        root: Path,
        images: Images,
        snapshots: Snapshots,
        networks: Controller,
        runtime: Runtime,
        records: Records,
    ) -> None:
        self.images = images
        self.snapshots = snapshots
        self.records = records
        self.folders = Folders(root)
        self.folders.prepare()
        self.caches = Caches(self.folders.mounts, records)
        self.runner = Runner(
            self.folders, snapshots, networks, runtime, Mounting(snapshots, self.caches)
        )
        self.entries: Flights[Entry] = Flights()
        self.pulls: Flights[Image] = Flights()
        # steps that work at the same time, of all builds together
        self.slots = asyncio.Semaphore(_AT_ONCE)
        self.digests = Digests()
        self._behind: set[asyncio.Task[None]] = set()
        self._syncing: dict[str, asyncio.Task[None]] = {}

    def sync_soon(self, blob: str) -> None:
        """Bring a blob to the disk while the build goes on; `synced` waits for it."""
        if blob in self._syncing:
            return
        work = asyncio.to_thread(self.images.content.sync, blob)
        task = self._syncing[blob] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: self._syncing.pop(blob, None))

    async def synced(self, blobs: Iterable[str]) -> None:
        """Wait until these blobs are on the disk. Raises OSError."""
        waiting = [self._syncing[blob] for blob in blobs if blob in self._syncing]
        await asyncio.gather(*(asyncio.shield(task) for task in waiting))

    def behind(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what no client waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def close(self) -> None:
        """Finish what is done behind the answers."""
        await asyncio.gather(*self._behind, *self._syncing.values(), return_exceptions=True)


class Leases:
    """What one build holds, so that nothing is collected under it. Ends with `close`."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._stack = ExitStack()
        self._layers: set[str] = set()
        self._blobs: set[str] = set()

    def hold(self, layers: Iterable[str], blobs: Iterable[str]) -> None:
        """Hold layers (chain ids) and blobs (digests) until the end."""
        fresh_layers, fresh_blobs = set(layers) - self._layers, set(blobs) - self._blobs
        if fresh_layers or fresh_blobs:
            self._stack.enter_context(self._images.leases.hold(fresh_blobs, fresh_layers))
            self._layers |= fresh_layers
            self._blobs |= fresh_blobs

    def hold_image(self, image: Image) -> None:
        """Hold all of an image."""
        self.hold(image.chain_ids, [image.id, *(layer.blob for layer in image.layers)])

    def close(self) -> None:
        """Let go; what nobody else needs by now is collected."""
        self._stack.close()
        if self._layers or self._blobs:
            self._images.collect_soon(tuple(self._layers), tuple(self._blobs))
