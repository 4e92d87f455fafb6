"""Which networks a client's filters let through."""

from engine.errors import BadRequest
from engine.filters import Filters
from engine.networks.network import Network
from engine.networks.records import Endpoint
from engine.times import parse_time

FILTERS = frozenset({"dangling", "driver", "id", "label", "label!", "name", "scope", "type"})

# container id, container's name, endpoint
Member = tuple[str, str, Endpoint]


def matches(network: Network, filters: Filters, used: bool) -> bool:
    """Whether the list shows the network; `used`: a running container is in it."""
    kind = "builtin" if network.predefined else "custom"
    for word in filters.values("type"):
        if word not in ("builtin", "custom"):
            raise BadRequest(f"invalid filter: 'type'='{word}'")
    return (
        filters.fuzzy("name", network.name)
        and filters.fuzzy("id", network.id)
        and filters.matches("driver", network.driver)
        and filters.matches("scope", "local")
        and filters.matches("type", kind)
        and filters.labels(network.labels)
        and (
            not filters.values("dangling")
            or filters.boolean("dangling") == (not used and not network.predefined)
        )
    )


def prune_moment(filters: Filters) -> int | None:
    """The `until` of a prune in ns since the epoch: only older networks go."""
    words = filters.values("until")
    if len(words) > 1:
        raise BadRequest("more than one until filter specified")
    return parse_time(words[0]) if words else None
