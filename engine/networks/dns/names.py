"""Who is called what in which network."""

from collections.abc import Iterable, Mapping

from engine.values import dataclass, field

# How many names of containers that have left are remembered in a network.
_REMEMBERED = 1024


@dataclass(frozen=True)
class View:
    """What one container sees: its user networks in order, its own links, where else to ask.

    `servers` are those of `--dns`; `outward` is whether it may ask outside at all.
    """

    networks: tuple[str, ...]
    links: Mapping[str, str] = field(default_factory=dict)
    servers: tuple[str, ...] = ()
    outward: bool = True


@dataclass(frozen=True)
class _Member:
    container_id: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass
class _Zone:
    label: str
    members: dict[str, _Member] = field(default_factory=dict)
    by_name: dict[str, list[_Member]] = field(default_factory=dict)
    by_address: dict[str, _Member] = field(default_factory=dict)
    # insertion order: the oldest goes first
    departed: dict[str, None] = field(default_factory=dict)


class Names:
    """Names and addresses of the running containers of user networks."""

    def __init__(self) -> None:
        self._zones: dict[str, _Zone] = {}
        self._turn = 0
        # names that every container knows, such as the user's machine
        self.common: dict[str, tuple[str, ...]] = {}

    def add(
        self,
        network_id: str,
        network_name: str,
        container_id: str,
        names: Iterable[str],
        addresses: Iterable[str],
    ) -> None:
        """A container is in a network; what was known of it there is replaced."""
        self.remove(network_id, container_id)
        zone = self._zones.setdefault(network_id, _Zone(network_name.lower()))
        lowered = tuple(dict.fromkeys(name.lower().rstrip(".") for name in names))
        member = _Member(container_id, lowered, tuple(filter(None, addresses)))
        zone.members[container_id] = member
        for name in lowered:
            zone.by_name.setdefault(name, []).append(member)
            zone.departed.pop(name, None)
        for address in member.addresses:
            zone.by_address[address] = member

    def remove(self, network_id: str, container_id: str) -> None:
        """A container has left a network; twice is safe."""
        zone = self._zones.get(network_id)
        member = zone.members.pop(container_id, None) if zone else None
        if zone is None or member is None:
            return
        for name in member.names:
            zone.by_name[name].remove(member)
            if not zone.by_name[name]:
                del zone.by_name[name]
                zone.departed[name] = None
        for address in member.addresses:
            if zone.by_address.get(address) is member:
                del zone.by_address[address]
        while len(zone.departed) > _REMEMBERED:
            del zone.departed[next(iter(zone.departed))]

    def forget(self, network_id: str) -> None:
        """A network is gone."""
        self._zones.pop(network_id, None)

    def lookup(self, view: View, name: str) -> tuple[str, ...] | None:
        """Addresses of a name, one container's turn after another's; None: nobody has it.

        Empty: the name's container has left.
        """
        target = view.links.get(name, name)
        for zone in self._seen(view):
            members = zone.by_name.get(target) or self._qualified(zone, target)
            if members:
                return self._in_turn(members)
        if name in self.common:
            return self.common[name]
        if any(target in zone.departed for zone in self._seen(view)):
            return ()
        return None

    def _seen(self, view: View) -> Iterable[_Zone]:
        return (self._zones[one] for one in view.networks if one in self._zones)

    def _qualified(self, zone: _Zone, name: str) -> list[_Member]:
        """The members of `name.network`."""
        suffix = f".{zone.label}"
        return zone.by_name.get(name.removesuffix(suffix), []) if name.endswith(suffix) else []

    def _in_turn(self, members: list[_Member]) -> tuple[str, ...]:
        if len(members) == 1:
            return members[0].addresses
        self._turn += 1
        start = self._turn % len(members)
        ordered = members[start:] + members[:start]
        return tuple(address for member in ordered for address in member.addresses)

    def reverse(self, view: View, address: str) -> str | None:
        """The full name (`name.network`) of an address, or None."""
        for zone in self._seen(view):
            if member := zone.by_address.get(address):
                return f"{member.names[0]}.{zone.label}" if member.names else None
        return None
