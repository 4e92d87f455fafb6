"""The networks of the engine, and the sandboxes of its running containers."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from engine.errors import BadRequest, EngineError, NotFound
from engine.filters import Filters
from engine.linux import netlink
from engine.networks.asked import Asked
from engine.networks.bridges import Bridges, choosing, write_sysctl
from engine.networks.changes import Changes
from engine.networks.firewall import Firewall
from engine.networks.identity import Identity
from engine.networks.joining import Joining
from engine.networks.listing import FILTERS, Member, matches, prune_moment
from engine.networks.network import Network, Pool
from engine.networks.ports import Ports
from engine.networks.publishing import HostPorts, Publisher
from engine.networks.records import Endpoint, EndpointConfig, Sandbox, SandboxRequest
from engine.networks.sandboxes import Sandboxes
from engine.networks.store import Database, Store
from engine.times import parse_time
from engine.values import dataclass

HOST_NAMES = ("host.docker.internal", "gateway.docker.internal")


class Events(Protocol):
    """Where changes are told; `events.Events` satisfies it."""

    def publish(
        self, type: str, action: str, actor_id: str, attributes: Mapping[str, str] = ...
    ) -> object: ...


class Containers(Protocol):
    """The containers' records, which remember their networks; `containers.Store` satisfies it."""

    async def connect_network(
        self, container: str, network: Network, settings: EndpointConfig
    ) -> None: ...
    async def disconnect_network(self, container: str, network: Network, force: bool) -> None: ...


@dataclass(frozen=True)
class _Parts:
    """What stands once the networks are up."""

    sandboxes: Sandboxes
    joining: Joining
    changes: Changes


class Controller:
    """Life cycle: `restore` once with what still runs, then `open` and `close` for containers."""

    def __init__(self, root: Path, run: Path, database: Database, events: Events) -> None:
        self._run = run
        self._events = events
        self._identity = Identity.of(root)
        self._store = Store(database, self._identity)
        self._publisher = Publisher(Ports())
        self._parts: _Parts | None = None
        self.containers: Containers | None = None
        # The user's machine as containers see it; "" when the engine runs on it.
        self.host_address = ""

    @property
    def host(self) -> HostPorts | None:
        """The desktop that opens ports on the user's machine; None: this is the user's machine."""
        return self._publisher.host

    @host.setter
    def host(self, host: HostPorts | None) -> None:
        self._publisher.host = host

    @property
    def _ready(self) -> _Parts:
        if self._parts is None:
            raise EngineError("the networks are not up yet")
        return self._parts

    async def restore(self, live: Sequence[tuple[SandboxRequest, Sandbox]]) -> None:
        """Take up what an earlier engine left: re-own what lives, sweep the rest."""
        bridges = Bridges(self._identity)
        store = self._store
        with choosing():
            await store.start(bridges)
            for network in store.all():
                if network.bridge:
                    bridges.ensure(network)
        firewall = Firewall(self._identity.table(store.named("bridge")[0].bridge))
        sandboxes = Sandboxes(self._run, self._identity, store, bridges, firewall, self._publisher)
        joining = Joining(self._identity, store, bridges, sandboxes)
        changes = Changes(store, bridges, firewall, sandboxes)
        self._parts = _Parts(sandboxes, joining, changes)
        write_sysctl("ipv4/ip_forward", "1")
        if self.host is not None:
            # Nobody else in the VM needs it, and it makes what bridges pass on twice as dear.
            write_sysctl("bridge/bridge-nf-call-iptables", "0")
            write_sysctl("bridge/bridge-nf-call-ip6tables", "0")
            # In a VM the way out leads to the user's machine.
            self.host_address = netlink.default_gateway(bridges.channel)
            if self.host_address:
                sandboxes.resolving.common(dict.fromkeys(HOST_NAMES, (self.host_address,)))
        await sandboxes.restore(live)

    async def stop(self) -> None:
        """The engine ends: let go of sockets; containers keep their networks. Twice is safe."""
        if self._parts is not None:
            await self._parts.sandboxes.stop()

    def resolve(self, name_or_id: str) -> Network:
        """The network by name, id or unambiguous prefix of an id."""
        return self._store.resolve(name_or_id)

    def check(self, network: str, settings: EndpointConfig) -> None:
        """Whether a container could start in a network with these settings. Raises BadRequest.

        A network that isn't there is no matter until the container starts.
        """
        with contextlib.suppress(NotFound):
            found = self._store.resolve(network)
            try:
                self._store.check(found, settings)
            except BadRequest as error:
                raise BadRequest(
                    f"invalid config for network {network}: {error.message}"
                ) from error

    async def open(self, request: SandboxRequest) -> Sandbox:
        """Make a container's network; undoes everything when it fails."""
        sandbox = await self._ready.sandboxes.open(request)
        for name, endpoint in sandbox.endpoints.items():
            self._tell(endpoint, "connect", name, request.container_id)
        return sandbox

    async def close(self, container_id: str) -> None:
        """Take a container's network away; closing twice is safe."""
        opened = await self._ready.sandboxes.close(container_id)
        if opened is None:
            return
        for name, endpoint in opened.sandbox.endpoints.items():
            self._tell(endpoint, "disconnect", name, container_id)

    def sandbox(self, container_id: str) -> Sandbox | None:
        """The open sandbox of a container as it stands now (ports, endpoints), or None."""
        opened = self._ready.sandboxes.get(container_id)
        return opened.sandbox if opened else None

    def rename(self, container_id: str, name: str) -> None:
        """The container has a new name (no leading slash)."""
        self._ready.sandboxes.rename(container_id, name)

    async def connect(
        self, container_id: str, network: str, settings: EndpointConfig, live: bool
    ) -> Sandbox | None:
        """Join a network; a live container gets the interface now and the new Sandbox is returned.

        A container that isn't live only has the settings checked against the network.
        """
        found = self._store.resolve(network)
        self._ready.joining.check(found, settings)
        opened = self._ready.sandboxes.get(container_id)
        if not live or opened is None:
            return None
        sandbox = await self._ready.joining.join(opened, found, settings)
        self._tell(sandbox.endpoints[found.name], "connect", found.name, container_id)
        return sandbox

    async def disconnect(self, container_id: str, network: str) -> Sandbox | None:
        """Leave a network; returns the new Sandbox of a live container, else None."""
        found = self._store.resolve(network)
        opened = self._ready.sandboxes.get(container_id)
        if opened is None:
            return None
        endpoint = opened.sandbox.endpoints.get(found.name)
        sandbox = await self._ready.joining.leave(opened, found)
        if endpoint is not None:
            self._tell(endpoint, "disconnect", found.name, container_id)
        return sandbox

    async def create(
        self,
        name: str,
        *,
        driver: str = "bridge",
        pools: Sequence[tuple[str, str, str, Mapping[str, str]]] = (),
        ipv4: bool = True,
        ipv6: bool = False,
        internal: bool = False,
        attachable: bool = False,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        ipam_driver: str = "default",
        ipam_options: Mapping[str, str] | None = None,
        config_only: bool = False,
        config_from: str = "",
        scope: str = "",
        ingress: bool = False,
    ) -> Network:
        """Make a network; its record is durable on return.

        `pools`: subnet, gateway, range and auxiliary addresses of each; "" leaves the choice.
        """
        asked = Asked(
            name=name,
            driver=driver,
            pools=tuple(Pool(*words) for words in pools),
            ipv4=ipv4,
            ipv6=ipv6,
            internal=internal,
            attachable=attachable,
            labels=labels or {},
            options=options or {},
            ipam_driver=ipam_driver,
            ipam_options=ipam_options,
            config_only=config_only,
            config_from=config_from,
            scope=scope,
            ingress=ingress,
        )
        network = await self._ready.changes.create(asked)
        self._tell_network("create", network)
        return network

    async def connect_container(
        self,
        network: str,
        container: str,
        *,
        ipv4: str = "",
        ipv6: str = "",
        mac: str = "",
        aliases: Sequence[str] = (),
        links: Sequence[str] = (),
        gw_priority: int = 0,
        driver_opts: Mapping[str, str] | None = None,
        link_local: Sequence[str] = (),
    ) -> None:
        """A client joins a container (name or id) to a network: the containers' store does it."""
        settings = EndpointConfig(
            ipv4,
            ipv6,
            mac,
            tuple(aliases),
            tuple(links),
            gw_priority,
            driver_opts or {},
            tuple(link_local),
        )
        found = self._store.resolve(network)
        await self._containers.connect_network(container, found, settings)

    async def disconnect_container(self, network: str, container: str, *, force: bool) -> None:
        """A client takes a container (name or id) from a network."""
        found = self._store.resolve(network)
        await self._containers.disconnect_network(container, found, force)

    @property
    def _containers(self) -> Containers:
        if self.containers is None:
            raise EngineError("the containers are not up yet")
        return self.containers

    async def remove(self, name_or_id: str) -> None:
        """Remove a network that no running container uses."""
        self._tell_network("destroy", await self._ready.changes.remove(name_or_id))

    async def prune(self, filters: Filters) -> list[str]:
        """Remove user networks without running containers; returns their names."""
        filters.check({"label", "label!", "until"})
        before = prune_moment(filters)
        doomed = [
            one
            for one in self._store.all()
            if not one.predefined
            and filters.labels(one.labels)
            and (before is None or parse_time(one.created) < before)
        ]
        removed = await self._ready.changes.prune(doomed)
        for network in doomed:
            if network.name in removed:
                self._tell_network("destroy", network)
        return removed

    def members(self, network: Network) -> Sequence[Member]:
        """The running containers in a network."""
        return [
            (opened.request.container_id, opened.request.name, endpoint)
            for opened, endpoint in self._ready.sandboxes.members(network)
        ]

    def _tell(self, endpoint: Endpoint, action: str, name: str, container_id: str) -> None:
        try:
            driver = self._store.resolve(endpoint.network_id).driver
        except EngineError:
            driver = "bridge"
        attributes = {"container": container_id, "name": name, "type": driver}
        self._events.publish("network", action, endpoint.network_id, attributes)

    def _tell_network(self, action: str, network: Network) -> None:
        attributes = {"name": network.name, "type": network.driver}
        self._events.publish("network", action, network.id, attributes)

    def list(self, filters: Filters) -> list[Network]:
        """The networks that the filters let through, newest first."""
        filters.check(FILTERS)
        wanted = [
            one for one in self._store.all() if matches(one, filters, bool(self.members(one)))
        ]
        return sorted(wanted, key=lambda one: one.created, reverse=True)
