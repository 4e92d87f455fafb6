"""Removing every container that doesn't run."""

from engine.containers.lifecycle import Lifecycle
from engine.containers.neighbours import Snapshots
from engine.containers.store import Store
from engine.errors import BadRequest, EngineError
from engine.filters import Filters
from engine.times import parse_time
from engine.values import dataclass, field


@dataclass
class Pruned:
    """What a prune removed: ids, and the bytes of their writable layers."""

    ids: list[str] = field(default_factory=list)
    reclaimed: int = 0


def _moment(text: str) -> int:
    try:
        return parse_time(text)
    except BadRequest as error:
        raise BadRequest(f'failed to parse value as time or duration: "{text}"') from error


async def prune(
    store: Store, lifecycle: Lifecycle, snapshots: Snapshots, filters: Filters
) -> Pruned:
    """Remove containers that neither run nor are excluded by `until` and `label`."""
    filters.check({"until", "label", "label!"})
    until = min(map(_moment, filters.values("until")), default=0)
    pruned = Pruned()
    for container in store:
        if container.running_word or (until and container.record.created >= until):
            continue
        if not filters.labels(container.record.labels):
            continue
        size, _ = await snapshots.usage(container.id)
        try:
            await lifecycle.remove(container.id)
        except EngineError:
            continue
        pruned.ids.append(container.id)
        pruned.reclaimed += size
    return pruned
