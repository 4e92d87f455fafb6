"""What the routes call: the store's operations behind one face, each with plain arguments."""

import errno
import shutil
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.filters import Filters
from engine.images import listing
from engine.images.model import Image
from engine.images.removal import Removed
from engine.images.store import Store
from engine.images.streams import Progress
from engine.registry.platforms import Platform

if TYPE_CHECKING:
    from engine.images.inside.browser import Browser

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

    def parents(self, image: Image) -> Sequence[Image]:
        """The images that it was committed from here, the nearest first."""
        found: list[Image] = []
        while parent := self._store.catalogue.get(image.parent) if image.parent else None:
            found.append(parent)
            image = parent
        return found

    def folders(self, image: Image) -> Sequence[Path]:
        """The layers' folders, top first."""
        layers = self._store.snapshots.layers
        return [layers.diff(chain_id) for chain_id in reversed(image.chain_ids)]

    def browse(self, name: str) -> "Browser":
        """An image from inside. Raises NotFound."""
        from engine.images.inside.browser import Browser

        return Browser(self._store, self.resolve(name))

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

        work = load(self._store, body, lines, quiet=quiet, platform=_platform(platform))
        return self._told(work)

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

        work = import_(
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
        return self._told(work)

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

        work = pull(self._store, name, tag, lines, platform=_platform(platform), auth=auth)
        return self._told(work)

    def push(self, name: str, tag: str, lines: Progress, *, auth: Mapping[str, str]) -> Work:
        """See push.push."""
        from engine.images.push import push

        return self._told(push(self._store, name, tag, lines, auth=auth))

    async def login(self, credentials: Mapping[str, Any]) -> str:
        """See remote.login."""
        from engine.images import remote

        return await remote.login(self._store, credentials)

    async def describe(
        self, name: str, auth: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Sequence[Platform]]:
        """See remote.describe."""
        from engine.images import remote

        return await remote.describe(self._store, name, auth)

    async def search(
        self, term: str, limit: int | None, filters: Filters, auth: Mapping[str, Any]
    ) -> "Sequence[Mapping[str, Any]]":
        """See remote.search."""
        from engine.images import remote

        return await remote.search(self._store, term, limit, filters, auth)

    async def _told(self, work: Work) -> None:
        """Run `work`; a full disk is told with its sizes and what to do."""
        try:
            await work
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            space = shutil.disk_usage(self._store.root)
            raise EngineError(
                f"no space left on device: {space.free >> 20} MiB of {space.total >> 20} MiB are "
                "free; remove what isn't needed (docker system prune) or make the disk larger"
            ) from error

    def disk_usage(self) -> int:
        """Bytes of all images' layers, each counted once (`LayersSize` of /system/df)."""
        return sum(layer.size for layer in self._store.catalogue.layers().values())
