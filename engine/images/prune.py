"""`docker image prune`: dangling images, or all that no container uses."""

from typing import TYPE_CHECKING

from engine import times
from engine.errors import EngineError
from engine.filters import Filters
from engine.images.listing import created_ns
from engine.images.model import Image
from engine.images.removal import Removed

if TYPE_CHECKING:
    from engine.images.store import Store

ALLOWED = frozenset({"dangling", "label", "label!", "until"})


async def prune(store: "Store", filters: Filters) -> Removed:
    """Remove what the filters choose; what is in use stays silently. Raises BadRequest."""
    filters.check(ALLOWED)
    dangling = filters.boolean("dangling", default=True)
    until = min((times.parse_time(text) for text in filters.values("until")), default=None)
    total = Removed()
    for image in list(store.catalogue):
        if until is not None and created_ns(image) >= until:
            continue
        if not filters.labels(image.run_config.get("Labels") or {}):
            continue
        if dangling and (image.references or image.digests):
            continue
        if not store.users(image.id) and store.catalogue.get(image.id) is not None:
            await _remove(store, image, total)
    store.events.publish("image", "prune", "", {"reclaimed": str(total.reclaimed)})
    return total


async def _remove(store: "Store", image: Image, total: Removed) -> None:
    names = [*image.references, *image.digests] or [image.id]
    for name in names:
        if store.find(name) is None:
            continue  # went together with another name
        try:
            removed = await store.remove(name)
        except EngineError:
            continue  # an image below another one
        total.steps += removed.steps
        total.reclaimed += removed.reclaimed
