"""Making and removing networks."""

import asyncio
import contextlib
import ipaddress
from collections.abc import Iterable
from dataclasses import replace

from engine.errors import Conflict, EngineError, Forbidden
from engine.networks.addresses import AnyNetwork, choose_subnet, local_subnet, overlaps
from engine.networks.asked import Asked, check
from engine.networks.bridges import Bridges, choosing, rules_of
from engine.networks.firewall import Firewall
from engine.networks.network import Network, Pool
from engine.networks.sandboxes import Sandboxes
from engine.networks.store import Store, new_id, now

_BRIDGE_NAME = "com.docker.network.bridge.name"


class Changes:
    """Creates and removes user networks, one at a time."""

    def __init__(
        self, store: Store, bridges: Bridges, firewall: Firewall, sandboxes: Sandboxes
    ) -> None:
        self._store = store
        self._bridges = bridges
        self._firewall = firewall
        self._sandboxes = sandboxes
        self._lock = asyncio.Lock()

    async def create(self, asked: Asked) -> Network:
        """Make a network; the record is durable on return. Raises EngineError."""
        check(asked)
        async with self._lock:
            if self._store.named(asked.name):
                raise Conflict(f"network with name {asked.name} already exists")
            network = await asyncio.to_thread(self._plan_and_make, asked)
            try:
                await self._store.put(network)
            except BaseException:
                await asyncio.to_thread(self._unmake, network)
                raise
        return network

    def _plan_and_make(self, asked: Asked) -> Network:
        with choosing():
            network = self._plan(asked)
            try:
                self._make(network)
            except BaseException:
                self._unmake(network)
                raise
        return network

    def _plan(self, asked: Asked) -> Network:
        network_id = new_id()
        bridge = asked.options.get(_BRIDGE_NAME) or f"br-{network_id[:12]}"
        if any(one.bridge == bridge for one in self._store.all()):
            raise Conflict(f"a network with the bridge name {bridge} already exists")
        return Network(
            id=network_id,
            name=asked.name,
            driver=asked.driver,
            created=now(),
            bridge=bridge,
            pools=tuple(self._pools(asked, network_id)),
            ipv4=asked.ipv4,
            ipv6=asked.ipv6,
            internal=asked.internal,
            attachable=asked.attachable,
            labels=asked.labels,
            options=asked.options,
            ipam_driver=asked.ipam_driver,
            ipam_options=asked.ipam_options,
        )

    def _pools(self, asked: Asked, network_id: str) -> Iterable[Pool]:
        taken = self._store.subnets()
        found = []
        for pool in asked.pools:
            if pool.subnet:
                subnet: AnyNetwork = ipaddress.ip_network(pool.subnet)
                if overlaps(subnet, taken):
                    raise Forbidden(
                        "invalid pool request: Pool overlaps with other one on this address space"
                    )
                taken.append(subnet)
                own = replace(pool, own_gateway=not pool.gateway)
                found.append(_with_gateway(own, subnet))
        versions = {ipaddress.ip_network(pool.subnet).version for pool in found}
        if asked.ipv4 and 4 not in versions:
            subnet = choose_subnet(taken + self._bridges.networks_in_use())
            found.append(_with_gateway(Pool(str(subnet), chosen=True), subnet))
        if asked.ipv6 and 6 not in versions:
            subnet = local_subnet(network_id)
            found.append(_with_gateway(Pool(str(subnet), chosen=True), subnet))
        return found

    def _make(self, network: Network) -> None:
        self._bridges.ensure(network, configure=True)
        if not self._firewall.standing():
            self._sandboxes.rebuild_rules()
        self._firewall.add_bridge(rules_of(network))

    def _unmake(self, network: Network) -> None:
        with contextlib.suppress(OSError):
            self._firewall.remove_bridge(rules_of(network))
        with contextlib.suppress(OSError):
            self._bridges.remove(network)

    async def remove(self, name_or_id: str) -> Network:
        """Remove a network that no running container uses. Raises EngineError."""
        async with self._lock:
            network = self._store.resolve(name_or_id)
            if network.predefined:
                raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
            users = [
                f'name:"{opened.request.name}" id:"{endpoint.id[:12]}"'
                for opened, endpoint in self._sandboxes.members(network)
            ]
            if users:
                raise Forbidden(
                    f"error while removing network: network {network.name} has active endpoints "
                    f"({', '.join(users)})"
                )
            await asyncio.to_thread(self._unmake, network)
            await self._store.delete(network)
            self._sandboxes.resolving.forget(network)
        return network

    async def prune(self, networks: Iterable[Network]) -> list[str]:
        """Remove those of the networks that no running container uses; returns their names."""
        removed = []
        for network in networks:
            with contextlib.suppress(EngineError):
                await self.remove(network.id)
                removed.append(network.name)
        return removed


def _with_gateway(pool: Pool, subnet: AnyNetwork) -> Pool:
    if pool.gateway:
        return pool
    kept = {ipaddress.ip_address(one) for one in pool.auxiliary.values()}
    first = subnet if subnet.prefixlen >= subnet.max_prefixlen - 1 else subnet.hosts()
    gateway = next((one for one in first if one not in kept), None)
    if gateway is None:
        raise Forbidden(f"no available addresses for the gateway in {subnet}")
    return replace(pool, gateway=str(gateway))
