"""What the routes call: the store's operations behind one face, each with plain arguments."""

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.filters import Filters
from engine.images import listing
from engine.images.model import Image
from engine.images.removal import Removed
from engine.images.store import Store
from engine.images.streams import Progress
from engine.registry.platforms import Platform

Work = Coroutine[Any, Any, None]


def _platform(text: str) -> Platform | None:
    return Platform.parse(text) if text else None


class Service:
    """The images of an engine, for its API. Modules of rare operations load when first needed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def resolve(self, name: str) -> Image:
        """See Store.resolve."""
        return self._store.resolve(name)

    def list(self, filters: Filters) -> list[Image]:
        """Images by filters, newest first."""
        return listing.select(self._store.catalogue, filters, self._store.resolve)

    def shared_sizes(self) -> Mapping[str, int]:
        """Bytes that each image shares with others, by id."""
        return listing.shared_sizes(self._store.catalogue)

    def folders(self, image: Image) -> Sequence[Path]:
        """The layers' folders, top first."""
        layers = self._store.snapshots.layers
        return [layers.diff(chain_id) for chain_id in reversed(image.chain_ids)]

    async def tag(self, name: str, repository: str, tag: str) -> None:
        """See Store.tag."""
        await self._store.tag(name, repository, tag)

    async def remove(self, name: str, *, force: bool, prune: bool) -> Removed:
        """See Store.remove."""
        return await self._store.remove(name, force=force, prune=prune)

    async def prune(self, filters: Filters) -> Removed:
        """See prune.prune."""
        from engine.images.prune import prune

        return await prune(self._store, filters)

    def progress(self) -> Progress:
        """An empty stream of lines."""
        return Progress()

    def load(
        self, body: AsyncIterator[bytes], lines: Progress, *, quiet: bool, platform: str
    ) -> Work:
        """See load.load."""
        from engine.images.load import load

        return load(self._store, body, lines, quiet=quiet, platform=_platform(platform))

    def save(self, names: Sequence[str], *, platform: str) -> AsyncIterator[bytes]:
        """See save.save."""
        from engine.images.save import save

        return save(self._store, names, platform=_platform(platform))

    def import_(
        self,
        body: AsyncIterator[bytes],
        lines: Progress,
        *,
        repository: str,
        tag: str,
        message: str,
        source: str,
        changes: Sequence[str],
        platform: str,
    ) -> Work:
        """See importing.import_."""
        from engine.images.importing import import_

        return import_(
            self._store,
            body,
            lines,
            repository=repository,
            tag=tag,
            message=message,
            source=source,
            changes=changes,
            platform=_platform(platform),
        )

    def pull(
        self,
        name: str,
        tag: str,
        lines: Progress,
        *,
        platform: str,
        auth: Mapping[str, str],
    ) -> Work:
        """See pull.pull."""
        from engine.images.pull import pull

        return pull(self._store, name, tag, lines, platform=_platform(platform), auth=auth)

    def push(self, name: str, tag: str, lines: Progress, *, auth: Mapping[str, str]) -> Work:
        """See push.push."""
        from engine.images.push import push

        return push(self._store, name, tag, lines, auth=auth)

    async def login(self, credentials: Mapping[str, Any]) -> str:
        """See remote.login."""
        from engine.images import remote

        return await remote.login(credentials)

    async def describe(
        self, name: str, auth: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Sequence[Platform]]:
        """See remote.describe."""
        from engine.images import remote

        return await remote.describe(name, auth)

    def disk_usage(self) -> int:
        """Bytes of all layers, each counted once (`LayersSize` of /system/df)."""
        layers = self._store.snapshots.layers
        return sum(layer.size for layer in layers)
