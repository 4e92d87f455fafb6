"""What inspect shows, as JSON text that is kept until the container changes.

Building and encoding the document is most of an inspect, and clients that wait for something ask
for it again and again.
"""

import json
from collections import OrderedDict
from collections.abc import Callable

from engine.containers.container import Container
from engine.containers.record import Json

_KEPT = 64  # texts of some 4 KB
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

Key = tuple[object, ...]


class Inspected:
    """The texts of the containers that were inspected last."""

    def __init__(
        self, document: Callable[[Container], Json], around: Callable[[Container], Key]
    ) -> None:
        """`document` is what to show; `around` all that's in it and isn't the container's own."""
        self._document = document
        self._around = around
        self._kept: OrderedDict[str, tuple[Key, str]] = OrderedDict()

    def text(self, container: Container) -> str:
        """The document as JSON."""
        key = (*_own(container), *self._around(container))
        kept = self._kept.get(container.id)
        if kept is not None and kept[0] == key:
            return kept[1]
        text = _encode(self._document(container))
        self._kept[container.id] = key, text
        self._kept.move_to_end(container.id)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return text


def _own(container: Container) -> Key:
    """All that changes while a container lives; the rest changes only with `revision`."""
    record, health = container.record, container.health
    return (
        container.revision,
        container.sandbox,
        record.name,
        tuple(vars(record.state).values()),
        (health.status, health.failing_streak, *health.log) if health else None,
        frozenset(container.exec_ids),
    )
