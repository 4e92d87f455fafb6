"""The builder of an engine, for its API. What builds need is loaded with the first one."""

import asyncio
import errno
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.builder.records import Records
from engine.database import Database
from engine.errors import BadRequest, EngineError
from engine.filters import Filters
from engine.images.store import Store as Images
from engine.images.streams import Progress
from engine.networks import Controller
from engine.runtime.runtime import Runtime

if TYPE_CHECKING:
    from engine.builder.request import Request
    from engine.builder.workshop import Workshop

Work = Coroutine[Any, Any, None]
_COLLECT_SECONDS = 600.0


class Builder:
    """Life: Builder(...), load() before the image store starts, then builds, close()."""

    def __init__(
        self,
        root: Path,
        database: Database,
        images: Images,
        networks: Controller,
        runtime: Runtime,
    ) -> None:
        self._root = root
        self._images = images
        self._networks = networks
        self._runtime = runtime
        self._records = Records(database)
        self._workshop: Workshop | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._collected = -_COLLECT_SECONDS
        # where the network namespace of a container (name or id) is; the daemon sets it
        self.namespace_of: Callable[[str], Path] | None = None

    def load(self) -> None:
        """Read the cache's records, and let the image store keep what they hold. Blocks."""
        layers, content = self._images.snapshots.layers, self._images.content
        suspects = layers.suspects()
        self._records.load(
            lambda chain_id, blob: (
                layers.get(chain_id) is not None and chain_id not in suspects and content.has(blob)
            )
        )
        self._images.kept_layers = self._records.layers
        self._images.kept_blobs = self._records.blobs
        self._images.catalogue.replaced = self._records.replace_blob
        if (self._root / "builds" / "runs").is_dir():
            from engine.builder.folders import Folders

            Folders(self._root).sweep()

    @property
    def _shop(self) -> "Workshop":
        from engine.builder.workshop import Workshop

        if self._workshop is None:
            images = self._images
            self._workshop = Workshop(
                self._root,
                images,
                images.snapshots,
                self._networks,
                self._runtime,
                self._records,
            )
            self._workshop.runner.namespace_of = self.namespace_of
        return self._workshop

    async def close(self) -> None:
        """End the builds that are under way."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._workshop is not None:
            await self._workshop.close()

    def progress(self) -> Progress:
        """An empty stream of lines."""
        return Progress()

    def build(self, asked: Mapping[str, Any], body: AsyncIterator[bytes], lines: Progress) -> Work:
        """Build an image and tell `lines`; `asked`: see Request.of.

        Raises EngineError for what is wrong before anything was told.
        """
        from engine.builder.request import Request

        return self._build(Request.of(asked), body, lines)

    async def _build(self, request: "Request", body: AsyncIterator[bytes], lines: Progress) -> None:
        from engine.builder.build import Build
        from engine.builder.failures import RunFailed

        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        held: list[dict[str, Any]] = []
        told = False

        def emit(fields: dict[str, Any]) -> None:
            nonlocal told
            if request.quiet:
                held.append(fields)
            else:
                told = True
                lines.emit(**fields)

        try:
            image = await Build(self._shop, request, emit).run(body)
            if request.quiet:
                lines.emit(stream=f"{image.id}\n")
        except (EngineError, OSError, RecursionError) as error:
            for fields in held:
                told = True
                lines.emit(**fields)
            if not told:
                raise self._worded(error) from error
            code = error.code if isinstance(error, RunFailed) else None
            lines.fail(str(self._worded(error)), code)
        finally:
            self._running.discard(task)
            self._collect_soon()

    def _collect_soon(self) -> None:
        """Now and then keep the cache within its share of the disk, behind the answer."""
        if self._workshop is None or time.monotonic() - self._collected < _COLLECT_SECONDS:
            return
        from engine.builder.usage import collect

        self._collected = time.monotonic()
        self._workshop.behind(collect(self._workshop))

    def _worded(self, error: Exception) -> Exception:
        """A full disk is told with its sizes; what is nested too deep, as such."""
        if isinstance(error, RecursionError):
            return BadRequest("folders are nested too deep to make a layer of them")
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            space = shutil.disk_usage(self._root)
            return EngineError(
                f"no space left on device: {space.free >> 20} MiB of {space.total >> 20} MiB are "
                "free; remove what isn't needed (docker system prune) or make the disk larger"
            )
        if isinstance(error, OSError) and error.strerror and isinstance(error.filename, str):
            name = re.sub(r"^/proc/self/fd/\d+", "", error.filename)
            return EngineError(f"{name}: {error.strerror.lower()}")
        return error

    def usage(self) -> Sequence[dict[str, Any]]:
        """What the cache holds, as rows of `docker system df`; blocks while it measures."""
        if not any(self._records):
            return []
        from engine.builder.usage import rows

        return rows(self._shop)

    async def prune(
        self, filters: Filters, *, everything: bool, keep: int
    ) -> tuple[list[str], int]:
        """Ids of the entries that went, and the bytes given back. Raises BadRequest."""
        from engine.builder.usage import prune

        return await prune(self._shop, filters, everything=everything, keep=keep)
