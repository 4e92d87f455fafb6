"""The networks' records: found by name, id or the id's beginning."""

import ipaddress
import os
import time
from typing import Any, Protocol

from engine.errors import BadRequest, NotFound
from engine.networks.addresses import AnyNetwork, Spaces, choose_subnet
from engine.networks.identity import MAIN_BRIDGE, Identity
from engine.networks.network import Network, Pool
from engine.networks.records import EndpointConfig
from engine.values import dataclass, replace

KIND = "network"
_BRIDGE = "com.docker.network.bridge."
_DEFAULT_OPTIONS = {
    _BRIDGE + "default_bridge": "true",
    _BRIDGE + "enable_icc": "true",
    _BRIDGE + "enable_ip_masquerade": "true",
    _BRIDGE + "host_binding_ipv4": "0.0.0.0",
    "com.docker.network.driver.mtu": "1500",
}


class Database(Protocol):
    """Where records last; `database.Database` satisfies it."""

    def load(self, kind: str) -> dict[str, Any]: ...
    async def put(
        self, kind: str, key: str, record: dict[str, Any], durable: bool = True
    ) -> None: ...
    async def delete(self, kind: str, key: str, durable: bool = True) -> None: ...


class BridgeNames(Protocol):
    """What choosing the default bridge needs to know of the machine; `Bridges` satisfies it."""

    def owned(self, name: str) -> bool: ...
    def networks_in_use(self) -> list[AnyNetwork]: ...


@dataclass
class Held:
    """A network and the addresses that are given out in it."""

    network: Network
    spaces: Spaces


class Store:
    """Records of all networks; `start` loads them and makes the predefined ones."""

    def __init__(self, database: Database, identity: Identity) -> None:
        self._database = database
        self._identity = identity
        self._held: dict[str, Held] = {}

    async def start(self, machine: BridgeNames) -> None:
        """Load the records; make `bridge`, `host` and `none` at the first start."""
        for key, record in self._database.load(KIND).items():
            network = Network.from_record(record)
            self._held[key] = Held(network, Spaces(network))
        for name in ("bridge", "host", "none"):
            known = next((one for one in self.all() if one.name == name), None)
            wanted = self._predefined(name, known, machine)
            if wanted != known:
                await self.put(wanted)

    def _predefined(self, name: str, known: Network | None, machine: BridgeNames) -> Network:
        if name != "bridge":
            return known or Network(new_id(), name, "null" if name == "none" else name, now())
        if known and machine.owned(known.bridge) and not self._crowded(known, machine):
            return known
        bridge = MAIN_BRIDGE if machine.owned(MAIN_BRIDGE) else self._identity.bridge
        subnet = choose_subnet(machine.networks_in_use() + self.subnets(known))
        pool = Pool(str(subnet), str(subnet[1]), chosen=True)
        options = {**_DEFAULT_OPTIONS, _BRIDGE + "name": bridge}
        if known:
            return replace(known, bridge=bridge, pools=(pool,), options=options)
        return Network(new_id(), name, "bridge", now(), bridge, (pool,), options=options)

    def _crowded(self, network: Network, machine: BridgeNames) -> bool:
        """Whether something else on the machine has come to use the network's addresses."""
        subnet = ipaddress.ip_network(network.pools[0].subnet)
        used = machine.networks_in_use()
        return any(one.version == subnet.version and one.overlaps(subnet) for one in used)

    def subnets(self, without: Network | None = None) -> list[AnyNetwork]:
        """The subnets of all networks."""
        return [
            ipaddress.ip_network(pool.subnet)
            for network in self.all()
            if without is None or network.id != without.id
            for pool in network.pools
        ]

    def all(self) -> list[Network]:
        """All networks, in no promised order."""
        return [held.network for held in self._held.values()]

    def resolve(self, name_or_id: str) -> Network:
        """By id, name or an id's beginning that fits one alone. Raises NotFound, BadRequest."""
        if held := self._held.get(name_or_id):
            return held.network
        named = self.named(name_or_id)
        if len(named) == 1:
            return named[0]
        found = named or [one for one in self.all() if name_or_id and one.id.startswith(name_or_id)]
        if len(found) == 1:
            return found[0]
        if found:
            raise BadRequest(f"network {name_or_id} is ambiguous ({len(found)} matches found)")
        raise NotFound(f"network {name_or_id} not found")

    def named(self, name: str) -> list[Network]:
        """The networks of this name (one at most)."""
        return [one for one in self.all() if one.name == name]

    def spaces(self, network: Network) -> Spaces:
        """The addresses of a network."""
        return self._held[network.id].spaces

    def check(self, network: Network, settings: EndpointConfig) -> None:
        """Whether the network could give the addresses that are asked for. Raises BadRequest."""
        problems: list[str] = []
        for version, address in ((4, settings.ipv4), (6, settings.ipv6)):
            if not address:
                continue
            if network.predefined:
                problems.append(
                    "user specified IP address is supported on user defined networks only"
                )
            pools = [pool for pool in network.pools if (":" in pool.subnet) == (version == 6)]
            if pools and all(pool.chosen for pool in pools):
                problems.append(
                    "user specified IP address is supported only when connecting to networks with "
                    "user configured subnets"
                )
                continue
            try:
                self.spaces(network).check(version, address)
            except BadRequest as error:
                problems.append(error.message)
        if problems:
            told = problems[0] if len(problems) == 1 else "\n".join(f"* {one}" for one in problems)
            raise BadRequest(f"invalid endpoint settings:\n{told}")

    async def put(self, network: Network) -> None:
        """Add or replace a record; it is durable on return."""
        self._held[network.id] = Held(network, Spaces(network))
        try:
            await self._database.put(KIND, network.id, network.to_record())
        except BaseException:
            self._held.pop(network.id, None)
            raise

    async def delete(self, network: Network) -> None:
        """Remove a record."""
        self._held.pop(network.id, None)
        await self._database.delete(KIND, network.id)


def new_id() -> str:
    """A new id: 64 hexadecimal digits."""
    return os.urandom(32).hex()


def now() -> str:
    """The time as records hold it: RFC 3339 with nanoseconds, UTC."""
    seconds, fraction = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{fraction:09d}Z"
