"""A container's place in a network: addresses, names, and the interface to be made."""

import contextlib
import os
from collections.abc import Mapping

from engine.networks import plumbing
from engine.networks.addresses import mac_of
from engine.networks.bridges import Bridges, filtered, mtu_of, talks
from engine.networks.identity import Identity
from engine.networks.network import Network
from engine.networks.records import Endpoint, EndpointConfig, SandboxRequest
from engine.networks.store import Store


class Endpoints:
    """Plans endpoints; what it gives out is taken back with `release`."""

    def __init__(self, identity: Identity, store: Store, bridges: Bridges) -> None:
        self._identity = identity
        self._store = store
        self._bridges = bridges

    def plan(
        self, request: SandboxRequest, network: Network, config: EndpointConfig, link: str
    ) -> Endpoint:
        """Addresses in a network for a container. Raises EngineError."""
        endpoint_id = os.urandom(32).hex()
        if network.driver == "null":
            return Endpoint(endpoint_id, network.id)
        spaces = self._store.spaces(network)
        ipv4, prefix4, gateway4 = spaces.take(4, config.ipv4)
        try:
            six = network.ipv6 or config.ipv6
            ipv6, prefix6, gateway6 = spaces.take(6, config.ipv6) if six else ("", 0, "")
        except BaseException:
            if ipv4:
                spaces.release(ipv4)
            raise
        return Endpoint(
            id=endpoint_id,
            network_id=network.id,
            mac=config.mac.lower().replace("-", ":") or mac_of(ipv4, ipv6),
            ipv4=ipv4,
            prefix4=prefix4,
            gateway4="" if network.internal else gateway4,
            ipv6=ipv6,
            prefix6=prefix6,
            gateway6="" if network.internal else gateway6,
            host_link=self._identity.veth(endpoint_id),
            link=link,
            names=names_of(request, config),
            link_local=config.link_local,
        )

    def release(self, network: Network, endpoint: Endpoint) -> None:
        """Take an endpoint's addresses back."""
        with contextlib.suppress(KeyError):
            spaces = self._store.spaces(network)
            for address in (endpoint.ipv4, endpoint.ipv6):
                if address:
                    spaces.release(address)

    def way_out(self, request: SandboxRequest, endpoints: Mapping[str, Endpoint]) -> str:
        """The network that the default route goes through: the highest priority, then by name."""
        configs = {self._store.resolve(name).name: c for name, c in request.endpoints.items()}
        ways = [name for name, one in endpoints.items() if one.gateway4 or one.gateway6]

        def order(name: str) -> tuple[int, str]:
            config = configs.get(name)
            return (-(config.gw_priority if config else 0), name)

        return min(ways, key=order, default="")

    def wire(self, network: Network, endpoint: Endpoint, default: bool) -> plumbing.Wire:
        """An interface to be made, below a bridge that is there."""
        return plumbing.Wire(
            endpoint=endpoint,
            bridge=self._bridges.ensure(network),
            mtu=mtu_of(network),
            isolated=not talks(network),
            reflected=default and filtered(),
            default=default,
        )


def names_of(request: SandboxRequest, config: EndpointConfig) -> tuple[str, ...]:
    """The names that a container answers to in a network, each once (`DNSNames` of the API)."""
    wanted = (request.name, *config.aliases, request.container_id[:12], request.hostname)
    return tuple(dict.fromkeys(filter(None, wanted)))
