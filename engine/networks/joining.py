"""Running containers join and leave networks."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace

from engine.errors import BadRequest, EngineError, Forbidden
from engine.linux import namespaces, netlink
from engine.networks import dns, plumbing
from engine.networks.bridges import Bridges
from engine.networks.identity import Identity
from engine.networks.network import Network
from engine.networks.opened import Opened
from engine.networks.records import Endpoint, EndpointConfig, Sandbox
from engine.networks.resolving import open_here
from engine.networks.sandboxes import Sandboxes
from engine.networks.store import Store


class Joining:
    """Changes the endpoints of open sandboxes."""

    def __init__(
        self, identity: Identity, store: Store, bridges: Bridges, sandboxes: Sandboxes
    ) -> None:
        self._identity = identity
        self._store = store
        self._bridges = bridges
        self._sandboxes = sandboxes

    def check(self, network: Network, settings: EndpointConfig) -> None:
        """Whether a container could join with these settings. Raises BadRequest."""
        if network.driver == "null":
            raise BadRequest(
                "container cannot be connected to multiple networks with one of the networks in "
                "private (none) mode"
            )
        self._store.check(network, settings)

    async def join(self, opened: Opened, network: Network, settings: EndpointConfig) -> Sandbox:
        """Add an interface to a running container. Raises EngineError and leaves nothing."""
        sandbox = opened.sandbox
        if sandbox.netns is None:
            raise BadRequest("a container in the host's network can't be connected to another")
        if network.name in sandbox.endpoints:
            raise Forbidden(
                f"endpoint with name {opened.request.name} already exists in network {network.name}"
            )
        request = replace(
            opened.request, endpoints={**_real(opened.request.endpoints), network.name: settings}
        )
        link = _free_link(sandbox.endpoints)
        endpoint = self._sandboxes.endpoints.plan(request, network, settings, link)
        endpoints = {**self._without_none(sandbox.endpoints), network.name: endpoint}
        default = self._sandboxes.endpoints.way_out(request, endpoints) == network.name
        path = sandbox.netns
        group = self._identity.group

        resolving = self._sandboxes.resolving
        first = resolving.wanted(endpoints) and not resolving.serves(request.container_id)

        def work() -> dns.Sockets | None:
            wire = self._sandboxes.endpoints.wire(network, endpoint, default)
            plumbing.attach(self._bridges.channel, path, wire, group)
            return open_here(request) if first else None

        try:
            sockets = await namespaces.in_thread(work)
        except BaseException as error:
            self._sandboxes.endpoints.release(network, endpoint)
            if isinstance(error, OSError):
                reason = error.strerror or str(error)
                raise EngineError(f"can't make an interface: {reason}") from error
            raise
        opened.request = request
        await self._sandboxes.settle(opened, endpoints)
        if sockets:
            resolving.started(opened, sockets)
        return opened.sandbox

    async def leave(self, opened: Opened, network: Network) -> Sandbox:
        """Take an interface from a running container."""
        endpoints = dict(opened.sandbox.endpoints)
        gone = endpoints.pop(network.name, None)
        if gone is None:
            raise Forbidden(
                f"container {opened.request.container_id} is not connected to network "
                f"{network.name}"
            )
        configs = dict(opened.request.endpoints)
        for name in list(configs):
            with contextlib.suppress(EngineError):
                if self._store.resolve(name).id == network.id:
                    del configs[name]
        opened.request = replace(opened.request, endpoints=configs)
        await self._sandboxes.settle(opened, endpoints)
        await asyncio.to_thread(self._detach, gone)
        self._sandboxes.endpoints.release(network, gone)
        path = opened.sandbox.netns
        way_out = self._sandboxes.endpoints.way_out(opened.request, endpoints)
        if path is not None and way_out:
            await namespaces.in_thread(lambda: plumbing.route(path, endpoints[way_out]))
        return opened.sandbox

    def _detach(self, endpoint: Endpoint) -> None:
        link = netlink.find_link(self._bridges.channel, endpoint.host_link)
        if link is not None:
            self._bridges.channel.attempt([netlink.delete_index(link.index)])

    def _without_none(self, endpoints: Mapping[str, Endpoint]) -> dict[str, Endpoint]:
        return {name: one for name, one in endpoints.items() if name != "none"}


def _real(configs: Mapping[str, EndpointConfig]) -> dict[str, EndpointConfig]:
    return {name: config for name, config in configs.items() if name != "none"}


def _free_link(endpoints: Mapping[str, Endpoint]) -> str:
    used = {one.link for one in endpoints.values()}
    return next(f"eth{n}" for n in range(len(used) + 1) if f"eth{n}" not in used)
