"""Which containers a list shows: Docker's filters, the order, the limit."""

import re
from collections.abc import Callable, Iterable

from engine.containers.container import Container
from engine.containers.endpoints import exposed_ports, port_requests
from engine.containers.record import Status
from engine.containers.rows import health_of
from engine.errors import BadRequest, NotFound
from engine.filters import Filters

ALLOWED = frozenset(
    {
        "ancestor",
        "before",
        "exited",
        "expose",
        "health",
        "id",
        "is-task",
        "isolation",
        "label",
        "label!",
        "name",
        "network",
        "publish",
        "since",
        "status",
        "volume",
    }
)
_STATUSES = frozenset(str(status) for status in Status)
_HEALTH = frozenset({"starting", "healthy", "unhealthy", "none"})
_PORT_FILTER = re.compile(r"^(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?$")

Matcher = Callable[[Container], bool]


def _exit_codes(filters: Filters) -> frozenset[int]:
    codes = set()
    for text in filters.values("exited"):
        try:
            codes.add(int(text))
        except ValueError as error:
            raise BadRequest(f"invalid filter 'exited={text}'") from error
    return frozenset(codes)


def _ports(filters: Filters, key: str) -> frozenset[str]:
    found: set[str] = set()
    for text in filters.values(key):
        match = _PORT_FILTER.match(text)
        if not match:
            raise BadRequest(f"invalid filter '{key}={text}'")
        low, high = int(match[1]), int(match[2] or match[1])
        found.update(f"{port}/{match[3] or 'tcp'}" for port in range(low, min(high, 65535) + 1))
    return frozenset(found)


def _published(container: Container) -> set[str]:
    asked = port_requests(container.record.host_config["PortBindings"] or {})
    found = {f"{one.host_port_start}/{one.protocol}" for one in asked if one.host_port_start}
    if container.sandbox:
        for key, places in container.sandbox.ports.items():
            protocol = key.partition("/")[2]
            found.update(f"{port}/{protocol}" for _, port in places)
            found.add(key)
    found.update(one.key for one in asked)
    return found


def _simple(filters: Filters) -> Iterable[Matcher]:
    if "id" in filters:
        yield lambda one: filters.fuzzy("id", one.id)
    if "name" in filters:
        yield lambda one: filters.fuzzy("name", one.name) or filters.fuzzy("name", f"/{one.name}")
    if "label" in filters or "label!" in filters:
        yield lambda one: filters.labels(one.record.labels)
    if "status" in filters:
        for word in filters.values("status"):
            if word not in _STATUSES:
                raise BadRequest(
                    f"invalid filter 'status={word}': invalid value for state ({word}): must be "
                    "one of created, running, paused, restarting, removing, exited, dead"
                )
        yield lambda one: filters.matches("status", str(one.record.state.status))
    if "health" in filters:
        for word in filters.values("health"):
            if word not in _HEALTH:
                raise BadRequest(f"invalid filter 'health={word}'")
        yield lambda one: filters.matches("health", health_of(one))
    if codes := _exit_codes(filters):
        yield (
            lambda one: (
                one.record.state.exit_code in codes
                and not one.running_word
                and one.record.state.started_at > 0
            )
        )
    if "is-task" in filters and filters.boolean("is-task"):
        yield lambda one: False
    if "isolation" in filters:
        yield lambda one: "default" in filters.values("isolation")
    if ports := _ports(filters, "publish"):
        yield lambda one: bool(ports & _published(one))
    if exposed := _ports(filters, "expose"):
        yield lambda one: bool(exposed & set(exposed_ports(one.record.config)))


def _volume(container: Container, wanted: list[str]) -> bool:
    return any(
        word in (point.name, point.destination, point.source, point.shown_source)
        for point in container.record.mounts
        for word in wanted
    )


class Listing:
    """Selects containers; `image_ids` says which images an ancestor filter means."""

    def __init__(
        self,
        find: Callable[[str], Container],
        image_ids: Callable[[str], frozenset[str]],
        network_id: Callable[[str], str],
    ) -> None:
        self._find = find
        self._image_ids = image_ids
        self._network_id = network_id

    def select(
        self, containers: Iterable[Container], filters: Filters, *, all: bool, limit: int
    ) -> list[Container]:
        """Those that match, newest first. Raises BadRequest, NotFound (before, since)."""
        filters.check(ALLOWED)
        matchers = [*_simple(filters), *self._related(filters)]
        if not (all or limit > 0 or {"status", "exited", "before", "since"} & set(filters.keys())):
            matchers.append(lambda one: one.running_word)
        found = [one for one in containers if not one.removing or one.running_word]
        found = [one for one in found if _matches(one, matchers)]
        found.sort(key=lambda one: one.record.created, reverse=True)
        return found[:limit] if limit > 0 else found

    def _related(self, filters: Filters) -> Iterable[Matcher]:
        if "before" in filters:
            before = min(self._find(name).record.created for name in filters.values("before"))
            yield lambda one: one.record.created < before
        if "since" in filters:
            since = max(self._find(name).record.created for name in filters.values("since"))
            yield lambda one: one.record.created > since
        if "ancestor" in filters:
            images: set[str] = set()
            for name in filters.values("ancestor"):
                images |= self._image_ids(name)
            yield lambda one: one.record.image_id in images
        if "volume" in filters:
            yield lambda one: _volume(one, filters.values("volume"))
        if "network" in filters:
            wanted = {self._network_name(name) for name in filters.values("network")}
            yield lambda one: bool(
                wanted & {*one.record.endpoints, *map(self._network_id, one.record.endpoints)}
            )

    def _network_name(self, name: str) -> str:
        try:
            return self._network_id(name) or name
        except NotFound:
            return name


def _matches(container: Container, matchers: list[Matcher]) -> bool:
    for matcher in matchers:
        if not matcher(container):
            return False
    return True
