"""The image store: looks up, lists, tags and removes; load, save, import and pull build on it.

Life cycle of an image: blobs are ingested -> layers assembled -> `add()` writes the record, only
then anyone sees it -> tags come and go -> `remove()` takes the record first, then what only it
used. What a killed engine left without a record is collected at start.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine import times
from engine.content.digest import chain_ids
from engine.content.store import Store as Content
from engine.database import Database
from engine.errors import BadRequest, Conflict, EngineError, NotFound
from engine.events import Events
from engine.images.assembly import Assembler, Leases, Piece
from engine.images.model import Image, Layer
from engine.images.records import Catalogue, make_image
from engine.images.reference import InvalidReference, Reference, is_identifier
from engine.images.removal import (
    Obstacle,
    Removed,
    find_obstacle,
    is_id_prefix,
    is_single,
    short,
)
from engine.registry.settings import Settings as Registries
from engine.snapshots.store import Store as Snapshots
from engine.snapshots.unpack import Limits

if TYPE_CHECKING:
    from engine.images.downloads import Downloads

_log = logging.getLogger(__name__)
_META = "image-store"
BUILT_IN = "docker.io/cove/welcome:latest"
T = TypeVar("T")

Users = Callable[[str], Sequence[tuple[str, bool]]]


class Store:
    """Images on top of blobs and layers. Methods that write are coroutines of the loop's thread."""

    def __init__(
        self,
        root: Path,
        database: Database,
        snapshots: Snapshots,
        events: Events,
        *,
        welcome: Path | None = None,
        limits: Limits | None = None,
        registries: Registries | None = None,
    ) -> None:
        self.root = root
        self.registries = registries or Registries()
        self.content = Content(root / "content")
        self.snapshots = snapshots
        self.events = events
        self.leases = Leases()
        self.catalogue = Catalogue(database)
        self.assembler = Assembler(self.content, snapshots.layers, limits)
        # who uses an image: (container id, running); the daemon sets it
        self.users: Users = lambda image_id: ()
        # what the build cache holds besides: chain ids of layers, digests of blobs
        self.kept_layers: Callable[[], set[str]] = set
        self.kept_blobs: Callable[[], set[str]] = set
        self._database = database
        self._welcome = welcome
        self._downloads: Downloads | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        snapshots.released = self._release

    @property
    def downloads(self) -> "Downloads":
        """Layers on their way; the registry's client loads with the first pull."""
        from engine.images.downloads import Downloads

        if self._downloads is None:
            limits = self.registries
            self._downloads = Downloads(
                self.content, self.assembler, parallel=limits.downloads, attempts=limits.attempts
            )
        return self._downloads

    async def start(self) -> None:
        """Read the records, mend what a crash may have hurt, collect what nobody owns."""
        self.catalogue.load()
        await self._mend()
        await asyncio.to_thread(self._collect_orphans)
        if any(self.snapshots.layers):
            self.sync_soon()
        if self._welcome is not None and not self._database.load(_META).get("welcome"):
            try:
                await self.load_built_in()
            except (EngineError, OSError) as error:
                _log.error("the built-in image %s can't be loaded: %s", self._welcome, error)

    async def close(self) -> None:
        """Finish what runs behind the answers."""
        for task in list(self._tasks):
            await asyncio.gather(task, return_exceptions=True)
        if self._downloads is not None:
            self._downloads.close()
        self.assembler.close()

    # ---- looking up -----------------------------------------------------------------------------

    def resolve(self, name: str) -> Image:
        """The image that a user means: by id, reference or id prefix.

        Raises NotFound (`No such image: NAME:tag`) and InvalidReference.
        """
        if is_identifier(name):
            image_id = name if name.startswith("sha256:") else f"sha256:{name}"
            image = self.catalogue.get(image_id)
            if image is None:
                raise NotFound(f"No such image: {image_id}")
            return image
        reference = Reference.parse(name)
        image = self.catalogue.lookup(reference) or self._by_prefix(name)
        if image is None:
            raise NotFound(f"No such image: {reference.with_default_tag().familiar}")
        return image

    def _by_prefix(self, name: str) -> Image | None:
        digits = name.removeprefix("sha256:")
        if not digits or set(digits) - set("0123456789abcdef"):
            return None
        found = self.catalogue.by_prefix(digits)
        return found[0] if len(found) == 1 else None

    def find(self, name: str) -> Image | None:
        """As `resolve`, None when there is none."""
        try:
            return self.resolve(name)
        except (NotFound, InvalidReference):
            return None

    def __iter__(self) -> Iterator[Image]:
        return iter(self.catalogue)

    # ---- adding and tagging ---------------------------------------------------------------------

    async def add(
        self,
        config_text: str,
        layers: Sequence[Layer],
        references: Sequence[Reference] = (),
        *,
        image_id: str,
        parent: str = "",
    ) -> Image:
        """Write an image whose layers are visible, with its references."""
        image = make_image(image_id, config_text, layers, parent=parent)
        # the digest references that a pull adds are no tagging
        tagged = times.format_time(time.time_ns()) if any(r.tag for r in references) else ""
        image = await self.catalogue.add(image, references, tagged)
        self.sync_soon()
        return image

    async def create(
        self,
        config: bytes,
        pieces: Sequence[Piece],
        references: Sequence[Reference] = (),
        *,
        parent: str = "",
        done: Callable[[int], None] | None = None,
    ) -> Image:
        """Assemble stored blobs to layers and add the image that `config` describes."""
        blobs, chain = [piece.blob for piece in pieces], _chain(pieces)
        try:
            return await self._create(config, pieces, references, parent, done)
        except Exception:
            await self._collect(chain, blobs)
            raise
        except BaseException:
            self.collect_soon(chain, blobs)
            raise

    async def _create(
        self,
        config: bytes,
        pieces: Sequence[Piece],
        references: Sequence[Reference],
        parent: str,
        done: Callable[[int], None] | None,
    ) -> Image:
        with self.leases.hold((piece.blob for piece in pieces), _chain(pieces)):
            layers = await self.assembler.assemble(pieces, self.catalogue.layers(), done)
            blob = await asyncio.to_thread(self.content.put, config)
            return await self.add(
                config.decode(), layers, references, image_id=blob.digest, parent=parent
            )

    async def tag(self, name: str, repository: str, tag: str) -> None:
        """Give an image another name. Raises NotFound, InvalidReference."""
        image = self.resolve(name)
        reference = Reference.parse(repository)
        if reference.digest:
            raise BadRequest("refusing to create a tag with a digest reference")
        reference = reference.with_tag(tag) if tag else reference.with_default_tag()
        await self.catalogue.add(image, [reference], times.format_time(time.time_ns()))
        self.log(image, "tag", reference.familiar)

    def log(self, image: Image, action: str, name: str = "") -> None:
        """Publish an image event with the image's labels."""
        labels = image.run_config.get("Labels") or {}
        self.events.publish("image", action, image.id, {**labels, "name": name or image.id})

    # ---- removing -------------------------------------------------------------------------------

    async def remove(self, name: str, *, force: bool = False, prune: bool = True) -> Removed:
        """Untag, and delete what has no name left, by Docker's rules. Raises Conflict, NotFound."""
        image = self.resolve(name)
        removed = Removed()
        references = self.catalogue.references(image.id)
        if is_id_prefix(image.id, name):
            if is_single(references):
                mask = Obstacle.HARD if force else Obstacle.HARD | Obstacle.STOPPED
                self._check(image, mask)
                await self._untag(image, references, removed)
            await self._delete(image, removed, force=force, prune=prune, quiet=False)
            return removed
        if not force and is_single(references):
            self._refuse_last_name(image, name)
        await self._untag_one(image, Reference.parse(name).with_default_tag(), removed)
        if not self.catalogue.references(image.id):
            await self._delete(image, removed, force=force, prune=prune, quiet=True)
        return removed

    def _refuse_last_name(self, image: Image, name: str) -> None:
        for container_id, _ in self.users(image.id):
            raise Conflict(
                f'conflict: unable to remove repository reference "{name}" (must force) - '
                f"container {short(container_id)} is using its referenced image {short(image.id)}"
            )

    def _check(self, image: Image, mask: Obstacle) -> None:
        obstacle = find_obstacle(
            image,
            mask,
            self.catalogue.children(image.id),
            self.catalogue.references(image.id),
            lambda: self.users(image.id),
        )
        if obstacle is not None:
            raise obstacle

    async def _untag(self, image: Image, references: Sequence[Reference], removed: Removed) -> None:
        await self.catalogue.drop_references(references)
        for reference in references:
            removed.untag(reference.familiar)
            self.log(image, "untag")

    async def _untag_one(self, image: Image, wanted: Reference, removed: Removed) -> None:
        if wanted.digest:
            wanted = wanted.with_digest(wanted.digest)
        gone = [wanted]
        left = [each for each in self.catalogue.references(image.id) if each != wanted]
        if not wanted.digest and not any(
            each.name == wanted.name and not each.digest for each in left
        ):
            # digests of a repository without a tag are names nobody typed
            gone += [each for each in left if each.name == wanted.name]
        await self._untag(image, gone, removed)

    async def _delete(
        self, image: Image, removed: Removed, *, force: bool, prune: bool, quiet: bool
    ) -> None:
        try:
            self._check(image, Obstacle.HARD if force else Obstacle.HARD | Obstacle.SOFT)
        except EngineError as conflict:
            needed = self.catalogue.references(image.id) or self.catalogue.children(image.id)
            if quiet and (needed or getattr(conflict, "used", False)):
                return
            raise
        await self._untag(image, self.catalogue.references(image.id), removed)
        await self.catalogue.drop(image.id)
        # without its labels, as dockerd: they're gone by then
        self.events.publish("image", "delete", image.id, {"name": image.id})
        removed.delete(image.id)
        blobs = [image.id, *(layer.blob for layer in image.layers)]
        await self._collect(image.chain_ids, blobs, removed)
        parent = self.catalogue.get(image.parent) if image.parent else None
        if prune and parent is not None and not self.catalogue.references(parent.id):
            await self._delete(parent, removed, force=False, prune=True, quiet=True)

    # ---- space ----------------------------------------------------------------------------------

    def _used_layers(self) -> set[str]:
        """Chain ids that some image or snapshot needs."""
        used = self.snapshots.used() | self.kept_layers()
        for image in self.catalogue:
            used.update(image.chain_ids)
        return used

    def _used_blobs(self) -> set[str]:
        """Digests of the layers' blobs and the configs of all images."""
        used = {layer.blob for image in self.catalogue for layer in image.layers}
        return used.union((image.id for image in self.catalogue), self.kept_blobs())

    async def collect(self, chain: Sequence[str], blobs: Iterable[str]) -> None:
        """Delete what of these layers and blobs nobody needs any more, top layer first."""
        await self._collect(chain, blobs)

    async def _collect(
        self, chain: Sequence[str], blobs: Iterable[str], removed: Removed | None = None
    ) -> None:
        """Delete what of these nobody needs, top layer first."""
        used = self._used_layers()
        for chain_id in reversed(chain):
            layer = self.snapshots.layers.get(chain_id)
            if layer is None or chain_id in used or self.leases.holds_layer(chain_id):
                continue
            await asyncio.to_thread(self.snapshots.layers.remove, chain_id)
            if removed is not None:
                removed.delete(chain_id)
                removed.reclaimed += layer.size
        used = self._used_blobs()
        for blob in blobs:
            if blob not in used and not self.leases.holds_blob(blob):
                await asyncio.to_thread(self.content.remove, blob)

    async def _release(self, chain: Sequence[str]) -> None:
        """A snapshot went: layers that a forced removal had left for it go, too."""
        top = chain[-1] if chain else ""
        if not any(top in image.chain_ids for image in self.catalogue):
            await self._collect(chain, ())

    def _collect_orphans(self) -> None:
        used = self._used_layers()
        for layer in self.snapshots.layers:
            if layer.chain_id not in used:
                self.snapshots.layers.remove(layer.chain_id)
        blobs = self._used_blobs()
        for blob in list(self.content.list()):
            if blob not in blobs:
                self.content.remove(blob)

    async def _mend(self) -> None:
        """Unpack layers again that were not on disk for sure when the machine went down."""
        layers = self.snapshots.layers
        suspects = layers.suspects()
        for image in list(self.catalogue):
            for chain_id in suspects.intersection(image.chain_ids):
                await asyncio.to_thread(layers.remove, chain_id)
                suspects.discard(chain_id)
            known = {
                chain_id: layer
                for chain_id, layer in zip(image.chain_ids, image.layers, strict=True)
                if layers.get(chain_id) is not None
            }
            if len(known) == len(set(image.chain_ids)):
                continue
            pieces = [Piece(layer.diff_id, layer.blob, layer.media_type) for layer in image.layers]
            try:
                await self.assembler.assemble(pieces, known)
            except (EngineError, OSError) as error:
                _log.error("image %s was hurt by a crash: %s; pull it again", image.id, error)

    def collect_soon(self, chain: Sequence[str], blobs: Sequence[str]) -> None:
        """After a failed operation has let go: delete what of these nobody needs."""
        self.behind(self._collect(chain, blobs))

    def sync_soon(self) -> None:
        """Bring new layers to the disk behind the answer."""

        async def sync() -> None:
            try:
                await asyncio.to_thread(self.snapshots.layers.sync)
            except OSError as error:
                _log.error("layers can't be synced to disk: %s", error)

        self.behind(sync())

    def behind(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run `work` behind the answers; the engine's end waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def has_built_in(self, reference: Reference) -> bool:
        """Whether a reference names the image that comes with the engine."""
        return self._welcome is not None and str(reference) == BUILT_IN

    async def load_built_in(self) -> None:
        """The image that comes with the engine, as new. Raises EngineError, OSError."""
        from engine.images.load import load_file

        assert self._welcome is not None, "only called where there is one"
        await load_file(self, self._welcome)
        await self._database.put(_META, "welcome", {"loaded": True})


def _chain(pieces: Sequence[Piece]) -> tuple[str, ...]:
    return chain_ids(piece.diff_id for piece in pieces)
