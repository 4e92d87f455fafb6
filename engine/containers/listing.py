"""Which containers a list shows: Docker's filters, the order, the limit."""

from collections.abc import Callable, Iterable

from engine.containers.container import Container
from engine.containers.endpoints import ports_map
from engine.containers.record import Status
from engine.containers.rows import health_of
from engine.errors import BadRequest, EngineError, NotFound
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
_LAST_PORT = 65535

Matcher = Callable[[Container], bool]


def _exit_codes(filters: Filters) -> frozenset[int]:
    codes = set()
    for text in filters.values("exited"):
        try:
            codes.add(int(text))
        except ValueError as error:
            raise BadRequest(
                f"invalid filter 'exited={text}': strconv.Atoi: parsing \"{text}\": invalid syntax"
            ) from error
    return frozenset(codes)


def _number(text: str, shown: str) -> int:
    why = "invalid syntax" if not text.isdecimal() else "value out of range"
    if why == "invalid syntax" or int(text) > _LAST_PORT:
        raise EngineError(
            f'error while looking up for {shown}: strconv.ParseUint: parsing "{text}": {why}'
        )
    return int(text)


def _ports(filters: Filters, key: str) -> frozenset[str]:
    """The ports that a filter names, such as `80/tcp`; a range stands for each of its ports."""
    found: set[str] = set()
    for text in filters.values(key):
        ports, _, protocol = text.partition("/")
        first, dash, last = ports.partition("-")
        low = _number(first, f"{key} {text}")
        high = _number(last, f"{key} {text}") if dash else low
        found.update(f"{port}/{protocol or 'tcp'}" for port in range(low, high + 1))
    return frozenset(found)


def _published(container: Container) -> set[str]:
    """The machine's ports that lead into a container now."""
    if container.sandbox is None:
        return set()
    return {
        f"{port}/{key.partition('/')[2]}"
        for key, places in container.sandbox.ports.items()
        for _, port in places
    }


def _simple(filters: Filters) -> Iterable[Matcher]:
    if "id" in filters:
        wanted = tuple(filters.values("id"))
        yield lambda one: one.id.startswith(wanted)
    if "name" in filters:
        yield lambda one: filters.fuzzy("name", one.name) or filters.fuzzy("name", f"/{one.name}")
    if "label" in filters:
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
                raise BadRequest(
                    f"invalid filter 'health={word}': invalid value for health ({word}): must be "
                    "one of none, starting, healthy, unhealthy"
                )
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
    if ports := _ports(filters, "publish"):
        yield lambda one: bool(ports & _published(one))
    if exposed := _ports(filters, "expose"):
        yield lambda one: bool(exposed & set(ports_map(one.record, one.sandbox)))


def _volume(container: Container, wanted: list[str]) -> bool:
    return any(
        word in (point.name, point.destination, point.source, point.shown_source)
        for point in container.record.mounts
        for word in wanted
    )


class Listing:
    """Selects containers; `family` gives the ids of an image and of all that were made of it."""

    def __init__(
        self,
        find: Callable[[str], Container],
        family: Callable[[str], frozenset[str]],
        network_id: Callable[[str], str],
    ) -> None:
        self._find = find
        self._family = family
        self._network_id = network_id

    def select(
        self, containers: Iterable[Container], filters: Filters, *, all: bool, limit: int
    ) -> list[Container]:
        """Those that match, newest first. Raises BadRequest, NotFound (before, since)."""
        filters.check(ALLOWED)
        matchers = [*_simple(filters), *self._related(filters)]
        if not (all or limit > 0 or "status" in filters):
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
                images |= self._family(name)
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
